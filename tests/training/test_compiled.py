"""A compiled step computes what a plain one does, and a failure to compile is none to train."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_standins import ArrayStream, Classify, same_weights, small_net, weights

from semisonic.training.devices import LEAST_STEPS, ComputeStep, PrecisionPlan, wants_compiling
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

# Adam makes steps of full size of gradients that are nothing but rounding, as of a bias before
# a normalisation; plain descent does not.
OPTIONS = FitOptions(
    epochs=2,
    optimizer="sgd",
    learning_rate=0.01,
    precision="fp32",
    channels_last="off",
    restore_best=False,
)


def trained(options, dropout=0.0, norm=True):
    objective = Classify(small_net(dropout, norm))
    result = fit(objective, {"labelled": ArrayStream()}, options, seed=3)
    return weights(objective), [row["loss"] for row in result.history]


@pytest.mark.slow
def test_losses_and_weights_are_those_of_the_plain_step():
    plain, losses = trained(OPTIONS)
    compiled, other = trained(replace(OPTIONS, compile="on"))
    assert other == pytest.approx(losses, abs=1e-4)
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_what_cannot_be_compiled_is_trained_all_the_same(monkeypatch, caplog, where):
    def broken(model, **_):
        def run(batches):
            terms = model(batches)  # changes running statistics and draws dropout
            if where == "forward":
                raise RuntimeError("no compiler here\nand a long story")
            terms["loss"].register_hook(_raise)
            return terms

        return run

    def _raise(_):
        raise RuntimeError("no compiler here")

    plain, losses = trained(OPTIONS, dropout=0.5)
    monkeypatch.setattr(torch, "compile", broken)
    other, same = trained(replace(OPTIONS, compile="on"), dropout=0.5)
    assert "cannot be compiled here (RuntimeError: no compiler here)" in caplog.text
    assert same == losses
    assert same_weights(plain, other)


def test_it_is_compiled_where_it_may_pay():
    card, cpu = torch.device("cuda"), torch.device("cpu")
    steady, other = Classify(small_net()), Classify(small_net())
    other.steady = False
    assert not wants_compiling(other, OPTIONS, LEAST_STEPS, card)
    assert wants_compiling(steady, OPTIONS, LEAST_STEPS, card)
    assert not wants_compiling(steady, OPTIONS, LEAST_STEPS - 1, card)
    assert not wants_compiling(steady, OPTIONS, 10 * LEAST_STEPS, cpu)
    assert wants_compiling(steady, replace(OPTIONS, compile="on"), 1, cpu)
    assert not wants_compiling(steady, replace(OPTIONS, compile="off"), 10 * LEAST_STEPS, card)


def test_values_of_a_step_outlive_the_next(monkeypatch):
    """A replayed graph gives the same memory each time."""
    memory = torch.zeros(())

    def replayed(model, **_):
        def run(batches):
            terms = model(batches)
            with torch.no_grad():
                memory.copy_(terms["accuracy"])
            return {"loss": terms["loss"], "accuracy": memory}

        return run

    monkeypatch.setattr(torch, "compile", replayed)
    computing = ComputeStep(
        Classify(small_net()), PrecisionPlan(), torch.device("cpu"), compiled=True
    )
    stream = ArrayStream()
    first = computing.step({"labelled": stream.at(0)}, 1.0)["accuracy"]
    kept = first.clone()
    memory.fill_(-1.0)
    assert torch.equal(first, kept)
    assert computing.is_compiled


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("compile_it", ["off", "on"])
def test_a_graphics_card_learns_the_same(compile_it):
    plain, losses = trained(OPTIONS)
    objective = Classify(small_net(norm=True))
    stream = ArrayStream()
    stream.x, stream.y = stream.x.cuda(), stream.y.cuda()
    options = replace(OPTIONS, compile=compile_it)
    result = fit(objective, {"labelled": stream}, options, seed=3, device="cuda")
    assert [row["loss"] for row in result.history] == pytest.approx(losses, abs=1e-3)
    for name, value in plain.items():
        torch.testing.assert_close(weights(objective)[name].cpu(), value, atol=5e-3, rtol=5e-3)
