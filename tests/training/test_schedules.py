"""The learning rate at every step, held against torch's own schedulers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as theirs

from semisonic.training.optimizer import Schedule, make_optimizer
from semisonic.training.options import FitOptions

EPOCHS, STEPS = 12, 7
TOP = 0.4


def options(schedule, **more):
    return FitOptions(epochs=EPOCHS, learning_rate=TOP, schedule=schedule, **more)


def trace(chosen):
    schedule = Schedule(chosen, STEPS)
    return [schedule.rate(step) for step in range(EPOCHS * STEPS)]


def torch_trace(make, each_epoch=False):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=TOP, momentum=0.9)
    scheduler = make(optimizer)
    rates, momenta = [], []
    for step in range(EPOCHS * STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        if not each_epoch or (step + 1) % STEPS == 0:
            scheduler.step()
    return rates, momenta


def test_constant():
    assert trace(options("constant")) == [TOP] * (EPOCHS * STEPS)


def test_step_falls_every_so_many_epochs():
    expected, _ = torch_trace(lambda o: theirs.StepLR(o, step_size=5, gamma=0.3), each_epoch=True)
    assert trace(options("step", step_epochs=5, step_factor=0.3)) == pytest.approx(expected)


def test_step_falls_at_milestones():
    expected, _ = torch_trace(
        lambda o: theirs.MultiStepLR(o, milestones=[4, 6, 11], gamma=0.1), each_epoch=True
    )
    found = trace(options("step", milestones=(4, 6, 11), step_factor=0.1))
    assert found == pytest.approx(expected)


def test_cosine():
    expected, _ = torch_trace(
        lambda o: theirs.CosineAnnealingLR(o, T_max=EPOCHS * STEPS, eta_min=0.01)
    )
    assert trace(options("cosine", min_learning_rate=0.01)) == pytest.approx(expected)


def test_onecycle_rate_and_momentum():
    expected, momenta = torch_trace(lambda o: theirs.OneCycleLR(o, TOP, total_steps=EPOCHS * STEPS))
    chosen = options("onecycle")
    schedule = Schedule(chosen, STEPS)
    assert trace(chosen) == pytest.approx(expected)
    found = [schedule.momentum(step) for step in range(EPOCHS * STEPS)]
    assert found == pytest.approx(momenta)


def test_plateau_falls_after_epochs_without_improvement():
    values = [5, 4, 4, 4, 4, 3, 3.5, 3.5, 3.5, 3.5, 3.5, 3.5]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=TOP)
    # Theirs waits for more than `patience` bad epochs, ours for `plateau_epochs` of them.
    scheduler = theirs.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0.0, min_lr=0.08
    )
    schedule = Schedule(
        options("plateau", step_factor=0.5, plateau_epochs=3, min_learning_rate=0.08), STEPS
    )
    for epoch, value in enumerate(values):
        assert schedule.rate(epoch * STEPS) == pytest.approx(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
        schedule.end_epoch("val_loss", {"val_loss": value})
    assert optimizer.param_groups[0]["lr"] < TOP / 2


def test_plateau_of_an_accuracy_waits_for_a_rise():
    schedule = Schedule(options("plateau", step_factor=0.5, plateau_epochs=1), STEPS)
    for value in [0.2, 0.4, 0.6]:
        schedule.end_epoch("val_accuracy", {"val_accuracy": value})
    assert schedule.rate(0) == TOP
    schedule.end_epoch("val_accuracy", {"val_accuracy": 0.6})
    assert schedule.rate(0) == TOP / 2


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "plateau"])
def test_warm_up_rises_in_a_line_and_then_meets_the_schedule(name):
    rates = trace(options(name, warmup_epochs=2.0, step_epochs=100))
    n = 2 * STEPS
    assert rates[:n] == pytest.approx([TOP * (step + 1) / n for step in range(n)])
    assert rates[n] == pytest.approx(TOP)
    if name == "cosine":
        assert rates[-1] < 0.02 * TOP


def test_warm_up_sets_the_rising_part_of_onecycle():
    rates = trace(options("onecycle", warmup_epochs=3.0))
    assert rates.index(max(rates)) == 3 * STEPS - 1


@given(
    name=st.sampled_from(["constant", "step", "cosine", "onecycle", "plateau"]),
    epochs=st.integers(1, 20),
    steps=st.integers(1, 9),
    warmup=st.floats(0, 30),
)
def test_rates_are_finite_and_never_above_the_highest(name, epochs, steps, warmup):
    chosen = FitOptions(epochs=epochs, learning_rate=TOP, schedule=name, warmup_epochs=warmup)
    schedule = Schedule(chosen, steps)
    for step in range(epochs * steps):
        assert math.isfinite(schedule.rate(step))
        assert 0 <= schedule.rate(step) <= TOP * (1 + 1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_rate_and_momentum_reach_the_optimiser(optimizer):
    net = torch.nn.Linear(3, 2)
    chosen = FitOptions(epochs=4, optimizer=optimizer, schedule="onecycle", learning_rate=TOP)
    made = make_optimizer(net, chosen)
    schedule = Schedule(chosen, 5)
    for step in (0, 5, 19):
        assert schedule.apply(made, step) == schedule.rate(step)
        for group in made.param_groups:
            assert group["lr"] == schedule.rate(step)
            momentum = group["momentum"] if optimizer == "sgd" else group["betas"][0]
            assert momentum == schedule.momentum(step)
