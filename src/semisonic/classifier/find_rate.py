"""``find-rate``: try a range of learning rates in one short training that is not kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from semisonic.classifier import run_files
from semisonic.classifier.config import SOLVED
from semisonic.classifier.options import FindRateOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.train import TrainingJob, prepared_job, read_data
from semisonic.classifier.training import NO_ROWS, ClassifierTraining
from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.files import write_csv
from semisonic.core.html import Result
from semisonic.core.progress import bar
from semisonic.evaluation.plots.results import rate_sweep
from semisonic.learning.objective import Objective
from semisonic.training.devices import choose_device, kept_randomness
from semisonic.training.loop import NotFinite, Streams, Training, train_step
from semisonic.training.options import FitOptions

if TYPE_CHECKING:
    import pandas as pd

SMOOTHING = 0.9
"""Decay of the moving average of the loss, whose first values are corrected for bias."""
TOO_HIGH = 4.0
"""A loss this many times the lowest (smoothed) one ends a sweep."""
SAFE_SHARE = 0.1
"""The suggested rate as a share of the rate with the lowest loss."""
WARM_SHARE = 0.1
"""Share of the steps at the start; if the lowest loss is there, it did not fall."""


@dataclass(frozen=True)
class RateSweep:
    """The loss at each rate, in the order of the steps.

    Attributes
    ----------
    rates : list of float
        Rising rates. The rates of the encoder's layers may be shares of them.
    losses : list of float
        Losses of the batch before each step; finite.
    smoothed : list of float
        Their moving average.
    stopped : bool
        Whether the loss diverged before the highest rate was reached.
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
        """The suggested rate; None if the loss did not fall at any rate."""
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
    """Train a copy of an objective for some steps, with a learning rate that grows by a factor.

    Parameters
    ----------
    objective : Objective
        The objective; it is not changed, nor is torch's random state.
    streams : mapping
        As for :func:`semisonic.training.loop.fit`; read from their first step on.
    options : FitOptions
        Those of the training to find a rate for. Optimiser, weight decay, layer decay and largest
        norm are used. With ``freeze_epochs``, the encoder is always frozen: the rate is for the
        first phase.
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


@dataclass(frozen=True)
class FindRateResult(Result):
    """The result of ``find-rate``: the sweep on the training clips of a job, and its figure."""

    sweep: RateSweep
    job: TrainingJob
    figure: Path

    @property
    def failures(self) -> Failures:
        """Clips that could not be read, with the reason."""
        return self.job.prepared.failures

    def to_frame(self) -> pd.DataFrame:
        """A row per step: the learning rate, the loss, and its moving average."""
        import pandas as pd

        sweep = self.sweep
        return pd.DataFrame({"rate": sweep.rates, "loss": sweep.losses, "smoothed": sweep.smoothed})

    def summary(self) -> str:
        """For a terminal."""
        sweep, prepared = self.sweep, self.job.prepared
        what = "frozen encoder" if self.job.config.fit.freeze_epochs else "whole network"
        lines = [
            f"{len(sweep.rates)} steps on {prepared.n_clips(self.job.data.labelled)} clips, "
            f"{what}, learning rates {sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}"
            + (", where the loss diverged" if sweep.stopped else "")
        ]
        if sweep.suggestion is None:
            lines.append(
                "the loss did not fall at any rate: give a smaller --lowest-rate, and see the "
                "figure"
            )
        else:
            lines.append(
                f"the loss was lowest at {sweep.rates[sweep.lowest]:.2g}; a tenth of this rate "
                f"is a good start: --learning-rate {sweep.suggestion:.2g}"
            )
            if not sweep.stopped and sweep.lowest == len(sweep.rates) - 1:
                lines.append("the loss was still falling at the end: give a larger --highest-rate")
        bad = run_files.unreadable(prepared.failures, prepared.remarks)
        return "\n".join([*lines, *self.job.notes, *bad, f"figure: {self.figure}"])


def find_rate(options: FindRateOptions) -> FindRateResult:
    """Train for some steps with a rising learning rate; keep the losses but no weights.

    The method ``auto`` always trains the network here. Writes ``rates.csv`` and ``rates.png`` into
    the run folder.

    Raises
    ------
    OptionError, DataError, ModelError
        As ``train``; also for a method that solves for its class layer.
    """
    if options.method in SOLVED:
        raise OptionError(
            f"option 'method': '{options.method}' solves for its class layer and has no "
            "learning rate; give a method that trains the network, such as 'supervised'"
        )
    clips = read_data(options, "find-rate")
    with run_files.open_run("find-rate", options) as run, open_engine(options.where) as engine:
        _, job, _ = prepared_job(options, clips, run, engine)
        data, device = replace(job.data, validation=NO_ROWS), choose_device(options.device)
        one = ClassifierTraining(job.config, data, device, job.start)
        model = one.fresh_model(job.seed)
        sweep = sweep_rate(
            *one.parts(model, data.target, data.labelled, job.seed),
            lowest=options.lowest_rate,
            highest=options.highest_rate,
            steps=options.sweep_steps,
            seed=job.seed,
            device=device,
        )
        columns = (sweep.rates, sweep.losses, sweep.smoothed)
        write_csv(
            run.path("rates.csv"),
            ["step", "learning_rate", "loss", "smoothed_loss"],
            [[i, *(f"{x:.6g}" for x in row)] for i, row in enumerate(zip(*columns, strict=True))],
        )
        title = "Learning rates" + ", encoder frozen" * bool(job.config.fit.freeze_epochs)
        figure = rate_sweep(*columns, sweep.suggestion, title)
        run_files.write_figure(run.path("rates.png"), figure)
        run.note(suggestion=sweep.suggestion, lowest_at=sweep.rates[sweep.lowest])
    return FindRateResult(sweep, job, run.folder / "rates.png")
