"""The forward and backward pass as one compiled program, where that pays.

On a graphics card a small network is computed faster than Python can ask for it: most of a
step is launching kernels. ``torch.compile`` joins them, and its mode ``reduce-overhead``
records a step once and replays it as a CUDA graph. Compiling takes from seconds to a minute,
so short trainings are better without. On the processors measured here it is a loss
(docs/speed.md), so there it is for tests and for the curious.

What cannot be compiled is no error: the training goes on as if nothing had been asked for, and
says so once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from semisonic.learning import BatchLike, Objective
from semisonic.training.options import FitOptions
from semisonic.training.precision import Plan

LEAST_STEPS = 3000
"""Steps of a training from which on compiling is tried without being asked for, on a GPU."""

Terms = dict[str, Tensor]

log = logging.getLogger(__name__)


def wants_compiling(
    objective: Objective, options: FitOptions, n_steps: int, device: torch.device
) -> bool:
    """Whether a training of so many steps shall be compiled."""
    if options.compile == "auto":
        return device.type == "cuda" and n_steps >= LEAST_STEPS and objective.steady
    return options.compile == "on"


class Computing:
    """Losses and gradients of one step, compiled at the first call if asked for.

    Parameters
    ----------
    model : nn.Module
        An objective, or what wraps it for several processes.
    plan : Plan
    device : torch.device
    compiled : bool
        Try to compile; after a failure steps are computed plainly.
    """

    def __init__(
        self, model: nn.Module, plan: Plan, device: torch.device, *, compiled: bool = False
    ) -> None:
        self.plain, self.plan, self.device = model, plan, device
        self._compiled: Any = None
        if compiled:
            mode = "reduce-overhead" if device.type == "cuda" else None
            self._compiled = torch.compile(model, mode=mode)
        self._proven = False

    @property
    def is_compiled(self) -> bool:
        """Whether steps are compiled, and none has failed so far."""
        return self._compiled is not None

    def step(self, batches: Mapping[str, BatchLike], share: float | Tensor) -> Terms:
        """The terms of a step; gradients of ``share`` times the loss are added to the weights'."""
        if self._compiled is None:
            return self._run(self.plain, batches, share)
        if self._proven:
            return self._run_compiled(batches, share)
        before = {name: value.clone() for name, value in self.plain.named_buffers()}
        random = _random_state()
        try:
            terms = self._run_compiled(batches, share)
        except Exception as error:
            self._give_up(error)
            with torch.no_grad():
                for name, value in self.plain.named_buffers():
                    value.copy_(before[name])
            _set_random_state(random)
            for weight in self.plain.parameters():
                weight.grad = None
            return self._run(self.plain, batches, share)
        self._proven = True
        return terms

    def _run_compiled(self, batches: Mapping[str, BatchLike], share: float | Tensor) -> Terms:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        terms = self._run(self._compiled, batches, share)
        # A graph that is replayed writes into the memory of the step before.
        return {name: value.detach().clone() for name, value in terms.items()}

    def _run(self, model: Any, batches: Mapping[str, BatchLike], share: float | Tensor) -> Terms:
        with self.plan.autocast(self.device):
            terms: Terms = model(batches)
        loss: Any = terms["loss"] * share
        loss.backward()
        return terms

    def _give_up(self, error: Exception) -> None:
        self._compiled = None
        reason = str(error).strip().partition("\n")[0]
        log.warning(
            "the training step cannot be compiled here (%s: %s): it goes on without",
            type(error).__name__, reason[:200],
        )  # fmt: skip


def _random_state() -> list[Tensor]:
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *cards]


def _set_random_state(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if state[1:]:
        torch.cuda.set_rng_state_all(state[1:])
