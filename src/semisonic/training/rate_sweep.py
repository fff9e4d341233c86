"""Which learning rate? Try all of them in one short training that nobody keeps."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch

from semisonic.core.options import check
from semisonic.core.progress import bar
from semisonic.learning.objective import Objective
from semisonic.training.checkpoint import Streams, check_streams
from semisonic.training.devices import World, choose_device, choose_plan, kept_randomness
from semisonic.training.loop import train_step
from semisonic.training.optimizer import Schedule
from semisonic.training.options import FitOptions
from semisonic.training.state import NotFinite, TrainingState

SMOOTHING = 0.9
"""Of the moving average of the loss, whose first values are corrected for their number."""
TOO_HIGH = 4.0
"""How many times the lowest (smoothed) loss ends a sweep."""
SAFE_SHARE = 0.1
"""Of the rate at which the loss was lowest: what is suggested."""
WARM_SHARE = 0.1
"""Of the steps at the start: a loss that is lowest there did not fall."""


@dataclass(frozen=True)
class RateSweep:
    """The loss at each rate that was tried, in the order of the steps.

    Attributes
    ----------
    rates : tuple of float
        Rising. Those of the encoder's layers may be shares of them.
    losses : tuple of float
        Of the batch at each step, before it; finite.
    smoothed : tuple of float
        Their moving average.
    stopped : bool
        Whether the loss exploded before the highest rate was reached.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    stopped: bool

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""
        return min(range(len(self.smoothed)), key=self.smoothed.__getitem__)

    @property
    def suggestion(self) -> float | None:
        """A rate to train with; None where the loss fell at no rate."""
        if not self.smoothed or self.lowest < WARM_SHARE * len(self.smoothed):
            return None
        return SAFE_SHARE * self.rates[self.lowest]


def sweep_rate(
    objective: Objective,
    streams: Streams,
    options: FitOptions,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 140,
    seed: int,
    device: str | torch.device = "cpu",
    label: str = "sweep",
) -> RateSweep:
    """Train a copy of an objective for some steps, with a rate that rises from step to step.

    Parameters
    ----------
    objective : Objective
        Stays as it is, and so does torch's random state.
    streams : mapping
        As for :func:`semisonic.training.loop.fit`; read from their first step on.
    options : FitOptions
        Those of the training that the rate is sought for. The optimiser, the decay of weights
        and of layers, and the largest norm are read. With ``freeze_epochs`` the encoder is
        frozen all the time: the rate is that of the first phase.
    lowest, highest : float
        Learning rates of the first and of the last step.
    steps : int
    seed : int
    device : str or torch.device

    Raises
    ------
    OptionError
        For wrong options, or streams that do not fit the objective.
    """
    check(options)
    place = choose_device(device)
    check_streams(objective, streams, place.type)
    frozen = float(steps) if options.freeze_epochs else 0.0
    plain = replace(
        options,
        epochs=steps,
        steps=0,
        freeze_epochs=frozen,
        ema_decay=0.0,
        patience=0,
        schedule="constant",
        restore_best=False,
    )
    tried = copy.deepcopy(objective).to(place)
    with kept_randomness(place):
        training = TrainingState(
            tried,
            plain,
            1,
            seed=seed,
            device=place,
            world=World(),
            plan=choose_plan(options, place),
            validated=False,
            folder=None,
            identity={},
        )
        training.schedule = _Rise(plain, lowest, highest, steps)
        return _sweep(training, streams, steps, label)


def _sweep(training: TrainingState, streams: Streams, n_steps: int, label: str) -> RateSweep:
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean, stopped = 0.0, False
    training.freezing.train()
    with bar(n_steps, label, "step") as shown:
        for step in range(n_steps):
            train_step(training, streams)
            try:
                training.meter.read()
            except NotFinite:
                stopped = True
                break
            loss = training.meter.latest
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            rates.append(training.schedule.rate(step))
            losses.append(loss)
            smoothed.append(mean / (1 - SMOOTHING ** (step + 1)))
            shown.update()
            if smoothed[-1] > TOO_HIGH * min(smoothed):
                stopped = True
                break
    return RateSweep(tuple(rates), tuple(losses), tuple(smoothed), stopped)


class _Rise(Schedule):
    """Each rate is the same multiple of the one before."""

    def __init__(self, options: FitOptions, lowest: float, highest: float, steps: int) -> None:
        super().__init__(options, 1)
        self.low, self.range, self.last = lowest, highest / lowest, steps - 1

    def rate(self, step: int) -> float:
        """The learning rate of a step; steps count from 0."""
        return self.low * math.pow(self.range, step / self.last)
