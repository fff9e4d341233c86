"""The one training loop, in plain torch.

It knows devices, number formats, schedules, averages, early stopping, checkpoints and
processes; it knows no method. What is minimised comes as an objective, what it is computed
on as streams of batches. :func:`train_step` is all that changes a weight.

**Losses.** Reading a number off a graphics card stops it until it has caught up. So the scalars of
the steps are kept on the device and read together, a few times per second at most. Each step's
value is still seen, so a loss that is not finite is reported with the step it began at.

**Freezing.** Paper: Howard and Ruder 2018, "Universal language model fine-tuning for text
classification" (gradual unfreezing). A new class layer first gives large and useless gradients,
which would spoil what the encoder has learned elsewhere; so it is trained alone for a while.

What it changes: a frozen encoder asks for no gradient and is in evaluation mode, so its
weights and the running statistics of its batch normalisation stay bit for bit, and its dropout
is off. Where we differ: all of the encoder is thawed at one step.

**Averages of the weights**, which are often better than the last ones: Polyak and Juditsky 1992;
Tarvainen and Valpola 2017, "Mean teachers", for the exponential form and the lower decay of the
first steps.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from semisonic.core.errors import OptionError, TrainingError
from semisonic.core.files import write_json
from semisonic.core.options import check, nearest
from semisonic.core.progress import bar
from semisonic.core.seeds import derive
from semisonic.learning.objective import BatchLike, Objective
from semisonic.training.checkpoint import (
    Checkpoint,
    Streams,
    check_streams,
    identity_of,
    load_checkpoint,
    save_checkpoint,
)
from semisonic.training.devices import (
    World,
    choose_device,
    choose_precision,
    join,
    kept_randomness,
    lay_out,
    seed_torch,
)
from semisonic.training.optimizer import (
    best_epoch,
    falls_on_plateau,
    learning_rate,
    make_optimizer,
    momentum,
    set_rate,
)
from semisonic.training.options import FitOptions

READ_SECONDS = 0.25
"""Between two looks at the losses."""
READ_STEPS = 256
"""At most so many steps unread."""
WRITING_SHARE = 0.01
"""Of the time that may go into checkpoints at the ends of epochs."""

Validate = Callable[[], Mapping[str, float]]
HistoryRow = dict[str, float]
Weights = dict[str, Tensor]


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
        Number format, ``fp32`` or ``bf16``.
    stopped_early : bool
        Whether patience ended it before the last epoch.
    """

    history: list[HistoryRow]
    best_epoch: int
    n_steps: int
    seconds: float
    precision: str
    stopped_early: bool = False


def fit(
    objective: Objective,
    streams: Streams,
    options: FitOptions,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    validate: Validate | None = None,
    folder: Path | None = None,
    label: str = "train",
) -> FitResult:
    """Train an objective; it carries the final weights when this returns.

    Parameters
    ----------
    objective : Objective
        What is minimised. Its weights at the call are the first weights. It ends on
        ``device``, in evaluation mode.
    streams : mapping
        The streams of batches that the objective reads, by name. An epoch is one pass over
        the primary one, or as many as give it ``options.epoch_steps`` steps.
    options : FitOptions
        Optimiser, schedule, epochs and so on.
    seed : int
        For dropout and whatever else draws torch's global random numbers in a step. Their
        state outside is neither used nor changed.
    device : str or torch.device
        See :func:`choose_device`. The streams must give batches there.
    validate : callable, optional
        Called after each epoch, in evaluation mode and without gradients, with the averaged
        weights in place where there are any. Its values get columns named ``val_...``. The
        weights of the best epoch by ``options.monitor`` are the final ones.
    folder : Path, optional
        Keeps ``checkpoint.pt``, ``history.json`` and ``timing.json``. When a checkpoint of
        the same training is there, it goes on; when that was finished, it returns at once.
    label : str
        What the progress bar is called.

    Returns
    -------
    FitResult
        History, best epoch, time.

    Raises
    ------
    OptionError
        When options are wrong, streams do not fit the objective, or the folder holds the
        checkpoint of another training.
    TrainingError
        When the loss becomes infinite or not a number.

    Notes
    -----
    On a processor with a fixed number of threads the same seed gives the same weights, bit
    for bit, interrupted or not. Launched by ``torchrun``, every process calls this with the
    same arguments and reads its share of each batch.
    """
    check(options)
    place = choose_device(device)
    check_streams(objective, streams)
    steps_per_epoch = options.steps_an_epoch(streams[objective.streams[0]].steps_per_epoch)
    options = replace(options, epochs=options.n_epochs(steps_per_epoch))
    world = join(place)
    identity, checkpoint = {}, None
    if folder is not None:
        identity = identity_of(objective, streams, options, seed, validate is not None)
        checkpoint = load_checkpoint(folder, identity, options.precision)
    objective.to(place)
    if checkpoint is not None and checkpoint["finished"]:
        put_weights(objective, checkpoint["weights"])
        objective.eval()
        return _result_of(checkpoint)
    precision = checkpoint and checkpoint["precision"]
    precision = precision or world.tell(choose_precision(options.precision, place))
    t = Training(
        objective, options, steps_per_epoch, seed, place, world, precision, validate is not None
    )
    t.folder, t.identity = folder, identity
    if checkpoint is not None:
        t.load(checkpoint)
    with kept_randomness(place), _deferred_interrupt() as interrupt, _shown(t, label) as show:
        try:
            t.freeze()
            while not t.is_done:
                while t.step < t.epoch_end:
                    train_step(t, streams)
                    if t.meter.is_due or t.step == t.epoch_end:
                        show(t.meter.read())
                    t.save_if_due(show)
                    interrupt.check()
                t.end_epoch(validate)
                t.save_if_due(show, epoch_ended=True)
                interrupt.check()
        except NotFinite as error:
            raise _explain(error, streams, t) from error
        except KeyboardInterrupt:
            if interrupt.is_orderly:
                show(t.meter.read())
                t.save()
            raise
        finally:
            t.freeze(False)
    return t.finish()


def train_step(t: Training, streams: Streams) -> None:
    """One step: fetch a batch of each stream, forward, backward, change the weights.

    Parameters
    ----------
    t : Training
        At the step to be taken; it is at the next one afterwards.
    streams : mapping of str to BatchStream
    """
    seed_torch(derive(t.seed, "dropout", t.step, t.world.rank), t.device)
    names = t.objective.streams
    batches = {name: streams[name].at(t.step, t.world.rank, t.world.size) for name in names}
    n_rows = len(batches[names[0]].x)
    rate = t.rate_at(t.step)
    set_rate(t.optimizer, rate, momentum(t.options, t.step, t.steps_per_epoch))
    t.optimizer.zero_grad(set_to_none=True)
    terms = t.forward_backward(batches, t.world.share(n_rows, t.device))
    if t.options.clip_norm > 0:
        clip_grad_norm_(t.weights, t.options.clip_norm)
    t.optimizer.step()
    t.objective.after_step()
    t.step += 1
    if t.average:
        move_towards(t.average, t.live, 1 - min(t.options.ema_decay, (1 + t.step) / (10 + t.step)))
    t.meter.add(t.step - 1, n_rows, rate, terms)


class Training:
    """The parts of one training: what a step changes, and its way into a checkpoint and back.

    Parameters
    ----------
    objective : Objective
        Its weights that ask for no gradient now never will.
    options : FitOptions
    steps_per_epoch, seed : int
    device : torch.device
    world : World
    precision : {"fp32", "bf16"}
    validated : bool
        Whether a validation follows each epoch.

    Raises
    ------
    OptionError
        When the options tell the encoder from what stands on it, and the objective cannot; or
        ask for the best epoch by a validation that is not there.
    """

    def __init__(
        self,
        objective: Objective,
        options: FitOptions,
        steps_per_epoch: int,
        seed: int,
        device: torch.device,
        world: World,
        precision: str,
        validated: bool,
    ) -> None:
        self.objective, self.options, self.steps_per_epoch = objective, options, steps_per_epoch
        self.seed, self.device, self.world, self.precision = seed, device, world, precision
        self.folder: Path | None = None
        self.identity: Checkpoint = {}
        if objective.body is None and options.needs_body:
            name = "freeze_epochs" if options.freeze_epochs else "layer_decay"
            raise OptionError(
                f"option '{name}': {type(objective).__name__} trains its encoder and all else as "
                "one; the option is for training a classifier"
            )
        self.follows_monitor = (
            options.patience > 0
            or options.schedule == "plateau"
            or (validated and options.restore_best)
        )
        if self.follows_monitor and options.monitor.startswith("val_") and not validated:
            raise OptionError(
                f"option 'monitor': '{options.monitor}' is followed by patience or the schedule "
                "'plateau', but this training has no validation; give clips to validate on, or "
                "follow 'loss'"
            )
        lay_out(objective, device, precision)
        self.weights = [p for p in objective.parameters() if p.requires_grad]
        body = [] if objective.body is None else objective.body.parameters()
        self.freezable = [p for p in body if p.requires_grad]
        self.is_frozen = False
        self.optimizer = make_optimizer(objective, options, objective.body)
        self.live = weights_of(objective)  # in the memory of the module: always as it is now
        self.average = copied(self.live) if options.ema_decay > 0 else {}
        self.best_weights: Weights = {}
        self.history: list[HistoryRow] = []
        self.step = 0
        self.rate_at: Callable[[int], float] = self._scheduled_rate
        self._wrapped: nn.Module | None = None
        self._saved_at, self._saving_seconds = time.monotonic(), 0.0
        self._begin_epoch()

    def _begin_epoch(self, seconds_before: float = 0.0) -> None:
        self.meter = Meter()
        self._begun = time.perf_counter() - seconds_before

    def _scheduled_rate(self, step: int) -> float:
        o, n_falls = self.options, 0
        if o.schedule == "plateau":
            n_falls = falls_on_plateau(self.history, o.monitor, o.step_epochs)
        return learning_rate(o, step, self.steps_per_epoch, n_falls)

    def forward_backward(self, batches: Mapping[str, BatchLike], share: float) -> dict[str, Tensor]:
        """The terms of a step; gradients of ``share`` times the loss are added to the weights'."""
        frozen = self.step < round(self.options.freeze_epochs * self.steps_per_epoch)
        if frozen != self.is_frozen:
            self.freeze(frozen)
            self._wrapped = None  # processes agree anew on the weights that have gradients
        if self._wrapped is None:
            several = self.world.size > 1  # whose gradients are averaged
            self._wrapped = DistributedDataParallel(self.objective) if several else self.objective
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            terms: dict[str, Tensor] = self._wrapped(batches)
        loss: Any = terms["loss"] * share
        loss.backward()
        return terms

    def freeze(self, frozen: bool | None = None) -> None:
        """Freeze or thaw the body, or leave that; training mode for all that is trained."""
        if frozen is not None:
            self.is_frozen = frozen
            for weight in self.freezable:
                weight.requires_grad_(not frozen)
        self.objective.train()
        if self.is_frozen and self.objective.body is not None:
            self.objective.body.eval()

    @property
    def epoch_end(self) -> int:
        """The step with which the current epoch is over."""
        n_steps = self.options.n_steps(self.steps_per_epoch)
        return min((len(self.history) + 1) * self.steps_per_epoch, n_steps)

    @property
    def best_epoch(self) -> int:
        """The epoch with the best monitor so far, or the last one."""
        if not self.follows_monitor or not self.history:
            return len(self.history)
        return best_epoch(self.history, self.options.monitor)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are over, or patience is."""
        patience, n_epochs = self.options.patience, len(self.history)
        return n_epochs >= self.options.epochs or 0 < patience <= n_epochs - self.best_epoch

    def end_epoch(self, validate: Validate | None) -> None:
        """Validate, look whether this is the best epoch so far, add a row to the history.

        Validation and the choice of the best see the averaged weights where there are any.
        """
        row = {"epoch": len(self.history) + 1, **self.meter.means(self.world, self.device)}
        row["lr"] = float(self.optimizer.param_groups[0]["lr"])
        self.objective.eval()
        with torch.no_grad(), self._averaged():
            if validate is not None:
                row |= self.world.tell(_named(validate()) if self.world.is_first else {})
            if self.follows_monitor and self.options.monitor not in row:
                raise OptionError(
                    f"option 'monitor': the history has no column '{self.options.monitor}'; "
                    f"{nearest(self.options.monitor, row)}"
                )
            self.history.append(row)
            is_best = self.follows_monitor and self.best_epoch == len(self.history)
            if is_best and self.options.restore_best:
                self.best_weights = copied(self.live)
        self.freeze()
        row["seconds"] = time.perf_counter() - self._begun
        self._begin_epoch()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within the block the objective carries the averaged weights, if there are any."""
        if not self.average:
            yield
            return
        current = copied(self.live)
        put_weights(self.objective, self.average)
        try:
            yield
        finally:
            put_weights(self.objective, current)

    def save_if_due(self, show: Callable[[int], None], epoch_ended: bool = False) -> None:
        """Write a checkpoint after the interval, and at the ends of epochs.

        Epochs of a fraction of a second do not all get one: only when the time since the last is
        long against the time that writing takes.
        """
        waited = time.monotonic() - self._saved_at
        enough = self._saving_seconds / WRITING_SHARE
        if waited >= self.options.checkpoint_interval or (epoch_ended and waited >= enough):
            show(self.meter.read())
            self.save()

    def save(self) -> None:
        """Write a checkpoint and the history; the meter must have been read."""
        start = time.monotonic()
        if self.folder is not None and self.world.is_first:
            content = {
                "weights": self.live,
                "optimizer": self.optimizer.state_dict(),
                "average": self.average,
                "best_weights": self.best_weights,
                "meter": (self.meter.sums, self.meter.n_rows),
                "epoch_seconds": time.perf_counter() - self._begun,
            }
            save_checkpoint(self.folder, self._state(finished=False) | content)
            _write_history(self.folder, self.history)
        self._saved_at = time.monotonic()
        self._saving_seconds = self._saved_at - start

    def _state(self, finished: bool) -> Checkpoint:
        return {
            "identity": self.identity,
            "finished": finished,
            "precision": self.precision,
            "step": self.step,
            "history": self.history,
        }

    def load(self, state: Checkpoint) -> None:
        """Go on from a checkpoint."""
        put_weights(self.objective, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, tensor in self.average.items():
            tensor.copy_(state["average"][name])
        self.best_weights, self.step = state["best_weights"], state["step"]
        self.history = list(state["history"])
        self._begin_epoch(state["epoch_seconds"])
        if self.world.is_first:  # the others' part of an interrupted epoch is not known
            self.meter.sums, self.meter.n_rows = dict(state["meter"][0]), state["meter"][1]

    def finish(self) -> FitResult:
        """Give the objective its final weights, in plain memory layout and for evaluation."""
        put_weights(self.objective, self.best_weights or self.average or self.live)
        self._wrapped = None
        if self.world.size > 1:
            for tensor in weights_of(self.objective).values():
                distributed.broadcast(tensor, src=0)
        self.objective.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.objective.eval()
        state = self._state(finished=True) | {
            "weights": weights_of(self.objective),
            "best_epoch": self.best_epoch,
            "stopped_early": len(self.history) < self.options.epochs,
        }
        result = _result_of(state)
        if self.folder is not None and self.world.is_first:
            save_checkpoint(self.folder, state)
            _write_history(self.folder, self.history)
            timing = {  # what may differ between two trainings with one seed
                "seconds": round(result.seconds, 3),
                "epoch_seconds": [round(row["seconds"], 4) for row in self.history],
                "precision": self.precision,
            }
            write_json(self.folder / "timing.json", timing)
        self.world.tell(None)  # nobody goes on before all files are written
        return result


def weights_of(module: nn.Module) -> Weights:
    """All that a saved module consists of, by name: parameters and buffers, not copied."""
    state: Weights = module.state_dict()
    return state


def copied(weights: Weights) -> Weights:
    """The same weights in memory of their own."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


@torch.no_grad()
def put_weights(module: nn.Module, weights: Weights) -> None:
    """Copy weights into a module, each into its own memory and layout."""
    for name, tensor in weights_of(module).items():
        tensor.copy_(weights[name])


@torch.no_grad()
def move_towards(average: Weights, weights: Weights, share: float) -> None:
    """Move averaged weights by a share of the way to others; whole numbers are copied.

    The running statistics of batch normalisation are averaged like the weights they belong to.
    """
    for name, mine in average.items():
        if mine.is_floating_point():
            mine.lerp_(weights[name], share)
        else:
            mine.copy_(weights[name])


class Meter:
    """Means of the loss and its terms over the rows of an epoch."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.n_rows = 0
        self.latest = math.nan
        self._unread: list[tuple[int, int, float, Mapping[str, Tensor]]] = []
        self._read_at = time.monotonic()

    def add(self, step: int, n_rows: int, rate: float, terms: Mapping[str, Tensor]) -> None:
        """Take in the scalars of a step, still on the device."""
        scalars = {name: term.detach() for name, term in terms.items()}
        self._unread.append((step, n_rows, rate, scalars))

    @property
    def is_due(self) -> bool:
        """Whether it is time to read."""
        waited = time.monotonic() - self._read_at
        return waited >= READ_SECONDS or len(self._unread) >= READ_STEPS

    def read(self) -> int:
        """Read what was added since the last time; give the number of steps.

        Raises
        ------
        NotFinite
            When a value is not finite.
        """
        self._read_at = time.monotonic()
        unread, self._unread = self._unread, []
        flat = [term.reshape(()).float() for *_, terms in unread for term in terms.values()]
        values = iter(torch.stack(flat).tolist() if flat else [])
        for step, n_rows, rate, terms in unread:
            row = {name: next(values) for name in terms}
            for name, value in row.items():
                if not math.isfinite(value):
                    raise NotFinite(step, name, value, rate)
                self.sums[name] = self.sums.get(name, 0.0) + value * n_rows
            self.n_rows += n_rows
            self.latest = row["loss"]
        return len(unread)

    def means(self, world: World, device: torch.device) -> dict[str, float]:
        """Means over all rows of the epoch, of all processes together; read before."""
        *sums, n_rows = world.sum([*self.sums.values(), float(self.n_rows)], device)
        return {name: value / n_rows for name, value in zip(self.sums, sums, strict=True)}


class NotFinite(TrainingError):
    """A loss or term that became infinite or not a number, and at which step."""

    def __init__(self, step: int, term: str, value: float, rate: float) -> None:
        self.step, self.term, self.value, self.rate = step, term, value, rate
        super().__init__(f"step {step}: the term '{term}' became {value}")


def _explain(error: NotFinite, streams: Streams, t: Training) -> TrainingError:
    """An error that says where it happened and what to try.

    Batches are a function of the step, so those of the bad step are looked at again: either
    the recordings are at fault, or the training is.
    """
    where = (
        f"epoch {error.step // t.steps_per_epoch + 1}, step {error.step}: the term '{error.term}' "
        f"became {error.value} at learning rate {error.rate:g} in {t.precision}"
    )
    for name, stream in streams.items():
        bad = _bad_rows(stream.at(error.step))
        if bad:
            return TrainingError(
                f"{where}. The stream '{name}' holds values that are not finite in this "
                f"batch, rows {', '.join(map(str, bad))} of its table: check those clips"
            )
    advice = "use a lower learning_rate, or clip gradients (clip_norm=1.0)"
    if t.precision == "bf16":
        advice += ", or precision='fp32'"
    return TrainingError(f"{where}. The inputs of this step are finite: {advice}")


def _bad_rows(batch: BatchLike, most: int = 5) -> list[int]:
    bad = ~torch.isfinite(batch.x.flatten(1)).all(dim=1)
    if batch.y is not None and batch.y.is_floating_point():
        bad |= ~torch.isfinite(batch.y.reshape(len(batch.y), -1)).all(dim=1)
    places = bad.nonzero().flatten()
    row: Tensor | None = getattr(batch, "row", None)
    rows = places if row is None else row.to(places.device)[places]
    return [int(one) for one in rows[:most]]


class Interrupt:
    """Whether Ctrl-C was pressed. The second time it stops at once."""

    pressed = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.pressed += 1
        if self.pressed > 1:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if the key was pressed; call between two steps."""
        if self.pressed:
            raise KeyboardInterrupt

    @property
    def is_orderly(self) -> bool:
        """Whether weights and step number belong together when the block is left."""
        return self.pressed < 2


@contextmanager
def _deferred_interrupt() -> Iterator[Interrupt]:
    """Within the block Ctrl-C only takes note; :meth:`Interrupt.check` acts on it.

    Nothing changes in another thread than the main one, which signals do not reach, or where
    somebody ignores the signal on purpose, or handles it outside of Python.
    """
    interrupt, before = Interrupt(), signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before in (signal.SIG_IGN, None):
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _shown(t: Training, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar of the first process; gives the function that moves it by some steps."""
    total = t.options.n_steps(t.steps_per_epoch)

    def show(n_steps: int) -> None:
        if n_steps and progress is not None:
            rate = t.optimizer.param_groups[0]["lr"]
            progress.set_postfix_str(f"loss {t.meter.latest:.4g}, lr {rate:.2g}", refresh=False)
            progress.update(n_steps)

    with bar(total, label, "step", t.step) if t.world.is_first else nullcontext() as progress:
        yield show


def _result_of(finished: Checkpoint) -> FitResult:
    """The result that the checkpoint of a finished training holds."""
    history: list[HistoryRow] = [dict(row) for row in finished["history"]]
    return FitResult(
        history=history,
        best_epoch=finished["best_epoch"],
        n_steps=finished["step"],
        seconds=sum(row["seconds"] for row in history),
        precision=finished["precision"],
        stopped_early=finished["stopped_early"],
    )


def _write_history(folder: Path, history: list[HistoryRow]) -> None:
    """Write ``history.json``: the rows without their seconds.

    So that two trainings with one seed write the same bytes, times are kept apart, and
    numbers that JSON has no name for (NaN) are null.
    """
    rows = [
        {name: v if math.isfinite(v) else None for name, v in row.items() if name != "seconds"}
        for row in history
    ]
    write_json(folder / "history.json", rows)


def _named(values: Mapping[str, float]) -> HistoryRow:
    return {
        name if name.startswith("val_") else f"val_{name}": float(value)
        for name, value in values.items()
    }
