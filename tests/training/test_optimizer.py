"""The learning rate at every step, held against torch's own schedulers; the best epoch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as theirs

from semisonic.training.loop import (
    best_epoch,
    learning_rate,
    make_optimizer,
    momentum,
    set_rate,
)
from semisonic.training.options import SCHEDULES, FitOptions

EPOCHS, STEPS, TOP = 12, 7, 0.4
VALUES = st.lists(st.integers(0, 5).map(float) | st.just(math.nan), min_size=1, max_size=15)


def options(schedule, **more):
    return FitOptions(epochs=EPOCHS, learning_rate=TOP, schedule=schedule, **more)


def trace(chosen):
    return [learning_rate(chosen, step, STEPS) for step in range(EPOCHS * STEPS)]


@pytest.mark.parametrize(
    ("chosen", "make", "each_epoch"),
    [
        (options("constant"), lambda o: theirs.ConstantLR(o, 1.0), False),
        (
            options("step", falls=(5 / EPOCHS, 9 / EPOCHS), step_factor=0.3),
            lambda o: theirs.MultiStepLR(o, [5, 9], gamma=0.3),
            True,
        ),
        (options("cosine"), lambda o: theirs.CosineAnnealingLR(o, T_max=EPOCHS * STEPS), False),
        (
            options("onecycle"),
            lambda o: theirs.OneCycleLR(o, TOP, total_steps=EPOCHS * STEPS),
            False,
        ),
    ],
)
def test_rates_and_momenta_are_those_of_torch(chosen, make, each_epoch):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=TOP, momentum=0.9)
    scheduler = make(optimizer)
    for step in range(EPOCHS * STEPS):
        group = optimizer.param_groups[0]
        assert learning_rate(chosen, step, STEPS) == pytest.approx(group["lr"])
        assert (momentum(chosen, step, STEPS) or 0.9) == pytest.approx(group["momentum"])
        optimizer.step()
        if not each_epoch or (step + 1) % STEPS == 0:
            scheduler.step()


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_warm_up_rises_in_a_line_and_then_meets_the_schedule(name):
    rates = trace(options(name, warmup_epochs=2.0, falls=(0.9,)))
    n = 2 * STEPS
    assert rates[:n] == pytest.approx([TOP * (step + 1) / n for step in range(n)])
    assert rates[n] == pytest.approx(TOP)
    if name == "cosine":
        assert rates[-1] < 0.02 * TOP


def test_warm_up_sets_the_rising_part_of_onecycle():
    rates = trace(options("onecycle", warmup_epochs=3.0))
    assert rates.index(max(rates)) == 3 * STEPS - 1


@given(
    name=st.sampled_from(SCHEDULES),
    epochs=st.integers(1, 20),
    steps=st.integers(1, 9),
    warmup=st.floats(0, 30),
)
def test_rates_are_finite_and_never_above_the_highest(name, epochs, steps, warmup):
    chosen = FitOptions(epochs=epochs, learning_rate=TOP, schedule=name, warmup_epochs=warmup)
    for step in range(epochs * steps):
        rate = learning_rate(chosen, step, steps)
        assert math.isfinite(rate)
        assert 0 <= rate <= TOP * (1 + 1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_rate_and_momentum_reach_the_optimiser(optimizer):
    chosen = FitOptions(epochs=4, optimizer=optimizer, learning_rate=TOP)
    made = make_optimizer(torch.nn.Linear(3, 2), chosen)
    set_rate(made, 0.25, 0.5)
    for group in made.param_groups:
        assert group["lr"] == 0.25
        assert (group["momentum"] if optimizer == "sgd" else group["betas"][0]) == 0.5


@given(values=VALUES, column=st.sampled_from(["val_accuracy", "lwlrap", "val_loss", "mse_db2"]))
def test_the_first_of_the_best_epochs_counts_and_nan_never(values, column):
    found = best_epoch([{column: value} for value in values], column)
    finite = [value for value in values if not math.isnan(value)]
    best = (max if column in ("val_accuracy", "lwlrap") else min)(finite, default=None)
    assert found == (values.index(best) + 1 if finite else 1)


@given(st.integers(0, 5000), st.integers(0, 500), st.integers(1, 300), st.integers(1, 100))
def test_an_epoch_is_whole_passes_and_the_steps_are_exact(steps, epoch_steps, a_pass, epochs):
    chosen = FitOptions(steps=steps, epoch_steps=epoch_steps, epochs=epochs)
    per_epoch = chosen.steps_an_epoch(a_pass)
    in_all = chosen.n_steps(per_epoch)
    assert per_epoch % a_pass == 0
    assert epoch_steps <= per_epoch < max(epoch_steps, 1) + a_pass
    assert in_all == (steps or epochs * per_epoch)
