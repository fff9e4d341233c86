"""A training that was interrupted ends as if it had not been, bit for bit."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_standins import (
    ArrayStream,
    Classify,
    same_weights,
    small_net,
    weights,
    without_seconds,
)

from semisonic.core.errors import ModelError, OptionError
from semisonic.learning.losses import CrossEntropy, SmallLoss
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions
from systems import POSIX
from waiting import until

FULL = FitOptions(
    epochs=5,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.01,
    schedule="step",
    falls=(0.4, 0.8),
    step_factor=0.5,
    warmup_epochs=0.5,
    patience=3,
    ema_decay=0.8,
    clip_norm=1.0,
    precision="fp32",
    checkpoint_interval=0.0,
)
HELD_OUT = ArrayStream(n=30, batch_size=30, seed=7).at(0)


class Stop(Exception):
    pass


class Stateful(Classify):
    """With all that a step may change beside the weights: a teacher and a selection's count."""

    def __init__(self):
        super().__init__(small_net(dropout=0.3, norm=True))
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)
        self.row_loss = SmallLoss(CrossEntropy(), 0.4, n_warmup=20)

    def forward(self, batches):
        batch, share = batches["labelled"], self.row_loss.kept_share()
        loss = self.row_loss(self.net(batch.x).float(), batch.y).mean()
        return {"loss": loss, "kept": share.clone()}

    @torch.no_grad()
    def after_step(self):
        for mine, theirs in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            mine.lerp_(theirs, 0.5)


def train(folder, *, fail_at=None, options=FULL, seed=3, stream=None, stop_in_epoch=0):
    objective = Stateful()
    calls = []

    def validate():
        calls.append(1)
        if len(calls) == stop_in_epoch:
            raise KeyboardInterrupt
        loss = objective({"labelled": HELD_OUT})["loss"].item()
        return {"loss": abs(loss - 0.4)}  # so that it falls first and then rises

    stream = stream or ArrayStream(fail_at=fail_at)
    result = fit(
        objective, {"labelled": stream}, options, seed=seed, validate=validate, folder=folder
    )
    return objective, result, stream


@pytest.fixture(scope="module")
def whole():
    objective, result, _ = train(None)
    rates = {row["lr"] for row in result.history}
    assert rates == {0.02, 0.01, 0.005}  # a fall of the schedule is passed through
    assert 1 < result.best_epoch < 5  # and so is the choice of the best
    return weights(objective), result


def agrees(objective, result, whole):
    expected_weights, expected = whole
    assert without_seconds(result.history) == without_seconds(expected.history)
    assert same_weights(weights(objective), expected_weights)
    assert result.best_epoch == expected.best_epoch
    assert result.n_steps == expected.n_steps == 30


@pytest.mark.parametrize("step", [1, 8, 12, 29])
def test_goes_on_bit_for_bit_after_a_failure_at_any_step(tmp_path, whole, step):
    with pytest.raises(Stop):
        train(tmp_path, fail_at={step: Stop()})
    objective, result, stream = train(tmp_path)
    agrees(objective, result, whole)
    assert stream.asked[2:] == list(range(step, 30))  # after two looks; no step is taken twice


def test_goes_on_from_the_last_epoch_when_the_interval_is_long(tmp_path, whole):
    options = replace(FULL, checkpoint_interval=1000.0)
    with pytest.raises(Stop):
        train(tmp_path, fail_at={20: Stop()}, options=options)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["step"] % 6 == 0
    objective, result, _ = train(tmp_path, options=options)
    agrees(objective, result, whole)


def test_interruption_within_validation(tmp_path, whole):
    options = replace(FULL, checkpoint_interval=1000.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, options=options, stop_in_epoch=3)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 18
    agrees(*train(tmp_path, options=options)[:2], whole)


@POSIX
def test_ctrl_c_finishes_the_step_writes_a_checkpoint_and_is_raised(tmp_path, whole):
    class Pressing(ArrayStream):
        def at(self, step, rank=0, world=1):
            if step == 10:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            return super().at(step, rank, world)

    before = signal.getsignal(signal.SIGINT)
    options = replace(FULL, checkpoint_interval=1000.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stream=Pressing(), options=options)
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 11
    agrees(*train(tmp_path, options=options)[:2], whole)


@POSIX
def test_a_second_ctrl_c_stops_at_once_and_keeps_the_last_checkpoint(tmp_path, whole):
    class Pressing(ArrayStream):
        def at(self, step, rank=0, world=1):
            if step == 10:
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.01)
            return super().at(step, rank, world)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stream=Pressing())
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 10
    agrees(*train(tmp_path)[:2], whole)


def test_finished_training_returns_at_once(tmp_path, whole):
    train(tmp_path)
    objective, result, stream = train(tmp_path)
    agrees(objective, result, whole)
    assert len(stream.asked) == 2  # looks at the data, no step
    assert not objective.training


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"options": replace(FULL, epochs=6)}, "'options.epochs' was 5, now 6"),
        ({"options": replace(FULL, learning_rate=0.1)}, "'options.learning_rate' was 0.02"),
        ({"options": replace(FULL, precision="bf16")}, "'precision' was fp32, now bf16"),
        ({"seed": 4}, "'seed' was 3, now 4"),
        ({"stream": ArrayStream(n=40)}, "'streams.labelled.steps per epoch' was 6, now 5"),
        ({"stream": ArrayStream(seed=1)}, "'streams.labelled.first batch'"),
    ],
)
def test_refuses_the_checkpoint_of_another_training(tmp_path, change, named):
    with pytest.raises(Stop):
        train(tmp_path, fail_at={8: Stop()})
    with pytest.raises(OptionError, match=named):
        train(tmp_path, **change)


def test_refuses_other_first_weights_and_another_network(tmp_path):
    def start(net, **more):
        fit(Classify(net), {"labelled": ArrayStream()}, PLAIN, seed=3, folder=tmp_path, **more)

    start(small_net())
    with pytest.raises(OptionError, match="'first weights'"):
        start(small_net(seed=1))
    with pytest.raises(OptionError, match="'objective'"):
        start(small_net(dropout=0.1))
    with pytest.raises(OptionError, match="'validated' was False, now True"):
        start(small_net(), validate=lambda: {"loss": 1.0})


PLAIN = FitOptions(epochs=2, precision="fp32")


def test_options_that_change_nothing_may_change(tmp_path, whole):
    with pytest.raises(Stop):
        train(tmp_path, fail_at={8: Stop()})
    options = replace(FULL, checkpoint_interval=5.0, precision="auto")
    agrees(*train(tmp_path, options=options)[:2], whole)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ModelError, match=r"checkpoint\.pt: not a readable checkpoint"):
        train(tmp_path)


def test_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Bad:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    torch.save({"identity": Bad(), "format": 1}, tmp_path / "checkpoint.pt")
    with pytest.raises(ModelError):
        train(tmp_path)
    assert not (tmp_path / "made").exists()


HERE = Path(__file__).parent
CHILD = """
    import sys, time
    from pathlib import Path
    sys.path[:0] = [{here!r}, {above!r}]
    import torch
    torch.set_num_threads(1)
    from training_standins import ArrayStream
    from test_resume import train

    class Slow(ArrayStream):
        def at(self, step, rank=0, world=1):
            time.sleep(3600 if step == 25 else 0.03)  # never gets to its end
            return super().at(step, rank, world)

    train(Path({folder!r}), stream=Slow())
"""


@POSIX
@pytest.mark.slow
def test_goes_on_bit_for_bit_after_kill_9(tmp_path, whole):
    script = textwrap.dedent(
        CHILD.format(here=str(HERE), above=str(HERE.parent), folder=str(tmp_path))
    )
    child, checkpoint = subprocess.Popen([sys.executable, "-c", script]), tmp_path / "checkpoint.pt"
    try:
        until(checkpoint.exists, child)
        until(lambda: torch.load(checkpoint, weights_only=True)["step"] >= 6, child)
    finally:
        child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    step = torch.load(checkpoint, weights_only=True)["step"]
    assert 6 <= step <= 25
    objective, result, stream = train(tmp_path)
    agrees(objective, result, whole)
    assert len(stream.asked) == 2 + 30 - step
    names = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".part")}
    assert names == {"checkpoint.pt", "history.json", "timing.json"}
