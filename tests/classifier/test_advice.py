"""What ``auto`` chooses, and what yields to what."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.classifier.config import (
    DRAWN,
    FRESH,
    GENERAL,
    GIVEN,
    METHODS,
    PRETRAIN_FIT,
    READERS,
    SOLVED,
    SYNTHETIC,
    TRAIN_FIT,
    DataSummary,
    MethodOptions,
    TrainConfig,
    asks_training,
    check_read,
    followed,
    recommend,
    resolve_auto,
    validation_share,
)
from semisonic.core.errors import OptionError
from semisonic.core.options import check
from semisonic.training.options import FitOptions


def asked(method: str = "auto", objective: str = "auto", **more: Any) -> TrainConfig:
    """A configuration that leaves open what is not given."""
    return TrainConfig(method=method, objective=objective, **more)


def resolved(
    config: TrainConfig, data: DataSummary, trains: str = "", start: str = ""
) -> SimpleNamespace:
    """What it becomes, and where it starts from."""
    data = replace(data, start=start or data.start)
    found = resolve_auto(config, data, trains=trains)
    return SimpleNamespace(**vars(found.config), start=found.start, because=found.because)


def advised(data: DataSummary, objective: str = "auto") -> SimpleNamespace:
    """What is recommended."""
    found = recommend(data, objective)
    return SimpleNamespace(**vars(found.config), start=found.start, because=found.because)


SITUATIONS = st.builds(
    DataSummary,
    st.floats(1, 1000),
    st.integers(2, 10_000),
    st.integers(0, 100_000),
    st.sampled_from([FRESH, GIVEN, DRAWN, SYNTHETIC, GENERAL]),
)


@given(SITUATIONS, st.sampled_from(["auto", "none", "simclr", "denoising"]))
def test_a_choice_can_be_carried_out_and_is_explained(
    situation: DataSummary, objective: str
) -> None:
    choice = advised(situation, objective)
    assert choice.method in METHODS
    check(choice.method_params)
    check(choice.fit)
    assert (choice.fit.steps > 0) == (choice.method not in SOLVED)  # which has none
    assert choice.because.startswith(choice.method)
    assert "labels per class" in choice.because or choice.start == GENERAL
    choice.method_params.check_for(choice.method)
    if situation.start != FRESH:
        assert choice.start == situation.start
    if objective != "auto":
        assert choice.objective == objective


def test_few_labels_choose_among_what_was_learned_without_any() -> None:
    few = advised(DataSummary(4, 40, 280))
    assert (few.method, few.objective, few.start) == ("probe", "simclr", SYNTHETIC)
    assert "320 clips (280 without labels)" in few.because
    alone = advised(DataSummary(4, 40, 0))
    assert (alone.method, alone.objective, alone.start) == ("probe", "none", SYNTHETIC)
    assert "40 clips are too few" in alone.because
    many = advised(DataSummary(200, 2000, 5000))
    assert (many.method, many.objective) == ("supervised", "simclr")
    assert advised(DataSummary(32, 320)).objective == "simclr"


def test_pre_training_by_simclr_runs_as_advised_unless_asked_for_otherwise() -> None:
    plain = resolved(asked(), DataSummary(4, 40, 280)).pretrain
    assert (plain.steps, plain.batch_size, plain.heeds_validation) == (600, 64, False)
    own = replace(PRETRAIN_FIT, batch_size=16)
    found = resolved(asked(pretrain=own), DataSummary(4, 40, 280)).pretrain
    assert found == replace(plain, batch_size=16)
    other = resolved(asked("supervised", "denoising"), DataSummary(4, 40, 280))
    assert other.pretrain == PRETRAIN_FIT


def test_what_was_asked_for_wins_over_advice() -> None:
    advice = FitOptions(steps=1000, batch_size=20, learning_rate=3e-3)
    own = replace(TRAIN_FIT, batch_size=8)
    assert followed(advice, own, TRAIN_FIT) == replace(advice, batch_size=8)
    assert followed(advice, TRAIN_FIT, TRAIN_FIT) == advice
    epochs = followed(advice, replace(TRAIN_FIT, epochs=7), TRAIN_FIT)
    assert (epochs.epochs, epochs.steps) == (7, 0)


def test_auto_keeps_an_encoder_and_an_objective_that_were_given() -> None:
    given_encoder = resolved(asked(), DataSummary(4, 40, 280), start=GIVEN)
    assert (given_encoder.method, given_encoder.objective) == ("probe", "simclr")
    assert given_encoder.start == GIVEN
    as_it_is = resolved(asked(), DataSummary(4, 40), start=GIVEN)
    assert (as_it_is.method, as_it_is.objective) == ("probe", "none")
    drawn = resolved(asked(), DataSummary(4, 40), start=DRAWN)  # reconstruction tells little apart
    assert (drawn.method, drawn.objective) == ("supervised", "none")
    assert resolved(asked(), DataSummary(40, 400), start=GIVEN).method == "supervised"
    assert resolved(asked(objective="denoising"), DataSummary(4, 40, 280)).method == "supervised"
    objective = resolved(asked(objective="simclr"), DataSummary(4, 40, 280))
    assert objective.method == "probe"
    assert (objective.objective, objective.start) == ("simclr", "fresh")


def test_auto_leaves_a_general_encoder_as_it_is() -> None:
    for labels in (2.0, 200.0):
        choice = advised(DataSummary(labels, round(10 * labels), 5000, start=GENERAL))
        assert (choice.method, choice.objective, choice.start) == ("probe", "none", GENERAL)
    assert advised(DataSummary(4.0, 40, 500, start=GENERAL), "simclr").objective == "simclr"


def test_synthetic_sounds_that_were_asked_for_are_the_start_auto_would_take() -> None:
    for situation in (DataSummary(4, 40, 280), DataSummary(4, 40)):
        assert resolved(asked(), situation, start=SYNTHETIC) == resolved(asked(), situation)


def test_what_would_do_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="does not learn from"):
        resolved(asked("supervised", "none"), DataSummary(4, 40, 280))
    assert resolved(asked("supervised"), DataSummary(4, 40, 280)).objective == "reconstruction"
    assert resolved(asked("probe"), DataSummary(4, 40, 280)).objective == "simclr"
    assert resolved(asked("supervised"), DataSummary(4, 40)).objective == "none"


def test_few_labels_are_all_learned_from() -> None:
    for method in ("auto", "probe", "supervised", "fixmatch"):
        assert validation_share(asked(method), 0.15, 16) == 0.0
        assert validation_share(asked(method), 0.3, 16) == 0.3  # another share was asked for
        assert validation_share(asked(method), 0.15, 17) == 0.15
    patient = replace(asked("supervised"), fit=replace(TRAIN_FIT, patience=3))
    assert validation_share(patient, 0.15, 16) == 0.15
    assert validation_share(patient, 0.15, 6) == 0.0  # less than one label a class


def test_each_method_has_its_own_weight_unless_given() -> None:
    plain = MethodOptions()
    assert plain.weight_for("pi-model") == 30.0
    assert plain.weight_for("fixmatch") == plain.weight_for("joint") == 1.0
    assert MethodOptions(pool_weight=0.0).weight_for("pi-model") == 0.0


@pytest.mark.parametrize(
    ("method", "how", "named"),
    [
        ("supervised", MethodOptions(threshold=0.5), "threshold"),
        ("probe", MethodOptions(mixup=0.4), "mixup"),
        ("probe", MethodOptions(loss="lq"), "loss"),
        ("fixmatch", MethodOptions(rounds=3), "rounds"),
        ("fixmatch", MethodOptions(ramp_steps=9), "ramp_steps"),
        ("noisy-student", MethodOptions(pool_ratio=3.0), "pool_ratio"),
    ],
)
def test_an_option_of_another_method_is_refused(
    method: str, how: MethodOptions, named: str
) -> None:
    with pytest.raises(OptionError, match=f"'{named}'.*does not use it"):
        resolved(asked(method, method_params=how), DataSummary(4, 40, 280))


def test_auto_takes_the_method_that_reads_what_was_given() -> None:
    threshold = resolved(
        asked(method_params=MethodOptions(threshold=0.8)), DataSummary(200, 2000, 280)
    )
    assert (threshold.method, threshold.method_params.threshold) == ("probe", 0.8)
    assert "option 'threshold' needs it" in threshold.because
    mixed = resolved(asked(method_params=MethodOptions(augment="strong")), DataSummary(4, 40))
    assert (mixed.method, mixed.method_params.augment) == ("supervised", "strong")
    assert "option 'augment' asks for" in mixed.because
    fit = replace(TRAIN_FIT, epochs=50)
    trains = asks_training(asked(fit=fit))
    trained = resolved(asked(fit=fit), DataSummary(4, 40, 280, start=GENERAL), trains)
    assert (trained.method, trained.fit.epochs, trained.fit.steps) == ("supervised", 50, 0)
    assert "option 'epochs' asks for" in trained.because
    assert asks_training(asked()) == ""


@pytest.mark.parametrize("method", ["auto", "probe"])
def test_the_number_format_asks_for_no_training_and_holds_for_pre_training(method: str) -> None:
    fit = replace(TRAIN_FIT, precision="fp32")
    config = asked(method=method, fit=fit, objective="simclr")
    assert asks_training(config) == ""
    ready = resolved(config, DataSummary(4, 40, 280))
    assert (ready.method, ready.pretrain.precision) == ("probe", "fp32")
    check_read("probe", config)
    own = replace(PRETRAIN_FIT, precision="bf16")
    ready = resolved(asked(fit=fit, pretrain=own, objective="simclr"), DataSummary(4, 40, 280))
    assert ready.pretrain.precision == "bf16"


def test_auto_refuses_options_of_methods_that_exclude_each_other() -> None:
    both = MethodOptions(threshold=0.8, mixup=0.4)
    with pytest.raises(OptionError, match=r"'mixup' and 'threshold'.*leave one of them out"):
        resolved(asked(method_params=both), DataSummary(4, 40, 280))
    with pytest.raises(OptionError, match=r"'pool_ratio'.*it is for joint"):
        resolved(asked(method_params=MethodOptions(pool_ratio=3.0)), DataSummary(4, 40, 280))


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_option_is_for_the_methods_that_read_it(name: str) -> None:
    default = getattr(MethodOptions(), name)
    other = {"augment": "weak", "pool_augment": "weak", "loss": "lq"}.get(name, default)
    changed = MethodOptions(**{name: 0.31 if other == default else other})  # type: ignore[arg-type]
    for method in METHODS:
        with contextlib.nullcontext() if method in READERS[name] else pytest.raises(OptionError):
            changed.check_for(method)


@pytest.mark.parametrize(
    ("fit", "dropout", "named"),
    [(replace(TRAIN_FIT, epochs=7), 0.0, "epochs"), (TRAIN_FIT, 0.3, "dropout")],
)
def test_a_probe_refuses_options_of_training(fit: FitOptions, dropout: float, named: str) -> None:
    with pytest.raises(OptionError, match=f"'{named}'.*'probe'"):
        check_read("probe", asked(fit=fit, dropout=dropout))
    check_read("supervised", asked(fit=fit, label_smoothing=0.1))
    check_read("probe", asked())
