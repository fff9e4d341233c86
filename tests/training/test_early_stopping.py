"""Which epoch is the best."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semisonic.training.optimizer import EarlyStopping, lower_is_better

VALUES = st.lists(st.integers(0, 5).map(float) | st.just(math.nan), min_size=1, max_size=15)


@pytest.mark.parametrize("name", ["loss", "val_loss", "val_log_loss", "mse_db2", "val_error"])
def test_losses_fall(name):
    assert lower_is_better(name)


@pytest.mark.parametrize("name", ["accuracy", "val_accuracy", "val_lwlrap", "val_macro_f1"])
def test_scores_rise(name):
    assert not lower_is_better(name)


def run(values, patience, monitor="val_loss", keep=True):
    stopping = EarlyStopping(monitor, patience, keep)
    for epoch, value in enumerate(values, 1):
        stopping.look({"epoch": epoch, monitor: value}, {"w": torch.tensor(float(epoch))})
        if stopping.stop:
            return stopping, epoch
    return stopping, len(values)


@given(values=VALUES, patience=st.integers(0, 4), rising=st.booleans())
def test_first_of_the_best_is_kept_and_patience_counts_from_it(values, patience, rising):
    stopping, n_seen = run(values, patience, "val_accuracy" if rising else "val_loss")
    seen = [v for v in values[:n_seen] if not math.isnan(v)]
    if seen:
        best = max(seen) if rising else min(seen)
        assert stopping.best_value == best
        assert stopping.best_epoch == values.index(best) + 1
    else:
        assert stopping.best_epoch == 1
    assert stopping.best_weights["w"].item() == stopping.best_epoch
    if patience and n_seen < len(values):
        assert n_seen - stopping.best_epoch == patience or not seen


@given(values=VALUES, cut=st.integers(0, 14))
def test_state_goes_through_a_checkpoint(values, cut):
    stopping, _ = run(values[:cut], 0)
    again = EarlyStopping("val_loss", 0)
    again.load(stopping.state())
    for epoch, value in enumerate(values[cut:], cut + 1):
        for one in (stopping, again):
            one.look({"epoch": epoch, "val_loss": value}, {"w": torch.tensor(float(epoch))})
    for name in ("best_epoch", "waited", "best_weights"):
        assert again.state()[name] == stopping.state()[name]


def test_kept_weights_are_copies():
    tensor = torch.zeros(2)
    stopping = EarlyStopping("loss", 0)
    stopping.look({"epoch": 1, "loss": 1.0}, {"w": tensor})
    tensor += 1
    assert stopping.best_weights["w"].tolist() == [0, 0]


def test_weights_need_not_be_kept():
    stopping, _ = run([3.0, 2.0], 0, keep=False)
    assert stopping.best_weights == {}
    assert stopping.best_epoch == 2
