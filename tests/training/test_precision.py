"""The probe of number formats and memory layouts, and training in each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_standins import ArrayStream, Classify, same_weights, small_net, weights

from semisonic.base.errors import OptionError
from semisonic.training import FitOptions, Plan, Probe, fit, probe_precision
from semisonic.training.precision import choose

NAMES = ["fp32", "fp32+channels_last", "bf16", "bf16+channels_last"]


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ([10, 9, 9, 9], "fp32"),  # nothing wins clearly
        ([10, 8, 7.5, 3], "bf16+channels_last"),
        ([10, 6, 5.9, 5.8], "fp32+channels_last"),  # bf16 adds too little to layout alone
        ([10, 11, 30, 40], "fp32"),  # a processor without bf16
        ([2, 1, 1, 0.5], "fp32"),  # too small to be worth it, and to be timed
    ],
)
def test_the_plainer_way_is_kept_unless_another_wins_clearly(times, chosen):
    assert choose(dict(zip(NAMES, times, strict=True))) == chosen


def test_probe_times_each_and_leaves_no_trace():
    objective = Classify(small_net(dropout=0.5, norm=True)).eval()
    before = weights(objective)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    probe = probe_precision(objective, {"labelled": ArrayStream().at(0)})
    assert list(probe.times) == NAMES
    assert all(milliseconds > 0 for milliseconds in probe.times.values())
    assert probe.choice in NAMES
    assert same_weights(weights(objective), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not objective.training
    assert all(p.grad is None for p in objective.parameters())


def test_options_narrow_what_is_tried():
    objective, batches = Classify(small_net()), {"labelled": ArrayStream().at(0)}
    fixed = FitOptions(precision="bf16", channels_last="on")
    assert probe_precision(objective, batches, fixed) == Probe({}, "bf16+channels_last")
    half = probe_precision(objective, batches, FitOptions(precision="fp32"))
    assert list(half.times) == NAMES[:2]


def test_choice_is_written_into_options():
    fixed = Probe({}, "bf16+channels_last").fix(FitOptions(epochs=7))
    assert (fixed.precision, fixed.channels_last, fixed.epochs) == ("bf16", "on", 7)
    fixed = Probe({}, "fp32").fix(FitOptions())
    assert (fixed.precision, fixed.channels_last) == ("fp32", "off")


@pytest.mark.parametrize("text", NAMES)
def test_plans_print_and_parse(text):
    assert str(Plan.parse(text)) == text


@pytest.mark.parametrize(("precision", "layout"), [("fp32", "on"), ("bf16", "off"), ("bf16", "on")])
def test_every_format_trains_to_about_the_same(precision, layout):
    plain = FitOptions(epochs=8, learning_rate=0.01, precision="fp32", channels_last="off")
    results, objectives = [], []
    for options in (plain, replace(plain, precision=precision, channels_last=layout)):
        objectives.append(Classify(small_net(norm=True)))
        results.append(fit(objectives[-1], {"labelled": ArrayStream()}, options, seed=0))
    expected, found = (result.history[-1]["loss"] for result in results)
    assert found == pytest.approx(expected, abs=0.05)
    assert results[1].precision == str(Plan(precision == "bf16", layout == "on"))
    for tensor in objectives[1].state_dict().values():
        assert tensor.is_contiguous()
        assert tensor.dtype in (torch.float32, torch.int64)


def test_auto_is_probed_once_and_the_same_seed_repeats():
    runs = [
        fit(Classify(small_net()), {"labelled": ArrayStream()}, FitOptions(epochs=1), seed=0)
        for _ in range(2)
    ]
    assert runs[0].precision == runs[1].precision
    assert runs[0].history[0]["loss"] == runs[1].history[0]["loss"]


def test_bf16_where_it_cannot_be_is_an_error(monkeypatch):
    from semisonic.training.precision import allowed_plans

    with pytest.raises(OptionError, match="'mps' cannot do"):
        allowed_plans(FitOptions(precision="bf16"), torch.device("mps"))
    found = allowed_plans(FitOptions(), torch.device("mps"))
    assert found == [Plan(), Plan(channels_last=True)]
