"""Devices by name, and the number format that they compute in."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from training_standins import ArrayStream, Classify, small_net, weights

from semisonic.core.errors import OptionError
from semisonic.training.devices import choose_device, choose_precision, computing_in
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions


@pytest.fixture
def cards(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return pretend


def test_cpu_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


def test_auto_takes_a_card_if_there_is_one(cards, monkeypatch):
    cards(0)
    assert choose_device("auto") == torch.device("cpu")
    cards(2)
    assert choose_device("auto") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "1")  # each process of a machine takes its own card
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(OptionError, match="has 2 CUDA cards"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpuu", "", "cuda:-1"])
def test_unknown_names_are_errors(name):
    with pytest.raises(OptionError, match="option 'device': found"):
        choose_device(name)


def test_missing_devices_are_errors_that_say_what_there_is(cards, monkeypatch):
    cards(0)
    with pytest.raises(OptionError, match="torch sees no CUDA card"):
        choose_device("cuda")
    cards(1)
    with pytest.raises(OptionError, match=r"found 'cuda:3' .* has 1 CUDA card,"):
        choose_device("cuda:3")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(OptionError, match="does not have Metal"):
        choose_device("mps")


CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize("able", [True, False])
def test_the_number_format_goes_by_what_the_device_can_do(able, monkeypatch):
    found = {"avx512_bf16": able, "avx2": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: able)
    expected = "bf16" if able else "fp32"
    assert choose_precision("auto", CPU) == choose_precision("auto", CUDA) == expected
    assert choose_precision("auto", MPS) == "fp32"
    assert [choose_precision(name, CPU) for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(OptionError, match="'mps' does not support"):
        choose_precision("bf16", MPS)
    result = fit(Classify(small_net()), {"labelled": ArrayStream()}, FitOptions(epochs=1), seed=0)
    assert result.precision == expected


def test_where_torch_does_not_tell_what_a_processor_can_it_is_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", CPU) == "fp32"


def test_both_formats_train_to_about_the_same():
    losses = []
    for precision in ("fp32", "bf16"):
        objective = Classify(small_net(norm=True))
        options = FitOptions(epochs=8, learning_rate=0.01, precision=precision)
        result = fit(objective, {"labelled": ArrayStream()}, options, seed=0)
        losses.append(result.history[-1]["loss"])
        assert result.precision == precision
        for tensor in objective.state_dict().values():
            assert tensor.is_contiguous()
            assert tensor.dtype in (torch.float32, torch.int64)
    assert losses[1] == pytest.approx(losses[0], abs=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graphics_card_learns_the_same():
    # Adam makes steps of full size of gradients that are nothing but rounding, as of a bias before
    # a normalisation; plain descent does not.
    options = FitOptions(epochs=2, optimizer="sgd", learning_rate=0.01, precision="fp32")
    found = []
    for device in (CPU, CUDA):
        objective, stream = Classify(small_net(norm=True)), ArrayStream()
        stream.x, stream.y = stream.x.to(device), stream.y.to(device)
        result = fit(objective, {"labelled": stream}, options, seed=3, device=device)
        found.append((weights(objective), [row["loss"] for row in result.history]))
    (plain, losses), (on_card, again) = found
    assert again == pytest.approx(losses, abs=1e-3)
    for name, value in plain.items():
        torch.testing.assert_close(on_card[name].cpu(), value, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("make", [torch.nn.Conv2d, torch.nn.ConvTranspose2d])
@pytest.mark.parametrize(
    ("kernel", "stride", "width", "is_exact"),
    [(5, 2, 6, True), (3, 3, 3, True), (5, 2, 7, False), (3, 1, 3, False), (1, 1, 1, False)],
)
def test_a_convolution_that_strides_to_a_width_of_one_is_exact(
    make, kernel, stride, width, is_exact
) -> None:
    """Where oneDNN is wrong in bf16 on processors with AMX; forwards, backwards and transposed."""
    torch.manual_seed(0)
    layer = make(16, 32, kernel, stride, groups=2).to(memory_format=torch.channels_last)
    narrow = (width - kernel) // stride + 1
    x = torch.rand(8, 16, 30, width if make is torch.nn.Conv2d else narrow, requires_grad=True)
    expected = layer(x)
    gradients = torch.autograd.grad(expected.sum(), [x, layer.weight])
    function = getattr(functional, make.__name__.lower().replace("transpose", "_transpose"))
    with computing_in("bf16", torch.device("cpu")):
        found = layer(x)
        again = function(x, layer.weight, bias=layer.bias, stride=stride, groups=2)
    assert (found.dtype == torch.float32) == is_exact
    assert again.dtype == found.dtype
    bound = {"rtol": 1e-5, "atol": 1e-5} if is_exact else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(found.float(), expected, **bound)
    for one, other in zip(
        torch.autograd.grad(found.sum(), [x, layer.weight]), gradients, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05 * float(other.abs().max()))
