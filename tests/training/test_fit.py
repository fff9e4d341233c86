"""The loop: what it does to weights, what it records, what it leaves alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn
from training_standins import ArrayBatch, ArrayStream, Classify, same_weights, small_net, weights

from semisonic.core.errors import ModelError, OptionError, TrainingError
from semisonic.training.devices import lay_out
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

PLAIN = FitOptions(epochs=3, learning_rate=0.01, precision="fp32")


def train(options=PLAIN, *, seed=0, dropout=0.0, norm=False, stream=None, **more):
    objective = Classify(small_net(dropout, norm))
    streams = {"labelled": stream or ArrayStream()}
    return objective, fit(objective, streams, options, seed=seed, **more)


def bare_loop(objective, optimizer, n_epochs, clip_norm=0.0):
    """What the loop must amount to, by hand."""
    stream = ArrayStream()
    for step in range(n_epochs * stream.steps_per_epoch):
        loss = objective({"labelled": stream.at(step)})["loss"]
        optimizer.zero_grad()
        loss.backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(objective.parameters(), clip_norm)
        optimizer.step()


@pytest.mark.parametrize(
    ("options", "make"),
    [
        (replace(PLAIN, optimizer="adam"), lambda p: torch.optim.Adam(p, lr=0.01)),
        (
            replace(PLAIN, optimizer="adamw"),
            lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0),
        ),
        (
            replace(PLAIN, optimizer="sgd", momentum=0.8),
            lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.8, nesterov=True),
        ),
        (
            replace(PLAIN, optimizer="sgd", momentum=0.0, clip_norm=0.3),
            lambda p: torch.optim.SGD(p, lr=0.01),
        ),
    ],
)
def test_gives_the_weights_of_a_loop_by_hand(options, make):
    objective, _ = train(options)
    by_hand = Classify(small_net())
    lay_out(by_hand, torch.device("cpu"), "fp32")
    bare_loop(by_hand, make(by_hand.parameters()), 3, options.clip_norm)
    assert same_weights(weights(objective), weights(by_hand))


def test_history_has_a_row_an_epoch_with_means_over_its_rows():
    stream = ArrayStream(n=20, batch_size=8)  # batches of 8, 8 and 4
    options = replace(PLAIN, optimizer="sgd", learning_rate=0.0, epochs=2)
    objective, result = train(options, stream=stream)
    logits = objective.net(stream.x)
    loss = nn.functional.cross_entropy(logits, stream.y).item()
    accuracy = (logits.argmax(1) == stream.y).float().mean().item()
    assert [row["epoch"] for row in result.history] == [1, 2]
    for row in result.history:
        assert row["loss"] == pytest.approx(loss, rel=1e-5)
        assert row["accuracy"] == pytest.approx(accuracy, rel=1e-5)
        assert set(row) == {"epoch", "loss", "accuracy", "lr", "seconds"}
    assert result.n_steps == 6
    assert result.best_epoch == 2
    assert result.precision == "fp32"
    assert not result.stopped_early


def test_same_seed_gives_the_same_bytes_and_another_seed_another_dropout(tmp_path):
    runs = [
        train(seed=seed, dropout=0.5, folder=tmp_path / name)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    files = [(tmp_path / name / "history.json").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    assert same_weights(weights(runs[0][0]), weights(runs[1][0]))
    assert not same_weights(weights(runs[0][0]), weights(runs[2][0]))


def test_each_step_drops_other_units() -> None:
    seen: list[torch.Tensor] = []

    class Watched(Classify):
        def forward(self, batches: Mapping[str, ArrayBatch]) -> dict[str, torch.Tensor]:
            seen.append(nn.functional.dropout(torch.ones(100), 0.5))
            return super().forward(batches)

    fit(Watched(small_net()), {"labelled": ArrayStream()}, PLAIN, seed=0)
    assert len({tuple(one.tolist()) for one in seen}) == len(seen) > 6


def test_neither_reads_nor_changes_the_global_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, _ = train(dropout=0.5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second, _ = train(dropout=0.5)
    assert same_weights(weights(first), weights(second))


def test_frozen_weights_stay_and_an_all_frozen_model_is_an_error():
    objective = Classify(small_net())
    objective.net[0].requires_grad_(False)
    before = weights(objective)
    fit(objective, {"labelled": ArrayStream()}, PLAIN, seed=0)
    after = weights(objective)
    assert torch.equal(before["net.0.weight"], after["net.0.weight"])
    assert not torch.equal(before["net.6.weight"], after["net.6.weight"])
    objective.requires_grad_(False)
    with pytest.raises(ModelError, match="no weights to train"):
        fit(objective, {"labelled": ArrayStream()}, PLAIN, seed=0)


class Scripted:
    """A validation with prescribed values, which remembers the weights it was asked about."""

    def __init__(self, objective, values, name="loss"):
        self.objective, self.values, self.name = objective, list(values), name
        self.seen = []

    def __call__(self):
        assert not self.objective.training
        assert not torch.is_grad_enabled()
        self.seen.append(weights(self.objective))
        return {self.name: self.values[len(self.seen) - 1]}


def fit_scripted(values, options, name="loss", norm=False):
    objective = Classify(small_net(norm=norm))
    validate = Scripted(objective, values, name)
    result = fit(objective, {"labelled": ArrayStream()}, options, seed=0, validate=validate)
    return objective, validate, result


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("loss", [3.0, 1.0, 2.0, 1.0], 2),
        ("accuracy", [0.1, 0.5, 0.5, 0.2], 2),
        ("accuracy", [float("nan"), 0.5, 0.4, float("nan")], 2),
        ("loss", [float("nan")] * 4, 1),
    ],
)
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_ends_with_the_weights_of_the_best_epoch(name, values, best, ema_decay):
    options = replace(PLAIN, epochs=4, monitor=f"val_{name}", ema_decay=ema_decay)
    objective, validate, result = fit_scripted(values, options, name, norm=True)
    assert result.best_epoch == best
    assert same_weights(weights(objective), validate.seen[best - 1])
    assert not objective.training


def test_can_end_with_the_last_weights_instead():
    options = replace(PLAIN, epochs=3, restore_best=False)
    objective, validate, result = fit_scripted([1.0, 2.0, 3.0], options)
    assert same_weights(weights(objective), validate.seen[-1])
    assert result.best_epoch == 3


def test_patience_stops_and_restores():
    options = replace(PLAIN, epochs=20, patience=3)
    objective, validate, result = fit_scripted([5, 4, 6, 6, 6, 6, 6, 6, 6, 6], options)
    assert len(result.history) == 5  # best at 2, then 3 without improvement
    assert result.stopped_early
    assert result.best_epoch == 2
    assert same_weights(weights(objective), validate.seen[1])


def test_monitor_must_exist():
    with pytest.raises(OptionError, match=r"'val_loss'.*no validation"):
        train(replace(PLAIN, patience=3))
    with pytest.raises(OptionError, match="did you mean 'val_accuracy'"):
        fit_scripted([1.0], replace(PLAIN, monitor="val_acuracy"), "accuracy")


def test_streams_must_fit_the_objective():
    objective = Classify(small_net())
    with pytest.raises(OptionError, match="labelled"):
        fit(objective, {"unlabelled": ArrayStream()}, PLAIN, seed=0)


def test_options_are_checked():
    with pytest.raises(OptionError, match="did you mean 'cosine'"):
        train(replace(PLAIN, schedule="cosin"))


def test_infinite_loss_names_step_term_and_rate():
    with pytest.raises(TrainingError) as raised:
        train(replace(PLAIN, optimizer="sgd", learning_rate=1e30))
    text = str(raised.value)
    assert "epoch 1, step " in text
    assert "'loss' became nan" in text
    assert "learning rate 1e+30 in fp32" in text
    assert "lower learning_rate" in text


def test_infinite_input_is_told_apart_and_its_rows_are_named(tmp_path):
    stream = ArrayStream()
    stream.x[17, 0, 2, 3] = torch.nan
    with pytest.raises(TrainingError, match=r"'labelled' has values.* rows 17 of its table"):
        train(stream=stream, folder=tmp_path)
    if (tmp_path / "checkpoint.pt").exists():
        kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["weights"]
        assert all(t.isfinite().all() for t in kept.values())


class Followed(Classify):
    """Keeps its weights after each step, and moves a second network half of the way to them."""

    def __init__(self, norm=False):
        super().__init__(small_net(norm=norm))
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)
        self.seen = [weights(self.net)]

    @torch.no_grad()
    def after_step(self):
        self.seen.append(weights(self.net))
        for mine, theirs in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            mine.lerp_(theirs, 0.5)


def test_what_follows_the_weights_moves_once_after_each_step():
    objective = Followed()
    one = replace(PLAIN, epochs=1)
    fit(objective, {"labelled": ArrayStream(n=8, batch_size=8)}, one, seed=0)
    before, now = objective.seen
    for name, followed in objective.teacher.named_parameters():
        torch.testing.assert_close(followed, before[name].lerp(now[name], 0.5))


def test_final_weights_are_the_average_over_all_steps():
    averaged, plain = Followed(norm=True), Followed(norm=True)
    for objective, decay in ((averaged, 0.7), (plain, 0.0)):
        fit(objective, {"labelled": ArrayStream()}, replace(PLAIN, ema_decay=decay), seed=0)
    expected, *steps = plain.seen
    for n, now in enumerate(steps, 1):
        decay = min(0.7, (1 + n) / (10 + n))
        for name, tensor in now.items():
            mean = decay * expected[name] + (1 - decay) * tensor
            expected[name] = mean if tensor.is_floating_point() else tensor
    assert len(steps) == 18
    found = weights(averaged.net)
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name


def test_validation_sees_the_average_and_training_goes_on_with_the_weights():
    options = replace(PLAIN, ema_decay=0.7)
    objective, validate, _ = fit_scripted([3.0, 2.0, 1.0], options)
    assert same_weights(weights(objective), validate.seen[-1])
    unseen, _ = train(options)
    assert same_weights(weights(unseen), validate.seen[-1])


def test_steps_count_instead_of_epochs():
    stream = ArrayStream(n=24, batch_size=8)  # three steps a pass
    _, result = train(replace(PLAIN, steps=10, epochs=50), stream=stream)
    assert result.n_steps == 10
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert max(stream.asked) == 9
    assert not result.stopped_early


def test_long_epochs_train_as_short_ones_do():
    short, rows = train(replace(PLAIN, steps=12))
    long, fewer = train(replace(PLAIN, steps=12, epoch_steps=10))
    assert [len(rows.history), len(fewer.history)] == [2, 1]
    assert same_weights(weights(short), weights(long))
    mean = sum(row["loss"] for row in rows.history) / 2
    assert fewer.history[0]["loss"] == pytest.approx(mean, rel=1e-6)


def test_writes_strict_json_without_times(tmp_path):
    objective = Classify(small_net())
    options = replace(PLAIN, epochs=2)
    fit(
        objective,
        {"labelled": ArrayStream()},
        options,
        seed=0,
        folder=tmp_path,
        validate=Scripted(objective, [1.0, float("nan")]),
    )
    rows = json.loads(
        (tmp_path / "history.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert [row["val_loss"] for row in rows] == [1.0, None]
    assert all("seconds" not in row for row in rows)
    timing = json.loads((tmp_path / "timing.json").read_text(encoding="utf-8"))
    assert len(timing["epoch_seconds"]) == 2
    assert timing["precision"] == "fp32"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint.pt", "history.json", "timing.json"}


def test_moves_along_a_progress_bar(capsys):
    from semisonic.core import progress

    progress.show_progress()
    try:
        train(label="fold 1")
    finally:
        progress.show_progress(False)
    shown = capsys.readouterr().err
    assert "fold 1" in shown
    assert "18/18" in shown
    assert "loss" in shown
