"""How a step is computed: device, number format, random numbers, processes.

**Processes.** Launched by ``torchrun``, several train one network together. Each process reads its
share of every batch; torch's DistributedDataParallel averages the gradients. Validation, files and
progress are the first process's business.

**Random numbers.** Dropout and the like draw from the global generator. It is seeded from the
seed, the step and the process number before each step, so that a step draws the same numbers
whether or not the training was interrupted before it, and whatever was drawn in between.

**Number format.** bf16 arithmetic (autocast) is faster where the processor or the graphics card
has instructions for it, and several times slower where it is emulated. The choice is a function of
the device alone, so the same command computes alike however busy the machine is. It goes into the
checkpoint and the run record. Results that shall be compared between machines name their number
format, as the recipes do.

On a processor a convolution that strides to a width of one stays in fp32: oneDNN's bf16 code for
AMX reads memory there that nobody wrote, so that the result is wrong or NaN (pytorch issue 169688;
with torch 2.13 for two dimensions, too, forwards and backwards).
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.overrides import TorchFunctionMode

from semisonic.core.errors import OptionError
from semisonic.core.options import changed, nearest
from semisonic.training.options import FitOptions

_LAUNCHED = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that ``torchrun`` sets beside WORLD_SIZE."""
_KNOWN = ("auto", "cpu", "cuda", "cuda:0", "mps")


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device with this name, if it exists.

    Parameters
    ----------
    name : str or torch.device
        ``auto`` (the first graphics card that CUDA knows, else the processor), ``cpu``,
        ``cuda``, ``cuda:1`` and so on, or ``mps`` (Apple; only when asked for). Under
        ``torchrun``, ``auto`` and ``cuda`` give each process of a machine its own card.

    Raises
    ------
    OptionError
        If the name is unknown or this machine has no such device.
    """
    text = str(name)
    kind, _, number = text.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise OptionError(f"option 'device': found '{text}'; {nearest(text, _KNOWN)}")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError(
            "option 'device': found 'mps', but this machine or torch does not have Metal; use 'cpu'"
        )
    if kind != "cuda":
        return torch.device(kind)
    if not torch.cuda.is_available():
        raise OptionError(
            f"option 'device': found '{text}', but torch sees no CUDA card "
            f"(torch {torch.__version__}); use 'cpu', or install torch's CUDA build"
        )
    local = os.environ.get("LOCAL_RANK", "")
    number = number or (local if local.isdecimal() else "0")
    card, count = int(number), torch.cuda.device_count()
    if card >= count:
        raise OptionError(
            f"option 'device': found '{text}' (card {card}), but this machine has {count} CUDA "
            f"card{'s' * (count != 1)}, numbered from 0; start at most one process per card"
        )
    return torch.device("cuda", card)


class World(NamedTuple):
    """The processes that train together, seen from one of them; the first has rank 0."""

    rank: int = 0
    size: int = 1

    def sum(self, values: list[float], device: torch.device) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return [float(value) for value in total]

    def tell(self, value: Any) -> Any:
        """The value of the first process, in all processes."""
        told = [value]
        if self.size > 1:
            distributed.broadcast_object_list(told, src=0)
        return told[0]


def _leave() -> None:
    """Leave the other processes, with nothing left that keeps the threads of the group alive.

    A wrapped network in a cycle may keep them until Python itself is gone, and torch then aborts.
    """
    gc.collect()
    distributed.destroy_process_group()


def join(device: torch.device) -> World:
    """Join the processes that ``torchrun`` started, if it did; they stay joined until exit.

    Other programs that start several processes set some of its variables, but not all.
    """
    size = os.environ.get("WORLD_SIZE", "")
    if not size.isdecimal() or int(size) < 2 or not all(os.environ.get(one) for one in _LAUNCHED):
        return World()
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return World(distributed.get_rank(), distributed.get_world_size())


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
        If bf16 is asked for and the device cannot do it.
    """
    able = False
    if device.type == "cuda":
        able = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    elif device.type == "cpu":
        # torch 2.6 does not tell
        found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        able = any(found.get(name, False) for name in BF16_INSTRUCTIONS)
    if precision == "bf16" and not able and device.type != "cpu":  # which emulates it
        raise OptionError(
            f"option 'precision': found 'bf16', which the device '{device}' does not support; "
            "use 'fp32'"
        )
    return ("bf16" if able else "fp32") if precision == "auto" else precision


def with_precision(options: FitOptions, device: torch.device, precision: str) -> FitOptions:
    """The options with the number format written out; ``precision`` is for those that say auto."""
    asked = precision if options.precision == "auto" else options.precision
    return changed(options, precision=choose_precision(asked, device))


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within the block the forward pass computes in this number format, "fp32" or "bf16"."""
    is_bf16 = precision == "bf16"
    guard = _ExactStrides() if is_bf16 and device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16), guard:
        yield


class _ExactStrides(TorchFunctionMode):
    """Convolutions that stride to a width of one, and their transposes, compute in fp32."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        out = func(*args, **named)
        if func is torch.conv2d or func is torch.conv_transpose2d:
            narrow = out if func is torch.conv2d else (args[0] if args else named["input"])
            stride = args[3] if len(args) > 3 else named.get("stride", 1)
            if narrow.shape[-1] == 1 and (stride if isinstance(stride, int) else max(stride)) > 1:
                with torch.autocast("cpu", enabled=False):
                    return func(*map(_exact, args), **{k: _exact(v) for k, v in named.items()})
        return out


def _exact(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


def lay_out(module: nn.Module, device: torch.device, precision: str) -> None:
    """Give four-dimensional weights the memory layout in which convolutions are fastest."""
    if device.type == "cpu":
        last = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    else:
        last = device.type == "cuda" and precision == "bf16"
    layout = torch.channels_last if last else torch.contiguous_format
    module.to(memory_format=layout)  # type: ignore[call-overload]
