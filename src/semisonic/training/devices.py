"""Where and how a step is computed: device, number format, random numbers.

**Random numbers.** Dropout and the like draw from the global generator. It is seeded from the
seed and the step before each step, so that a step draws the same numbers whether or not the
training was interrupted before it, and whatever was drawn in between.

**Number format.** bf16 arithmetic (autocast) is faster where the processor or the graphics card
has instructions for it, and several times slower where it is emulated. The choice is a function of
the device alone, so the same command computes alike however busy the machine is. It goes into the
checkpoint and the run record. Results that shall be compared between machines name their number
format, as the recipes do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.core.options import changed, nearest
from semisonic.training.options import FitOptions

_KNOWN = ("auto", "cpu", "cuda", "cuda:0", "mps")


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device with this name, if it is there.

    Parameters
    ----------
    name : str or torch.device
        ``auto`` (the first graphics card that CUDA knows, else the processor), ``cpu``,
        ``cuda``, ``cuda:1`` and so on, or ``mps`` (Apple; only when asked for).

    Raises
    ------
    OptionError
        When the name is unknown or this machine has no such device.
    """
    text = str(name)
    kind, _, number = text.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise OptionError(f"option 'device': found '{text}'; {nearest(text, _KNOWN)}")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError("option 'device': found 'mps', but this machine or torch has no Metal")
    if kind != "cuda":
        return torch.device(kind)
    if not torch.cuda.is_available():
        raise OptionError(
            f"option 'device': found '{text}', but torch sees no CUDA card "
            f"(torch {torch.__version__}); use 'cpu', or install torch's CUDA build"
        )
    card, count = int(number or 0), torch.cuda.device_count()
    if card >= count:
        raise OptionError(
            f"option 'device': found '{text}', but this machine has {count} "
            f"CUDA card{'s' * (count != 1)}, numbered from 0"
        )
    return torch.device("cuda", card)


@contextmanager
def kept_randomness(device: torch.device) -> Iterator[None]:
    """Within the block random numbers may be drawn; after it the global state is as before."""
    cards = [device.index or 0] if device.type == "cuda" else []
    metal = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=cards):
            yield
    finally:
        if metal is not None:
            torch.mps.set_rng_state(metal)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed the global generators of the processor and of ``device``."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "sve_bf16")
"""Of processors: each multiplies bf16 numbers and adds up in fp32."""


def choose_precision(precision: str, device: torch.device) -> str:
    """The number format of the forward pass.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16"}
        With "auto" bf16 where the device has instructions for it.
    device : torch.device

    Returns
    -------
    {"fp32", "bf16"}

    Raises
    ------
    OptionError
        When bf16 is asked for and the device cannot do it.
    """
    able = False
    if device.type == "cuda":
        able = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    elif device.type == "cpu":
        found = torch.cpu.get_capabilities()
        able = any(found.get(name, False) for name in BF16_INSTRUCTIONS)
    if precision == "bf16" and not able and device.type != "cpu":  # which emulates it
        raise OptionError(
            f"option 'precision': found 'bf16', which the device '{device}' cannot do; use 'fp32'"
        )
    return ("bf16" if able else "fp32") if precision == "auto" else precision


def with_precision(options: FitOptions, device: torch.device, precision: str) -> FitOptions:
    """The options with the number format written out; ``precision`` is for those that say auto."""
    asked = precision if options.precision == "auto" else options.precision
    return changed(options, precision=choose_precision(asked, device))


def lay_out(module: nn.Module, device: torch.device, precision: str) -> None:
    """Give four-dimensional weights the memory layout in which convolutions are fastest."""
    if device.type == "cpu":
        last = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    else:
        last = device.type == "cuda" and precision == "bf16"
    layout = torch.channels_last if last else torch.contiguous_format
    module.to(memory_format=layout)  # type: ignore[call-overload]
