"""Which learning rate? Try all of them in one short training that nobody keeps."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch

from semisonic.core.progress import bar
from semisonic.learning.objective import Objective
from semisonic.training.devices import choose_device, kept_randomness
from semisonic.training.loop import NotFinite, Streams, Training, train_step
from semisonic.training.options import FitOptions

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
    rates : list of float
        Rising. Those of the encoder's layers may be shares of them.
    losses : list of float
        Of the batch at each step, before it; finite.
    smoothed : list of float
        Their moving average.
    stopped : bool
        Whether the loss exploded before the highest rate was reached.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    stopped: bool

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""
        return self.smoothed.index(min(self.smoothed))

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
) -> RateSweep:
    """Train a copy of an objective for some steps, each at the same multiple of the last's rate.

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

    Returns
    -------
    RateSweep

    Raises
    ------
    OptionError
        For wrong options, or streams that do not fit the objective.
    """
    place = choose_device(device)
    plain = replace(
        options,
        epochs=steps,
        steps=0,
        freeze_epochs=float(steps) if options.freeze_epochs else 0.0,
        ema_decay=0.0,
        patience=0,
        schedule="constant",
        restore_best=False,
    )
    rates = [lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps)]
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    with kept_randomness(place), bar(steps, "sweep", "step") as shown:
        training = Training(copy.deepcopy(objective), streams, plain, seed, place)
        training.prepare()
        training.rate_at = rates.__getitem__
        training.progress = shown
        training.freeze()
        while len(losses) < steps:
            train_step(training)
            try:
                training.read()
            except NotFinite:
                break
            losses.append(training.latest)
            mean = SMOOTHING * mean + (1 - SMOOTHING) * losses[-1]
            smoothed.append(mean / (1 - SMOOTHING ** len(losses)))
            if smoothed[-1] > TOO_HIGH * min(smoothed):
                break
    stopped = len(losses) < steps or smoothed[-1] > TOO_HIGH * min(smoothed)
    return RateSweep(rates[: len(losses)], losses, smoothed, stopped)
