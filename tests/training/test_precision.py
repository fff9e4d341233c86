"""Number formats and memory layouts: chosen by what the device can do, and training in each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from training_standins import ArrayStream, Classify, small_net

from semisonic.core.errors import OptionError
from semisonic.training.devices import PrecisionPlan, choose_plan
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.fixture(params=[True, False], ids=["with bf16", "without bf16"])
def able(request, monkeypatch) -> bool:
    """A machine whose processor has, or has not, instructions for bf16."""
    has = bool(request.param)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has, "avx2": True})
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    return has


def test_auto_goes_by_what_the_processor_can_do(able):
    assert choose_plan(FitOptions(), CPU) == PrecisionPlan(bf16=able, channels_last=True)


def test_auto_goes_by_what_the_card_can_do(able):
    assert choose_plan(FitOptions(), CUDA) == PrecisionPlan(bf16=able, channels_last=able)
    assert choose_plan(FitOptions(), MPS) == PrecisionPlan()


def test_layout_is_plain_where_nothing_gains_by_another(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not choose_plan(FitOptions(), CPU).channels_last


@pytest.mark.parametrize("fmt", ["fp32", "bf16"])
@pytest.mark.parametrize("layout", ["on", "off"])
def test_what_is_named_holds_on_every_processor(able, fmt, layout):
    named = FitOptions(precision=fmt, channels_last=layout)
    assert choose_plan(named, CPU) == PrecisionPlan(fmt == "bf16", layout == "on")


def test_training_computes_as_chosen_and_says_so(able, tmp_path):
    streams = {"labelled": ArrayStream()}
    result = fit(Classify(small_net()), streams, FitOptions(epochs=1), seed=0, folder=tmp_path)
    assert result.precision == ("bf16" if able else "fp32") + "+channels_last"
    assert json.loads((tmp_path / "timing.json").read_text())["precision"] == result.precision
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["plan"] == result.precision


@pytest.mark.parametrize("text", ["fp32", "fp32+channels_last", "bf16", "bf16+channels_last"])
def test_plans_print_and_parse(text):
    assert str(PrecisionPlan.parse(text)) == text


@pytest.mark.parametrize(("precision", "layout"), [("fp32", "on"), ("bf16", "off"), ("bf16", "on")])
def test_every_format_trains_to_about_the_same(precision, layout):
    plain = FitOptions(epochs=8, learning_rate=0.01, precision="fp32", channels_last="off")
    results, objectives = [], []
    for options in (plain, replace(plain, precision=precision, channels_last=layout)):
        objectives.append(Classify(small_net(norm=True)))
        results.append(fit(objectives[-1], {"labelled": ArrayStream()}, options, seed=0))
    expected, found = (result.history[-1]["loss"] for result in results)
    assert found == pytest.approx(expected, abs=0.05)
    assert results[1].precision == str(PrecisionPlan(precision == "bf16", layout == "on"))
    for tensor in objectives[1].state_dict().values():
        assert tensor.is_contiguous()
        assert tensor.dtype in (torch.float32, torch.int64)


def test_bf16_where_it_cannot_be_is_an_error():
    with pytest.raises(OptionError, match="'mps' cannot do"):
        choose_plan(FitOptions(precision="bf16"), MPS)
