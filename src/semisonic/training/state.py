"""All that a training consists of, and its way into a checkpoint and back.

**Losses.** Reading a number off a graphics card stops it until it has caught up. So the scalars of
the steps are kept on the device and read together, a few times per second at most. Each step's
value is still seen, so a loss that is not finite is reported with the step it began at.

**Freezing.** Paper: Howard and Ruder 2018, "Universal language model fine-tuning for text
classification" (gradual unfreezing). A new class layer first gives large and useless gradients,
which would spoil what the encoder has learned elsewhere; so it is trained alone for a while.

What it changes: a frozen encoder asks for no gradient and is in evaluation mode, so its
weights and the running statistics of its batch normalisation stay bit for bit, and its dropout
is off. Where we differ: all of the encoder is thawed at one step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semisonic.core.errors import OptionError, TrainingError
from semisonic.core.files import write_json
from semisonic.learning.objective import BatchLike, Objective
from semisonic.training.checkpoint import CheckpointClock, Identity, save_checkpoint
from semisonic.training.devices import PrecisionPlan, World
from semisonic.training.optimizer import (
    EarlyStopping,
    Schedule,
    WeightAverage,
    make_optimizer,
    put_weights,
    weights_of,
)
from semisonic.training.options import FitOptions

READ_EVERY = 0.25  # seconds
READ_STEPS = 256  # at most so many steps unread


class EpochMeter:
    """Means of the loss and its terms over the steps of an epoch, weighted by their rows."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: list[float] = []
        self.n_rows = 0
        self.latest = math.nan
        self._unread: list[tuple[int, int, float, list[Tensor]]] = []
        self._read_at = time.monotonic()

    def add(self, step: int, n_rows: int, rate: float, terms: Mapping[str, Tensor]) -> None:
        """Take in the scalars of a step, still on the device."""
        if not self.names:
            self.names = list(terms)
            self.sums = [0.0] * len(self.names)
        self._unread.append((step, n_rows, rate, [terms[name].detach() for name in self.names]))

    def is_due(self) -> bool:
        """Whether it is time to read."""
        return time.monotonic() - self._read_at >= READ_EVERY or len(self._unread) >= READ_STEPS

    def read(self) -> int:
        """Read what was added since the last time; give the number of steps.

        Raises
        ------
        TrainingError
            When a value is not finite: the step, the term and the learning rate.
        """
        self._read_at = time.monotonic()
        if not self._unread:
            return 0
        flat = [term.reshape(()).float() for _, _, _, terms in self._unread for term in terms]
        values = torch.stack(flat).tolist()
        n_steps, width = len(self._unread), len(self.names)
        for i, (step, n_rows, rate, _) in enumerate(self._unread):
            row = values[i * width : (i + 1) * width]
            for j, value in enumerate(row):
                if not math.isfinite(value):
                    raise NotFinite(step, self.names[j], value, rate)
                self.sums[j] += value * n_rows
            self.n_rows += n_rows
            self.latest = row[self.names.index("loss")]
        self._unread.clear()
        return n_steps

    def means(self, world: World, device: torch.device) -> dict[str, float]:
        """Read the rest; means over all rows of the epoch, of all processes together."""
        self.read()
        *sums, n_rows = world.sum([*self.sums, float(self.n_rows)], device)
        return {name: value / n_rows for name, value in zip(self.names, sums, strict=True)}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold; :meth:`read` before."""
        return {"names": self.names, "sums": self.sums, "n_rows": self.n_rows}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.names, self.sums = list(state["names"]), list(state["sums"])
        self.n_rows = state["n_rows"]


class NotFinite(TrainingError):
    """A loss or term that became infinite or not a number, and at which step."""

    def __init__(self, step: int, term: str, value: float, rate: float) -> None:
        self.step, self.term, self.value, self.rate = step, term, value, rate
        super().__init__(f"step {step}: the term '{term}' became {value}")


class Freezing:
    """Freezes the body of an objective for the first steps of a training.

    Parameters
    ----------
    objective : Objective
        Its weights that ask for no gradient now never will.
    options : FitOptions
        ``freeze_epochs`` and ``layer_decay``.
    steps_per_epoch : int

    Raises
    ------
    OptionError
        When the options tell the body from what stands on it, and the objective cannot.
    """

    def __init__(self, objective: Objective, options: FitOptions, steps_per_epoch: int) -> None:
        if objective.body is None and options.needs_body:
            name = "freeze_epochs" if options.freeze_epochs else "layer_decay"
            raise OptionError(
                f"option '{name}': {type(objective).__name__} trains its encoder and all else as "
                "one; the option is for training a classifier"
            )
        self.objective, self.body = objective, objective.body
        self.n_steps = round(options.freeze_epochs * steps_per_epoch)
        own = [] if self.body is None else self.body.parameters()
        self.weights = [weight for weight in own if weight.requires_grad]
        self.is_frozen = False

    def follow(self, step: int) -> bool:
        """Freeze or thaw, as the step says; whether anything changed."""
        frozen = step < self.n_steps
        if frozen == self.is_frozen:
            return False
        self._set(frozen)
        return True

    def train(self) -> None:
        """Training mode for all that is trained."""
        self.objective.train()
        if self.is_frozen and self.body is not None:
            self.body.eval()

    def release(self) -> None:
        """Leave the body as it was found: it may be trained."""
        self._set(False)

    def _set(self, frozen: bool) -> None:
        self.is_frozen = frozen
        for weight in self.weights:
            weight.requires_grad_(not frozen)
        self.train()


Validate = Callable[[], Mapping[str, float]]
HistoryRow = dict[str, float]


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

    history: list[HistoryRow]
    best_epoch: int
    n_steps: int
    seconds: float
    precision: str
    stopped_early: bool


class TrainingState:
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
        plan: PrecisionPlan,
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
        self._wrapped: nn.Module | None = None
        self.schedule = Schedule(options, steps_per_epoch)
        decay = options.ema_decay
        self.average = WeightAverage(objective, decay) if decay > 0 else None
        self.stopping = _make_stopping(options, validated)
        self.clock = CheckpointClock(options.checkpoint_interval)
        self.step = 0
        self.history: list[HistoryRow] = []
        self.begin_epoch()

    def forward_backward(
        self, batches: Mapping[str, BatchLike], share: float | Tensor
    ) -> dict[str, Tensor]:
        """The terms of a step; gradients of ``share`` times the loss are added to the weights'."""
        if self.freezing.follow(self.step):
            self._wrapped = None  # processes agree anew on the weights that have gradients
        if self._wrapped is None:
            self._wrapped = self.world.wrap(self.objective)
        with self.plan.autocast(self.device):
            terms: dict[str, Tensor] = self._wrapped(batches)
        loss: Any = terms["loss"] * share
        loss.backward()
        return terms

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
        row: HistoryRow = {"epoch": len(self.history) + 1, **means, "lr": rate}
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
        self._wrapped = None
        self.world.equalise(self.objective)
        PrecisionPlan().lay_out(self.objective)
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
            _write_timing(self.folder, result)
        self.world.wait()
        return result


def result_of(finished: Mapping[str, Any]) -> FitResult:
    """The result that the checkpoint of a finished training holds."""
    history: list[HistoryRow] = [dict(row) for row in finished["history"]]
    return FitResult(
        history=history,
        best_epoch=finished["best_epoch"],
        n_steps=finished["step"],
        seconds=sum(row["seconds"] for row in history),
        precision=finished["plan"],
        stopped_early=finished["stopped_early"],
    )


def _make_stopping(options: FitOptions, validated: bool) -> EarlyStopping | None:
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


def write_history(folder: Path, history: list[HistoryRow]) -> None:
    """Write ``history.json``: the rows without their seconds.

    So that two trainings with one seed write the same bytes, times are kept apart, and
    numbers that JSON has no name for (NaN) are null.
    """
    rows = [
        {name: v if math.isfinite(v) else None for name, v in row.items() if name != "seconds"}
        for row in history
    ]
    write_json(folder / "history.json", rows)


def _write_timing(folder: Path, result: FitResult) -> None:
    """Write ``timing.json``: what may differ between two trainings with one seed."""
    timing = {
        "seconds": round(result.seconds, 3),
        "epoch_seconds": [round(row["seconds"], 4) for row in result.history],
        "precision": result.precision,
    }
    write_json(folder / "timing.json", timing)


def _named(values: Mapping[str, float]) -> HistoryRow:
    return {
        name if name.startswith("val_") else f"val_{name}": float(value)
        for name, value in values.items()
    }
