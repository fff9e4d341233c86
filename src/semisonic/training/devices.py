"""Where and how a step is computed: device, number format, processes.

**Processes.** Launched by ``torchrun``, several train one network together. Each process reads its
share of every batch; torch's DistributedDataParallel averages the gradients. Validation, files and
progress are the first process's business. Without ``torchrun`` all of this is one process that
talks to nobody.

**Random numbers.** Dropout and the like draw from the global generator. It is seeded from the
seed, the step and the process number before each step, so that a step draws the same numbers
whether or not the training was interrupted before it, and whatever was drawn in between.

**Number format.** bf16 arithmetic (autocast) is faster where the processor or the graphics card
has instructions for it, and several times slower where it is emulated. Weights in channels-last
order suit the convolutions of oneDNN, and those in bf16 on a card.

The choice is a function of the device alone, so the same command computes alike however busy the
machine is. It goes into the checkpoint and the run record. Results that shall be compared between
machines name their number format, as the recipes do.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

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
        ``cuda``, ``cuda:1`` and so on, or ``mps`` (Apple; only when asked for). Under
        ``torchrun``, ``auto`` and ``cuda`` give each process of a machine its own card.

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
    if kind == "cuda":
        return _card(text, number or os.environ.get("LOCAL_RANK", "0"))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError("option 'device': found 'mps', but this machine or torch has no Metal")
    return torch.device(kind)


def _card(text: str, number: str) -> torch.device:
    if not torch.cuda.is_available():
        raise OptionError(
            f"option 'device': found '{text}', but torch sees no CUDA card "
            f"(torch {torch.__version__}); use 'cpu', or install torch's CUDA build"
        )
    count = torch.cuda.device_count()
    if int(number) >= count:
        raise OptionError(
            f"option 'device': found '{text}' (card {number}), but this machine has {count} "
            f"CUDA card{'s' * (count != 1)}, numbered from 0; start no more processes than cards"
        )
    return torch.device("cuda", int(number))


@dataclass(frozen=True)
class World:
    """The processes that train together, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over all processes."""
        return DistributedDataParallel(module) if self.size > 1 else module

    def share(self, n_rows: int, device: torch.device) -> float | Tensor:
        """What to multiply a mean over this process's rows by before gradients are averaged.

        It is 1 where all processes have equally many rows. In a last, uneven batch it makes
        every row count the same.
        """
        if self.size == 1:
            return 1.0
        total = torch.tensor(float(n_rows), device=device)
        distributed.all_reduce(total)
        return n_rows * self.size / total

    def sum(self, values: list[float], device: torch.device) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return cast("list[float]", total.tolist())

    def tell(self, value: Any) -> Any:
        """The value that the first process has, in all of them."""
        if self.size == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, src=0)
        return told[0]

    def equalise(self, module: nn.Module) -> None:
        """Give all processes the weights and buffers of the first."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            distributed.barrier()


def join(device: torch.device) -> World:
    """Join the processes that ``torchrun`` started, if it did; they stay joined until exit."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return World()
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return World(distributed.get_rank(), distributed.get_world_size())


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


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


@dataclass(frozen=True)
class PrecisionPlan:
    """How the forward pass computes: number format and memory layout."""

    bf16: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        return ("bf16" if self.bf16 else "fp32") + ("+channels_last" * self.channels_last)

    @classmethod
    def parse(cls, text: str) -> PrecisionPlan:
        """The plan that prints as ``text``."""
        return cls(bf16=text.startswith("bf16"), channels_last=text.endswith("channels_last"))

    def lay_out(self, module: nn.Module) -> None:
        """Give a module's four-dimensional weights the memory layout of the plan."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        module.to(memory_format=layout)  # type: ignore[call-overload]

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """The context in which the forward pass runs."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)


def _computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return any(able.get(name, False) for name in BF16_INSTRUCTIONS)
    return False


def _prefers_channels_last(device: torch.device, *, bf16: bool) -> bool:
    """Whether convolutions on a device are faster with weights in channels-last order."""
    if device.type == "cpu":
        return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return device.type == "cuda" and bf16


def choose_plan(options: FitOptions, device: torch.device) -> PrecisionPlan:
    """Number format and memory layout of a training.

    Parameters
    ----------
    options : FitOptions
        What they leave open goes by what the device can do.
    device : torch.device

    Returns
    -------
    PrecisionPlan

    Raises
    ------
    OptionError
        When bf16 is asked for and the device cannot do it.
    """
    if options.precision == "bf16" and not (device.type == "cpu" or _computes_bf16(device)):
        raise OptionError(
            f"option 'precision': found 'bf16', which the device '{device}' cannot do; use 'fp32'"
        )
    bf16 = options.precision == "bf16"
    if options.precision == "auto":
        bf16 = _computes_bf16(device)
    channels_last = options.channels_last == "on"
    if options.channels_last == "auto":
        channels_last = _prefers_channels_last(device, bf16=bf16)
    return PrecisionPlan(bf16, channels_last)


def with_plan(options: FitOptions, device: torch.device, precision: str = "auto") -> FitOptions:
    """The options with number format and layout written out.

    Parameters
    ----------
    options : FitOptions
    device : torch.device
    precision : {"auto", "fp32", "bf16"}
        For options that leave it open; ``auto`` leaves it to the device.

    Returns
    -------
    FitOptions
    """
    if options.precision == "auto":
        options = changed(options, precision=precision)
    plan = choose_plan(options, device)
    return changed(
        options,
        precision="bf16" if plan.bf16 else "fp32",
        channels_last="on" if plan.channels_last else "off",
    )


def check_plan(plan: str, options: FitOptions) -> None:
    """See that a checkpoint's number format and layout are ones that the options leave open.

    Parameters
    ----------
    plan : str
        As a :class:`PrecisionPlan` prints.
    options : FitOptions

    Raises
    ------
    OptionError
        When the options ask for something else.
    """
    recorded = PrecisionPlan.parse(plan)
    formats = {"fp32": [False], "bf16": [True]}.get(options.precision, [False, True])
    layouts = {"off": [False], "on": [True]}.get(options.channels_last, [False, True])
    if recorded.bf16 not in formats or recorded.channels_last not in layouts:
        raise OptionError(
            f"the checkpoint was computed in {plan}, but precision is '{options.precision}' and "
            f"channels_last '{options.channels_last}' now: set both as they were, or to 'auto'"
        )
