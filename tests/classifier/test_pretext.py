"""Pre-training by each of the objectives."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sounds import MEL, NOTATION, PLAIN, QUICK_PRETRAIN, features_of_kinds
from training_rows import pretrain_rows

from semisonic.classifier import pretrain as pretraining
from semisonic.classifier.config import OBJECTIVES, WITHOUT_DECODER, PretextOptions, TrainConfig
from semisonic.classifier.pretrain import (
    PretrainOutcome,
    build_view,
    hold_out_recordings,
)
from semisonic.classifier.training import choose_decoder
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.data.clips import Clips
from semisonic.features.options import MelOptions
from semisonic.models.pretrained import AutoEncoder
from semisonic.training.options import FitOptions

N = 30
SMALL_VIEWS = PretextOptions(view_share=0.6)
PRETEXT = {
    "layer-wise": PretextOptions(layer_epochs=2),
    "simclr": SMALL_VIEWS,
}
LEARN = FitOptions(epochs=8, learning_rate=5e-3, **PLAIN)


def run(
    features: np.ndarray,
    objective: str,
    fit: FitOptions = QUICK_PRETRAIN,
    *,
    mel: MelOptions = MEL,
    model: str = NOTATION,
    decoder: str = "auto",
    seed: int = 0,
    folder: Path | None = None,
    pretext: PretextOptions | None = None,
) -> PretrainOutcome:
    config = TrainConfig(
        model,
        decoder=decoder,
        pretrain=fit,
        objective=objective,
        pretext=pretext or PRETEXT.get(objective, PretextOptions()),
    )
    rows = np.arange(30)
    return pretrain_rows(features, rows[:22], rows[22:], config, mel=mel, seed=seed, folder=folder)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_learns(features: np.ndarray, objective: str) -> None:
    outcome = run(features, objective, LEARN)
    column = [row["val_loss"] for row in outcome.history]
    assert outcome.error == pytest.approx(min(column), rel=1e-4)
    first = outcome.layers[0].history[0]["val_loss"] if outcome.layers else column[0]
    # Views are random: a contrastive loss falls slowly.
    assert outcome.error < (0.98 if objective == "simclr" else 0.9) * first
    assert not outcome.spread.is_collapsed
    assert {unit.n_units for unit in outcome.dead_units} == {8}
    assert isinstance(outcome.network, AutoEncoder) == (objective not in WITHOUT_DECODER)
    variance = float(outcome.standardize.std.square())
    in_db = math.nan if objective in WITHOUT_DECODER else outcome.error * variance
    assert outcome.error_db2 == pytest.approx(in_db, rel=1e-3, nan_ok=True)
    assert ("val_rank" in outcome.history[0]) == (objective in WITHOUT_DECODER)
    assert not outcome.network.training


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_features_of_two_channels(objective: str) -> None:
    mel = replace(MEL, deltas=True)
    outcome = run(features_of_kinds(N, mel), objective, replace(QUICK_PRETRAIN, epochs=1), mel=mel)
    assert outcome.network.encoder.in_channels == 2
    assert math.isfinite(outcome.error)


@pytest.mark.parametrize("objective", ["denoising", "simclr"])
def test_the_default_network_can_be_trained(features: np.ndarray, objective: str) -> None:
    one = replace(QUICK_PRETRAIN, epochs=1)
    outcome = run(features, objective, one, model="small")
    assert outcome.network.name == "small"


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("objective", "stop_at"),
    [("denoising", 2), ("simclr", 2), ("layer-wise", 1), ("layer-wise", 6)],
)
def test_an_interrupted_pre_training_ends_with_the_same_weights(
    features: np.ndarray,
    objective: str,
    stop_at: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit = replace(QUICK_PRETRAIN, epochs=3, checkpoint_interval=0.0)
    whole = run(features, objective, fit)
    calls: list[int] = []
    measure = pretraining.held_out_terms

    def stopping(*arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == stop_at:
            raise Stop
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pretraining, "held_out_terms", stopping)
    with pytest.raises(Stop):
        run(features, objective, fit, folder=tmp_path)
    monkeypatch.setattr(pretraining, "held_out_terms", measure)
    again = run(features, objective, fit, folder=tmp_path)
    a, b = whole.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert again.error == whole.error
    assert len(again.layers) == len(whole.layers) == (2 if objective == "layer-wise" else 0)


def test_layers_are_trained_before_the_whole(features: np.ndarray) -> None:
    found = run(features, "layer-wise", pretext=PretextOptions(layer_epochs=2))
    assert [len(layer.history) for layer in found.layers] == [2, 2]
    assert found.error != run(features, "reconstruction").error
    with pytest.raises(ModelError, match="unet"):
        run(features, "layer-wise", decoder="unet")


@pytest.mark.parametrize(
    ("objective", "pretext"),
    [
        ("reconstruction", PretextOptions(layer_epochs=3)),
        ("layer-wise", PretextOptions(view_share=0.4)),
        ("denoising", PretextOptions(views="weak")),
    ],
)
def test_an_option_of_another_objective_is_refused(
    features: np.ndarray, objective: str, pretext: PretextOptions
) -> None:
    with pytest.raises(OptionError, match=f"'{objective}' does not use it"):
        run(features, objective, pretext=pretext)


@pytest.mark.parametrize("change", [{"views": "none"}, {"view_share": 1.0}], ids=str)
def test_every_part_of_simclr_can_be_changed(
    features: np.ndarray, change: dict[str, object]
) -> None:
    one = replace(QUICK_PRETRAIN, epochs=1)
    usual = run(features, "simclr", one).network.state_dict()
    changed = run(features, "simclr", one, pretext=replace(SMALL_VIEWS, **change))  # type: ignore[arg-type]
    name = "encoder.stages.0.conv.weight"
    assert not torch.equal(usual[name], changed.network.state_dict()[name])


def test_with_everything_off_a_view_is_the_clip(
    features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BACKGROUND", "CROPPED_BANDS"):
        monkeypatch.setattr(pretraining, name, 0.0)
    off = PretextOptions(views="none", view_share=1.0)
    x = torch.from_numpy(features[:4].astype(np.float32))
    assert torch.equal(build_view(off, MEL)(x), x)
    cut = build_view(replace(off, view_share=0.5), MEL)(x)
    assert cut.shape == (4, 1, 16, MEL.count_frames(2000))


def test_a_giant_recording_is_learnt_from() -> None:
    """A night in a pool of short clips must not become the held-out part."""
    group = np.array(["night"] * 80 + [f"clip {i}" for i in range(20)])
    rows = [{"file": f"{i:03d}.wav"} for i in range(100)]
    clips = Clips.from_rows(Path(), rows).with_columns(group=group)
    for seed in range(8):
        held = hold_out_recordings(clips.group, np.arange(100), 0.1, np.random.default_rng(seed))[1]
        assert set(group[held]) <= set(group[80:])
        assert len(held) == 10
    two = clips[:90].with_columns(group=np.array(["long"] * 60 + ["shorter"] * 30))
    held = hold_out_recordings(two.group, np.arange(90), 0.1, np.random.default_rng(0))[1]
    assert set(two.group[held]) == {"shorter"}


def test_statistics_are_those_of_the_training_rows(features: np.ndarray) -> None:
    outcome = run(features, "reconstruction")
    seen = features[:22].astype(np.float64)
    assert float(outcome.standardize.mean) == pytest.approx(seen.mean(), abs=1e-3)
    assert float(outcome.standardize.std) == pytest.approx(seen.std(), rel=1e-4)


def test_without_held_out_clips_all_epochs_are_run(features: np.ndarray) -> None:
    fit = replace(QUICK_PRETRAIN, patience=1)
    config = TrainConfig(NOTATION, objective="reconstruction", pretrain=fit)
    outcome = pretrain_rows(features, np.arange(30), [], config, mel=MEL, seed=0)
    assert len(outcome.history) == 2
    assert outcome.fit.best_epoch == 2
    assert np.isnan(outcome.error)
    with pytest.raises(DataError, match="no clips"):
        pretrain_rows(features, [], [0], config, mel=MEL, seed=0)


def test_auto_un_pools_where_the_encoder_can() -> None:
    assert choose_decoder("auto", NOTATION, MEL) == "unpool"
    assert choose_decoder("auto", "small", MEL) == "upsample"
    assert choose_decoder("subpixel", NOTATION, MEL) == "subpixel"


@settings(max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.floats(0, 0.5), st.integers(0, 9))
def test_recordings_are_held_out_as_a_whole(groups: list[int], share: float, seed: int) -> None:
    clips = Clips.from_rows(
        ".", [{"file": f"{i:03d}", "group": f"g{g}"} for i, g in enumerate(groups)]
    )
    kept, held = hold_out_recordings(
        clips.group, np.arange(len(clips)), share, np.random.default_rng(seed)
    )
    assert sorted([*kept, *held]) == list(range(len(clips)))
    turned = hold_out_recordings(
        clips.group, np.arange(len(clips))[::-1], share, np.random.default_rng(seed)
    )[1]
    assert held.tolist() == turned.tolist()
    assert not set(clips.group[kept]) & set(clips.group[held])
    assert len(kept)
    if share == 0:
        assert not len(held)
