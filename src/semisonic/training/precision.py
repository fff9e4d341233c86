"""Number format and memory layout of the forward pass, chosen by what the device can do.

bf16 arithmetic (autocast) is faster where the processor or the graphics card has instructions
for it, and several times slower where it is emulated. Weights in channels-last order suit the
convolutions of oneDNN, and those in bf16 on a card.

The choice is a function of the device alone, so the same command computes alike however busy the
machine is. It goes into the checkpoint and the run record. Results that shall be compared between
machines name their number format, as the recipes do.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from semisonic.base.errors import OptionError
from semisonic.base.options import changed
from semisonic.training.options import FitOptions

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "sve_bf16")
"""Of processors: each multiplies bf16 numbers and adds up in fp32."""


@dataclass(frozen=True)
class Plan:
    """How the forward pass computes: number format and memory layout."""

    bf16: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        return ("bf16" if self.bf16 else "fp32") + ("+channels_last" * self.channels_last)

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The plan that prints as ``text``."""
        return cls(bf16=text.startswith("bf16"), channels_last=text.endswith("channels_last"))

    def lay_out(self, module: nn.Module) -> None:
        """Give a module's four-dimensional weights the memory layout of the plan."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        module.to(memory_format=layout)  # type: ignore[call-overload]

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """The context in which the forward pass runs."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return any(able.get(name, False) for name in BF16_INSTRUCTIONS)
    return False


def prefers_channels_last(device: torch.device, *, bf16: bool) -> bool:
    """Whether convolutions on a device are faster with weights in channels-last order."""
    if device.type == "cpu":
        return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return device.type == "cuda" and bf16


def choose_plan(options: FitOptions, device: torch.device) -> Plan:
    """The plan that the options name; what they leave open goes by what the device can do.

    Raises
    ------
    OptionError
        When bf16 is asked for and the device cannot do it.
    """
    if options.precision == "bf16" and not (device.type == "cpu" or computes_bf16(device)):
        raise OptionError(
            f"option 'precision': found 'bf16', which the device '{device}' cannot do; use 'fp32'"
        )
    bf16 = options.precision == "bf16"
    if options.precision == "auto":
        bf16 = computes_bf16(device)
    channels_last = options.channels_last == "on"
    if options.channels_last == "auto":
        channels_last = prefers_channels_last(device, bf16=bf16)
    return Plan(bf16, channels_last)


def with_plan(options: FitOptions, device: torch.device, precision: str = "auto") -> FitOptions:
    """The options with number format and layout written out.

    ``precision`` stands in for options that leave it open; ``auto`` leaves it to the device.
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
    """See that a checkpoint's plan is one that the options leave open.

    Raises
    ------
    OptionError
        When the options ask for something else.
    """
    found = Plan.parse(plan)
    formats = {"fp32": [False], "bf16": [True]}.get(options.precision, [False, True])
    layouts = {"off": [False], "on": [True]}.get(options.channels_last, [False, True])
    if found.bf16 not in formats or found.channels_last not in layouts:
        raise OptionError(
            f"the checkpoint was computed in {plan}, but precision is '{options.precision}' and "
            f"channels_last '{options.channels_last}' now: set both as they were, or to 'auto'"
        )
