"""All that a training consists of, and its way into a checkpoint and back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from semisonic.base.errors import OptionError
from semisonic.base.files import write_json
from semisonic.learning import Objective
from semisonic.training.averaging import WeightAverage, put_weights, weights_of
from semisonic.training.checkpoint import CheckpointClock, Identity, save_checkpoint
from semisonic.training.compiled import Computing, wants_compiling
from semisonic.training.distributed import World
from semisonic.training.early_stopping import EarlyStopping
from semisonic.training.freezing import Freezing
from semisonic.training.meter import EpochMeter
from semisonic.training.optimisers import make_optimizer
from semisonic.training.options import FitOptions
from semisonic.training.precision import Plan
from semisonic.training.schedules import Schedule

Validate = Callable[[], Mapping[str, float]]
Row = dict[str, float]


@dataclass(frozen=True)
class FitResult:
    """What a training gives back, beside the weights that the objective now carries.

    Attributes
    ----------
    history : list of dict
        A row per epoch: ``epoch`` (from 1), ``loss`` and the objective's terms (means over
        the training batches), ``lr`` (of the last step), ``val_...`` and ``seconds``.
    best_epoch : int
        The epoch with the best monitor; the last one when none is looked for.
    n_steps : int
        Steps taken, those before an interruption included.
    seconds : float
        Time in epochs, validation included.
    precision : str
        Number format and memory layout, such as ``bf16+channels_last``.
    stopped_early : bool
        Whether patience ended it before the last epoch.
    """

    history: list[Row]
    best_epoch: int
    n_steps: int
    seconds: float
    precision: str
    stopped_early: bool


class Training:
    """The parts of one training. The loop in ``loop.py`` moves them."""

    def __init__(
        self,
        objective: Objective,
        options: FitOptions,
        steps_per_epoch: int,
        *,
        seed: int,
        device: torch.device,
        world: World,
        plan: Plan,
        validated: bool,
        folder: Path | None,
        identity: Identity,
    ) -> None:
        self.options, self.seed, self.device, self.world = options, seed, device, world
        self.folder, self.identity, self.plan = folder, identity, plan
        self.steps_per_epoch = steps_per_epoch
        self.n_steps = options.n_steps(steps_per_epoch)
        plan.lay_out(objective)
        self.objective = objective
        self.weights = [p for p in objective.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(objective, options, objective.body)
        self.freezing = Freezing(objective, options, steps_per_epoch)
        self._computing: Computing | None = None
        self.schedule = Schedule(options, steps_per_epoch)
        decay = options.ema_decay
        self.average = WeightAverage(objective, decay) if decay > 0 else None
        self.stopping = make_stopping(options, validated)
        self.clock = CheckpointClock(options.checkpoint_interval)
        self.step = 0
        self.history: list[Row] = []
        self.begin_epoch()

    def computing(self) -> Computing:
        """What computes the current step, frozen or not as the step asks for."""
        if self.freezing.follow(self.step):
            self._computing = None  # processes agree anew on the weights that have gradients
        if self._computing is None:
            self._computing = Computing(
                self.world.wrap(self.objective), self.plan, self.device,
                compiled=wants_compiling(
                    self.objective, self.options, self.n_steps, self.device
                ),
            )  # fmt: skip
        return self._computing

    def begin_epoch(self) -> None:
        """Start to gather the numbers of an epoch."""
        self.meter = EpochMeter()
        self._seconds_before = 0.0
        self._since = time.perf_counter()

    @property
    def epoch_end(self) -> int:
        """The step with which the current epoch is over."""
        return min((len(self.history) + 1) * self.steps_per_epoch, self.n_steps)

    @property
    def epoch_seconds(self) -> float:
        """Time spent in the current epoch, before interruptions included."""
        return self._seconds_before + time.perf_counter() - self._since

    @property
    def is_done(self) -> bool:
        """Whether all epochs are over, or patience is."""
        stopped = self.stopping is not None and self.stopping.stop
        return stopped or len(self.history) >= self.options.epochs

    def end_epoch(self, validate: Validate | None) -> None:
        """Validate, look whether this is the best epoch so far, add a row to the history.

        Validation and the choice of the best see the averaged weights where there are any.
        """
        means = self.meter.means(self.world, self.device)
        rate = float(self.optimizer.param_groups[0]["lr"])
        row: Row = {"epoch": len(self.history) + 1, **means, "lr": rate}
        averaged = self.average.in_place_of(self.objective) if self.average else nullcontext()
        self.objective.eval()
        with torch.no_grad(), averaged:
            if validate is not None:
                row |= self.world.tell(_named(validate()) if self.world.is_first else {})
            if self.stopping is not None:
                self.stopping.look(row, weights_of(self.objective))
        self.freezing.train()
        self.schedule.end_epoch(self.options.monitor, row)
        row["seconds"] = self.epoch_seconds
        self.history.append(row)
        self.begin_epoch()

    def save(self) -> None:
        """Write a checkpoint and the history; the meter must have been read."""
        start = time.perf_counter()
        if self.folder is not None and self.world.is_first:
            save_checkpoint(self.folder, self._state())
            write_history(self.folder, self.history)
        self.clock.written(time.perf_counter() - start)

    def _state(self) -> dict[str, Any]:
        return {
            "identity": self.identity,
            "finished": False,
            "plan": str(self.plan),
            "step": self.step,
            "weights": weights_of(self.objective),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "average": self.average.state() if self.average else None,
            "stopping": self.stopping.state() if self.stopping else None,
            "meter": self.meter.state(),
            "history": self.history,
            "epoch_seconds": self.epoch_seconds,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        put_weights(self.objective, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load(state["schedule"])
        if self.average is not None:
            self.average.load(**state["average"])
        if self.stopping is not None:
            self.stopping.load(state["stopping"])
        if self.world.is_first:  # the others' part of an interrupted epoch is not known
            self.meter.load(state["meter"])
        self.step, self.history = state["step"], list(state["history"])
        self._seconds_before = state["epoch_seconds"]

    def finish(self) -> FitResult:
        """Give the objective its final weights, in plain memory layout and for evaluation."""
        if self.stopping is not None and self.stopping.keep_weights:
            put_weights(self.objective, self.stopping.best_weights)
        elif self.average is not None:
            put_weights(self.objective, self.average.weights)
        self._computing = None
        self.world.equalise(self.objective)
        Plan().lay_out(self.objective)
        self.objective.eval()
        state = {
            "identity": self.identity,
            "finished": True,
            "plan": str(self.plan),
            "step": self.step,
            "weights": weights_of(self.objective),
            "history": self.history,
            "best_epoch": self.stopping.best_epoch if self.stopping else len(self.history),
            "stopped_early": len(self.history) < self.options.epochs,
        }
        result = result_of(state)
        if self.folder is not None and self.world.is_first:
            save_checkpoint(self.folder, state)
            write_history(self.folder, self.history)
            write_timing(self.folder, result)
        self.world.wait()
        return result


def result_of(finished: Mapping[str, Any]) -> FitResult:
    """The result that the checkpoint of a finished training holds."""
    history: list[Row] = [dict(row) for row in finished["history"]]
    return FitResult(
        history=history,
        best_epoch=finished["best_epoch"],
        n_steps=finished["step"],
        seconds=sum(row["seconds"] for row in history),
        precision=finished["plan"],
        stopped_early=finished["stopped_early"],
    )


def make_stopping(options: FitOptions, validated: bool) -> EarlyStopping | None:
    """What follows the monitor, or None where nothing depends on it.

    Raises
    ------
    OptionError
        When a validation column is asked for and nothing is validated.
    """
    needed = options.patience > 0 or options.schedule == "plateau"
    if not needed and not (validated and options.restore_best):
        return None
    if options.monitor.startswith("val_") and not validated:
        raise OptionError(
            f"option 'monitor': '{options.monitor}' is followed by patience or the schedule "
            "'plateau', but this training has no validation; give clips to validate on, or "
            "follow 'loss'"
        )
    return EarlyStopping(options.monitor, options.patience, options.restore_best)


def write_history(folder: Path, history: list[Row]) -> None:
    """Write ``history.json``: the rows without their seconds.

    So that two trainings with one seed write the same bytes, times are kept apart, and
    numbers that JSON has no name for (NaN) are null.
    """
    rows = [
        {name: v if math.isfinite(v) else None for name, v in row.items() if name != "seconds"}
        for row in history
    ]
    write_json(folder / "history.json", rows)


def write_timing(folder: Path, result: FitResult) -> None:
    """Write ``timing.json``: what may differ between two trainings with one seed."""
    timing = {
        "seconds": round(result.seconds, 3),
        "epoch_seconds": [round(row["seconds"], 4) for row in result.history],
        "precision": result.precision,
    }
    write_json(folder / "timing.json", timing)


def _named(values: Mapping[str, float]) -> Row:
    return {
        name if name.startswith("val_") else f"val_{name}": float(value)
        for name, value in values.items()
    }
