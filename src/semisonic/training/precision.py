"""Number format and memory layout: what is fastest here, found by timing it.

Channels-last weights with bf16 arithmetic (autocast) train the small networks of this
project two to three times as fast on processors with AVX512-BF16, at equal accuracy, and
more slowly on processors without. No table of processors can be kept up to date, so a few
steps of each are timed.

The clock decides, and clocks differ from run to run. So on a processor the time is counted
that the process itself computed, which other programs do not change; the plainer way is kept
unless a faster one wins clearly (:data:`MARGIN`); the choice is remembered for the life of the
process; and it goes into the checkpoint and the run record. Whoever trains many networks
that are to be compared probes once and passes the result on (:meth:`Probe.fix`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import nn

from semisonic.base.errors import OptionError
from semisonic.base.seeds import derive
from semisonic.learning import BatchLike, Objective
from semisonic.training.options import FitOptions
from semisonic.training.randomness import kept_randomness, seed_torch

MARGIN = 1.15  # how many times faster the less plain way must be
WARM_ROUNDS = 2
TIMED_ROUNDS = 5
TIME_LIMIT = 3.0  # seconds after which no new round is begun
NEGLIGIBLE = 3.0  # milliseconds a step below which no other way is worth having


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


@dataclass(frozen=True)
class Probe:
    """Milliseconds a step of each plan, in order of plainness, and the plan chosen."""

    times: Mapping[str, float]
    choice: str

    def fix(self, options: FitOptions) -> FitOptions:
        """The options with the choice written out, so that nothing is probed again."""
        plan = Plan.parse(self.choice)
        return replace(
            options,
            precision="bf16" if plan.bf16 else "fp32",
            channels_last="on" if plan.channels_last else "off",
        )


def probe_precision(
    objective: Objective,
    batches: Mapping[str, BatchLike],
    options: FitOptions | None = None,
) -> Probe:
    """Time a few steps of each allowed plan and choose one.

    Copies of the objective are trained on, so its weights, its statistics and torch's
    random state stay as they are. Rounds are interleaved and each plan's fastest round
    counts, so that a passing load on the machine favours none.

    Parameters
    ----------
    objective : Objective
        On the device that it will be trained on.
    batches : mapping
        One batch of each stream, on the same device.
    options : FitOptions, optional
        ``precision`` and ``channels_last`` other than ``auto`` narrow what is tried.

    Returns
    -------
    Probe
        With one plan only, nothing is timed and ``times`` is empty.
    """
    device = device_of(objective)
    plans = allowed_plans(options or FitOptions(), device)
    if len(plans) == 1:
        return Probe({}, str(plans[0]))
    with kept_randomness(device):
        seed_torch(derive(0, "probe"), device)
        trials = [_Trial(objective, plan, batches, device) for plan in plans]
        rounds = _time_rounds(trials)
    times = {
        str(plan): 1e3 * min(seconds)
        for plan, seconds in zip(plans, zip(*rounds, strict=True), strict=True)
    }
    return Probe(times, choose(times))


def _time_rounds(trials: list[_Trial]) -> list[list[float]]:
    """Seconds of each trial in each round, after a round or two to warm up."""
    start = time.perf_counter()
    rounds: list[list[float]] = []
    for number in range(WARM_ROUNDS + TIMED_ROUNDS):
        if rounds and time.perf_counter() - start > TIME_LIMIT:
            break
        seconds = [trial.step() for trial in trials]
        if number >= WARM_ROUNDS or time.perf_counter() - start > TIME_LIMIT:
            rounds.append(seconds)
    return rounds


def choose(times: Mapping[str, float]) -> str:
    """The plan to use: a later one only where it is :data:`MARGIN` times as fast.

    A network so small that a step takes less than :data:`NEGLIGIBLE` keeps the plain way:
    there the clock cannot tell the plans apart, and the same seed should give the same numbers.
    """
    names = list(times)
    best = names[0]
    if times[best] < NEGLIGIBLE:
        return best
    for name in names[1:]:
        if times[name] * MARGIN <= times[best]:
            best = name
    return best


def allowed_plans(options: FitOptions, device: torch.device) -> list[Plan]:
    """The plans that the options leave open, the plainest first.

    Raises
    ------
    OptionError
        When bf16 is asked for and the device cannot do it.
    """
    can = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    if options.precision == "bf16" and not can:
        raise OptionError(
            f"option 'precision': found 'bf16', which the device '{device}' cannot do; use 'fp32'"
        )
    formats = {"fp32": [False], "bf16": [True], "auto": [False, True] if can else [False]}
    layouts = {"off": [False], "on": [True], "auto": [False, True]}
    return [
        Plan(bf16, channels_last)
        for bf16 in formats[options.precision]
        for channels_last in layouts[options.channels_last]
    ]


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


_remembered: dict[tuple[object, ...], Plan] = {}


def choose_plan(
    objective: Objective, batches: Mapping[str, BatchLike], options: FitOptions
) -> Plan:
    """The plan for a training; probes at most once in a process for the same kind of work."""
    device = device_of(objective)
    kind = (
        type(objective).__name__,
        tuple((tuple(p.shape), p.requires_grad) for p in objective.parameters()),
        tuple((name, tuple(batch.x.shape[1:])) for name, batch in sorted(batches.items())),
        str(device),
        torch.get_num_threads(),
        options.precision,
        options.channels_last,
    )
    if kind not in _remembered:
        _remembered[kind] = Plan.parse(probe_precision(objective, batches, options).choice)
    return _remembered[kind]


def device_of(module: nn.Module) -> torch.device:
    """Where a module's first weight lies; the processor for a module without any."""
    for tensor in module.parameters():
        return tensor.device
    return torch.device("cpu")


class _Trial:
    """Steps of a copy of the objective under one plan."""

    def __init__(
        self,
        objective: Objective,
        plan: Plan,
        batches: Mapping[str, BatchLike],
        device: torch.device,
    ) -> None:
        self.objective = copy.deepcopy(objective).train()
        self.plan, self.batches, self.device = plan, batches, device
        plan.lay_out(self.objective)

    def step(self) -> float:
        """Forward and backward once; seconds taken."""
        self._wait()
        start = self._now()
        with self.plan.autocast(self.device):
            loss = self.objective(self.batches)["loss"]
        self.objective.zero_grad(set_to_none=True)
        loss.backward()
        self._wait()
        return self._now() - start

    def _now(self) -> float:
        """Seconds: of the clock on a GPU, of computing a thread on a processor."""
        if self.device.type != "cpu":
            return time.perf_counter()
        return time.process_time() / torch.get_num_threads()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
