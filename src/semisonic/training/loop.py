"""The training loop, in plain torch, and its checkpoints.

It handles devices, number formats, schedules, averages, early stopping, checkpoints and processes,
but no methods: it is given an objective to minimise and streams of batches. :func:`train_step` is
all that changes a weight.

**Losses.** Reading a number off a graphics card stops it until it has caught up. So the scalars of
the steps are kept on the device and read together, a few times per second at most. Each step's
value is still seen, so a loss that is not finite is reported with the step it began at.

**Freezing.** Paper: Howard and Ruder 2018, "Universal language model fine-tuning for text
classification" (gradual unfreezing). A new class layer first gives large and useless gradients,
which would spoil what the encoder has learned elsewhere; so it is trained alone for a while.

What it changes: a frozen encoder asks for no gradient and is in evaluation mode, so its
weights and the running statistics of its batch normalisation stay bit for bit, and its dropout
is off. Where we differ: all of the encoder is thawed at one step.

**Schedules** are a function of the step, so a resumed training needs no other state. Papers:
cosine, Loshchilov and Hutter 2017 (SGDR, without restarts); one-cycle, Smith and Topin 2018, with
the cosine-shaped rise and fall that fastai and torch use.

**Averages of the weights**, which are often better than the last ones: Polyak and Juditsky 1992;
Tarvainen and Valpola 2017, "Mean teachers", for the exponential form and the lower decay of the
first steps.

**Checkpoints.** An interrupted training continues as if it had not been interrupted. A checkpoint
is one file of plain values and tensors, read without executing anything (``weights_only``). It is
either whole or not there. It belongs to the options, the seed, the data and the first weights it
was made with, and is refused for others. Data are told apart by the content of the first and the
last batch of each stream, which also tells other features, another order or other rows apart.
"""

from __future__ import annotations

import math
import pickle
import re
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, AdamW, Optimizer

from semisonic.core.errors import ModelError, OptionError, TrainingError
from semisonic.core.files import digest, replacing, write_json
from semisonic.core.options import check, nearest, to_dict
from semisonic.core.progress import bar
from semisonic.core.seeds import derive
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.encoder import Encoder
from semisonic.models.weights import tensors_digest, weights_digest
from semisonic.training.devices import (
    choose_device,
    choose_precision,
    computing_in,
    join,
    kept_randomness,
    lay_out,
    seed_torch,
)
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import differences

READ_SECONDS = 0.25
"""Between two looks at the losses."""
READ_STEPS = 256
"""At most so many steps unread."""
WRITING_SHARE = 0.01
"""Share of the time for checkpoints at the ends of epochs."""
FORMAT = 2
NAME = "checkpoint.pt"
_WHILE_TRAINING = {
    "step",
    "history",
    "weights",
    "optimizer",
    "average",
    "best_weights",
    "sums",
    "n_rows",
    "epoch_seconds",
}
_AT_THE_END = {"weights", "result"}
"""What a checkpoint holds besides its identity, before the end of the training and after it."""

Validate = Callable[[], Mapping[str, float]]
HistoryRow = dict[str, float]
Weights = dict[str, Tensor]


class BatchStream(Protocol):
    """Batches as a pure function of the step number, such as ``semisonic.data.batches.Stream``."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass."""

    def at(self, step: int, rank: int = 0, world: int = 1) -> BatchLike:
        """The batch of a step, or the share of it that is process ``rank``'s of ``world``."""


Streams = Mapping[str, BatchStream]


@dataclass(frozen=True)
class FitResult:
    """The result of a training, besides the weights that the objective now has.

    Attributes
    ----------
    history : list of dict
        A row per epoch: ``epoch`` (from 1), ``loss`` and the objective's terms (means over
        the training batches), ``lr`` (of the last step), ``val_...`` and ``seconds``.
    best_epoch : int
        The epoch with the best monitor, or the last one if none is chosen.
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
    """Train an objective; it has the final weights afterwards.

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
        weights, if there are any. Its values get columns named ``val_...``. The weights of the
        best epoch by ``options.monitor`` are the final ones.
    folder : Path, optional
        Keeps ``checkpoint.pt``, ``history.json`` and ``timing.json``. If it has a checkpoint of
        the same training, the training continues; a finished one returns at once.
    label : str
        What the progress bar is called.

    Returns
    -------
    FitResult
        History, best epoch, time.

    Raises
    ------
    OptionError
        If options are wrong, streams do not fit the objective, or the folder has the checkpoint of
        another training.
    TrainingError
        If the loss becomes infinite or not a number.

    Notes
    -----
    On a processor with a fixed number of threads the same seed gives the same weights, bit
    for bit, interrupted or not. Launched by ``torchrun``, every process calls this with the
    same arguments and reads its share of each batch.
    """
    place = choose_device(device)
    t = Training(objective, streams, options, seed, place, validate is not None)
    checkpoint = None
    if folder is not None:
        t.folder, t.identity = folder, t.identify()
        checkpoint = load_checkpoint(folder, t.identity, options.precision)
    if checkpoint is not None and checkpoint["finished"]:
        objective.to(place).eval()
        put_weights(objective, checkpoint["weights"])
        return FitResult(**checkpoint["result"])
    t.prepare("" if checkpoint is None else checkpoint["precision"])
    if checkpoint is not None:
        t.load(checkpoint)
    with (
        kept_randomness(place),
        _deferred_interrupt() as pressed,
        bar(t.n_steps, label, "step", t.step) if t.is_first else nullcontext() as t.progress,
    ):
        try:
            t.freeze()
            while not t.is_done:
                while t.step < t.epoch_end:
                    train_step(t)
                    if t.is_read_due or t.step == t.epoch_end:
                        t.read()
                    t.save_if_due()
                    if pressed:
                        raise KeyboardInterrupt
                t.end_epoch(validate)
                t.save_if_due(epoch_ended=True)
                if pressed:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            if len(pressed) < 2:  # weights and step number belong together
                t.save()
            raise
        finally:
            t.freeze(False)
    return t.finish()


def train_step(t: Training) -> None:
    """One step: fetch a batch of each stream, forward, backward, change the weights."""
    seed_torch(derive(t.seed, "dropout", t.step, t.world.rank), t.device)
    batches = {name: t.streams[name].at(t.step, *t.world) for name in t.objective.streams}
    n_rows = len(batches[t.objective.streams[0]].x)
    frozen = t.step < round(t.options.freeze_epochs * t.steps_per_epoch)
    if frozen != t.is_frozen:
        t.freeze(frozen)
    rate = t.rate_at(t.step)
    set_rate(t.optimizer, rate, momentum(t.options, t.step, t.steps_per_epoch))
    t.optimizer.zero_grad(set_to_none=True)
    with computing_in(t.precision, t.device):
        terms: dict[str, Tensor] = t.module()(batches)
    # Gradients are averaged over processes; in a last, uneven batch every row counts the same.
    share = n_rows * t.world.size / t.world.sum([float(n_rows)], t.device)[0]
    (terms["loss"] * share).backward()  # type: ignore[no-untyped-call]
    if t.options.clip_norm > 0:
        clip_grad_norm_(t.weights, t.options.clip_norm)
    t.optimizer.step()
    t.objective.after_step()
    scalars = {name: term.detach() for name, term in terms.items()}
    t.unread.append((t.step, n_rows, rate, scalars))
    t.step += 1
    if t.average:
        move_towards(t.average, t.live, 1 - min(t.options.ema_decay, (1 + t.step) / (10 + t.step)))


class Training:
    """The parts of one training: what a step changes, and its way into a checkpoint and back.

    Parameters
    ----------
    objective : Objective
        Its weights that ask for no gradient now never will.
    streams : mapping of str to BatchStream
    options : FitOptions
    seed : int
    device : torch.device
    validated : bool
        Whether a validation follows each epoch.

    Raises
    ------
    OptionError
        If the options are wrong, treat the encoder separately although the objective cannot, or
        choose the epoch by a missing validation; or if the streams are not those of the objective.
    """

    def __init__(
        self,
        objective: Objective,
        streams: Streams,
        options: FitOptions,
        seed: int,
        device: torch.device,
        validated: bool = False,
    ) -> None:
        check(options)
        if set(objective.streams) != set(streams) or not streams:
            raise OptionError(
                f"{type(objective).__name__}: found the streams {sorted(streams)}, expected "
                f"{sorted(objective.streams)}"
            )
        if objective.body is None and (options.freeze_epochs or options.layer_decay != 1.0):
            name = "freeze_epochs" if options.freeze_epochs else "layer_decay"
            raise OptionError(
                f"option '{name}': {type(objective).__name__} trains its encoder together with "
                "all other layers; the option is for training a classifier, so leave it out"
            )
        self.follows_monitor = options.patience > 0 or (validated and options.restore_best)
        if self.follows_monitor and options.monitor.startswith("val_") and not validated:
            raise OptionError(
                f"option 'monitor': patience needs '{options.monitor}', but this training has "
                "no validation; give validation clips, or the monitor 'loss'"
            )
        self.objective, self.streams, self.options = objective, streams, options
        self.seed, self.device, self.validated = seed, device, validated
        self.world = join(device)
        self.is_first = self.world.rank == 0  # writes files, validates and shows progress
        a_pass = streams[objective.streams[0]].steps_per_epoch
        self.steps_per_epoch = options.steps_an_epoch(a_pass)
        self.n_steps = options.n_steps(self.steps_per_epoch)
        self.folder: Path | None = None
        self.identity: dict[str, Any] = {}
        self.progress: Any = None
        self.best_weights: Weights = {}
        self.history: list[HistoryRow] = []
        self.step, self.is_frozen = 0, False
        self._module: nn.Module | None = None
        self.rate_at: Callable[[int], float] = lambda step: learning_rate(
            options, step, self.steps_per_epoch
        )
        self._saved_at, self._saving_seconds = time.monotonic(), 0.0
        self._begin_epoch()

    def prepare(self, precision: str = "") -> None:
        """Move the objective to the device, and make its optimiser and its average."""
        objective, options = self.objective.to(self.device), self.options
        chosen = precision or choose_precision(options.precision, self.device)
        self.precision: str = self.world.tell(chosen)
        lay_out(objective, self.device, self.precision)
        self.weights = [p for p in objective.parameters() if p.requires_grad]
        body = [] if objective.body is None else objective.body.parameters()
        self.freezable = [p for p in body if p.requires_grad]
        self.optimizer = make_optimizer(objective, options, objective.body)
        self.live: Weights = objective.state_dict()  # in the module's memory: always as it is now
        self.average = copied(self.live) if options.ema_decay > 0 else {}

    def _begin_epoch(self, seconds_before: float = 0.0) -> None:
        self.sums: dict[str, float] = {}
        self.n_rows, self.latest = 0, math.nan
        self.unread: list[tuple[int, int, float, Mapping[str, Tensor]]] = []
        self._read_at = time.monotonic()
        self._begun = time.perf_counter() - seconds_before

    def freeze(self, frozen: bool | None = None) -> None:
        """Freeze or thaw the body, or leave that; training mode for all that is trained."""
        if frozen is not None:
            self.is_frozen = frozen
            for weight in self.freezable:
                weight.requires_grad_(not frozen)
            self._module = None
        self.objective.train()
        if self.is_frozen and self.objective.body is not None:
            self.objective.body.eval()

    def module(self) -> nn.Module:
        """The objective, whose gradients are averaged where several processes train it."""
        if self._module is None:  # they agree anew on the weights that have gradients
            several = self.world.size > 1
            self._module = (
                DistributedDataParallel(self.objective, find_unused_parameters=True)
                if several
                else self.objective
            )
        return self._module

    @property
    def epoch_end(self) -> int:
        """The step with which the current epoch is over."""
        return min((len(self.history) + 1) * self.steps_per_epoch, self.n_steps)

    @property
    def best_epoch(self) -> int:
        """The epoch with the best monitor so far, or the last one."""
        if not self.follows_monitor or not self.history:
            return len(self.history)
        return best_epoch(self.history, self.options.monitor)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are over, or patience is."""
        waited = len(self.history) - self.best_epoch
        return self.n_left <= 0 or 0 < self.options.patience <= waited

    @property
    def n_left(self) -> int:
        """Steps that the epochs so far leave."""
        return self.n_steps - len(self.history) * self.steps_per_epoch

    @property
    def is_read_due(self) -> bool:
        """Whether it is time to read the losses."""
        waited = time.monotonic() - self._read_at
        return waited >= READ_SECONDS or len(self.unread) >= READ_STEPS

    def read(self) -> None:
        """Read the terms of the steps since the last look, and move the progress bar.

        Raises
        ------
        NotFinite
            When a value is not finite.
        """
        self._read_at = time.monotonic()
        unread, self.unread = self.unread, []
        if not unread:
            return
        flat = [term.reshape(()).float() for *_, terms in unread for term in terms.values()]
        values = iter(torch.stack(flat).tolist())
        for step, n_rows, rate, terms in unread:
            row = {name: next(values) for name in terms}
            for name, value in row.items():
                if not math.isfinite(value):
                    raise NotFinite(self._explained(step, name, value, rate))
                self.sums[name] = self.sums.get(name, 0.0) + value * n_rows
            self.n_rows += n_rows
            self.latest = row["loss"]
        if self.progress is not None:
            text = f"loss {self.latest:.4g}, lr {self.optimizer.param_groups[0]['lr']:.2g}"
            self.progress.set_postfix_str(text, refresh=False)
            self.progress.update(len(unread))

    def _explained(self, step: int, term: str, value: float, rate: float) -> str:
        """Where a value became infinite or not a number, and what to try.

        Batches are a function of the step, so those of the bad step are looked at again: either
        the recordings are at fault, or the training is.
        """
        where = (
            f"epoch {step // self.steps_per_epoch + 1}, step {step}: the term '{term}' "
            f"became {value} at learning rate {rate:g} in {self.precision}"
        )
        for name, stream in self.streams.items():
            bad = _bad_rows(stream.at(step))
            if bad:
                return (
                    f"{where}. The stream '{name}' has values that are not finite in this "
                    f"batch, rows {', '.join(map(str, bad))} of its table: check these clips"
                )
        advice = "use a lower learning_rate, or clip gradients (clip_norm=1.0)"
        if self.precision == "bf16":
            advice += ", or precision='fp32'"
        return f"{where}. The inputs of this step are finite: {advice}"

    def end_epoch(self, validate: Validate | None) -> None:
        """Validate, check whether this is the best epoch so far, add a row to the history.

        Validation and the choice of the best epoch use the averaged weights, if there are any.
        """
        *sums, n_rows = self.world.sum([*self.sums.values(), float(self.n_rows)], self.device)
        means = {name: value / n_rows for name, value in zip(self.sums, sums, strict=True)}
        rate = float(self.optimizer.param_groups[0]["lr"])
        row: HistoryRow = {"epoch": len(self.history) + 1, **means, "lr": rate}
        self.objective.eval()
        with torch.no_grad(), self._averaged():
            found = self.world.tell(validate() if validate and self.is_first else {})
            for name, value in found.items():
                row[name if name.startswith("val_") else f"val_{name}"] = float(value)
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
        """Within the block, the objective has the averaged weights, if there are any."""
        if not self.average:
            yield
            return
        current = copied(self.live)
        put_weights(self.objective, self.average)
        try:
            yield
        finally:
            put_weights(self.objective, current)

    def identify(self) -> dict[str, Any]:
        """The identity of a training: two trainings share it only if they compute the same.

        Asked before :meth:`prepare`, with the first weights. Without effect are how often
        checkpoints are written, and the number format, which is compared by itself.
        """
        chosen = to_dict(self.options)
        chosen["epochs"] = -(-self.n_steps // self.steps_per_epoch)
        del chosen["checkpoint_interval"], chosen["precision"]
        text = re.sub(r"0x[0-9a-f]+", "", repr(self.objective))  # without addresses in memory
        return {
            "seed": self.seed,
            "options": chosen,
            "validated": self.validated,
            "objective": f"{type(self.objective).__name__} {digest(text)}",
            "first weights": weights_digest(self.objective),
            "streams": {
                name: {
                    "steps per epoch": stream.steps_per_epoch,
                    "first batch": _batch_digest(stream.at(0)),
                    "last batch": _batch_digest(stream.at(stream.steps_per_epoch - 1)),
                }
                for name, stream in self.streams.items()
            },
        }

    def save_if_due(self, epoch_ended: bool = False) -> None:
        """Write a checkpoint after the interval, and at the ends of epochs.

        Epochs of a fraction of a second do not all get one: only when the time since the last is
        long against the time that writing takes.
        """
        waited = time.monotonic() - self._saved_at
        enough = self._saving_seconds / WRITING_SHARE
        if waited >= self.options.checkpoint_interval or (epoch_ended and waited >= enough):
            self.save()

    def save(self) -> None:
        """Write a checkpoint and the history."""
        self.read()
        start = time.monotonic()
        self._write(
            finished=False,
            step=self.step,
            history=self.history,
            weights=self.live,
            optimizer=self.optimizer.state_dict(),
            average=self.average,
            best_weights=self.best_weights,
            sums=self.sums,
            n_rows=self.n_rows,
            epoch_seconds=time.perf_counter() - self._begun,
        )
        self._saved_at = time.monotonic()
        self._saving_seconds = self._saved_at - start

    def _write(self, **state: Any) -> None:
        """Replace the checkpoint, and write ``history.json`` beside it.

        So that two trainings with one seed write the same history, times are left out, and
        numbers that JSON has no name for (NaN) are null.
        """
        if self.folder is None or not self.is_first:
            return
        with replacing(self.folder / NAME) as part:
            kept = {"format": FORMAT, "identity": self.identity, "precision": self.precision}
            torch.save(kept | state, part)
        rows = [
            {name: v if math.isfinite(v) else None for name, v in row.items() if name != "seconds"}
            for row in self.history
        ]
        write_json(self.folder / "history.json", rows)

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        put_weights(self.objective, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, tensor in self.average.items():
            tensor.copy_(state["average"][name])
        self.best_weights, self.step = state["best_weights"], state["step"]
        self.history = list(state["history"])
        self._begin_epoch(state["epoch_seconds"])
        if self.is_first:  # the others' part of an interrupted epoch is not known
            self.sums, self.n_rows = dict(state["sums"]), state["n_rows"]

    def finish(self) -> FitResult:
        """Give the objective its final weights, in plain memory layout and for evaluation."""
        self._module = None
        put_weights(self.objective, self.best_weights or self.average or self.live)
        if self.world.size > 1:
            for tensor in self.live.values():
                distributed.broadcast(tensor, src=0)
        self.objective.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.objective.eval()
        result = FitResult(
            self.history,
            self.best_epoch,
            self.step,
            sum(row["seconds"] for row in self.history),
            self.precision,
            self.n_left > 0,
        )
        self._write(finished=True, weights=self.objective.state_dict(), result=asdict(result))
        if self.folder is not None and self.is_first:
            timing = {  # what may differ between two trainings with one seed
                "seconds": round(result.seconds, 3),
                "epoch_seconds": [round(row["seconds"], 4) for row in self.history],
                "precision": self.precision,
            }
            write_json(self.folder / "timing.json", timing)
        self.world.tell(None)  # nobody goes on before all files are written
        return result


def copied(weights: Weights) -> Weights:
    """The same weights in separate memory."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


@torch.no_grad()
def put_weights(module: nn.Module, weights: Weights) -> None:
    """Copy weights into a module, each into its own memory and layout."""
    for name, tensor in module.state_dict().items():
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


class NotFinite(TrainingError):
    """A loss or term that became infinite or not a number."""


def _bad_rows(batch: BatchLike, most: int = 5) -> list[int]:
    bad = ~torch.isfinite(batch.x.flatten(1)).all(dim=1)
    if batch.y is not None and batch.y.is_floating_point():
        bad |= ~torch.isfinite(batch.y.reshape(len(batch.y), -1)).all(dim=1)
    places = bad.nonzero().flatten()
    row: Tensor | None = getattr(batch, "row", None)
    rows = places if row is None else row.to(places.device)[places]
    return [int(one) for one in rows[:most]]


def _batch_digest(batch: BatchLike) -> str:
    return tensors_digest([("x", batch.x), ("y", batch.y), ("row", getattr(batch, "row", None))])


def load_checkpoint(
    folder: Path, identity: Mapping[str, Any], precision: str
) -> dict[str, Any] | None:
    """The checkpoint of a folder; None if there is none.

    Raises
    ------
    ModelError
        If the file cannot be read.
    OptionError
        If it belongs to another training; the message names all that differs.
    """
    path = folder / NAME
    if not path.exists():
        return None
    advice = "delete it to start the training again"
    try:
        with zipfile.ZipFile(path) as archive:  # torch compares no checksums
            if damaged := archive.testzip():
                raise ValueError(f"'{damaged}' is not as it was written")
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        recorded, version, computed = (content[k] for k in ("identity", "format", "precision"))
        needed = _AT_THE_END if content["finished"] else _WHILE_TRAINING
        if lost := sorted(needed - content.keys()):
            raise ValueError(f"it has no {', '.join(lost)}")
    except (
        OSError,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        raise ModelError(f"{path}: not a readable checkpoint ({error}); {advice}") from error
    if version != FORMAT:
        raise ModelError(f"{path}: format {version}, expected {FORMAT}; {advice}")
    changed = differences(recorded, identity)
    if precision not in ("auto", computed):
        changed.append(f"'precision' was {computed}, now {precision}")
    if changed:
        raise OptionError(
            f"{path}: the checkpoint belongs to another training: {'; '.join(changed)}. Choose "
            "another folder, or delete the checkpoint to start the training again"
        )
    return content


@contextmanager
def _deferred_interrupt() -> Iterator[list[int]]:
    """Within the block the first Ctrl-C is only noted, in the list; the second stops at once.

    Nothing changes in another thread than the main one, which signals do not reach, or where
    somebody ignores the signal on purpose, or handles it outside of Python.
    """
    pressed: list[int] = []

    def take_note(number: int, _: FrameType | None) -> None:
        pressed.append(number)
        if len(pressed) > 1:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before in (signal.SIG_IGN, None):
        yield pressed
        return
    signal.signal(signal.SIGINT, take_note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


# Optimisers, schedules of the learning rate, and which epoch is the best.

SCALE = "rate_scale"
"""The key of a group's share of the learning rate."""

ONECYCLE_RISE = 0.3  # share of all steps
ONECYCLE_START = 1 / 25  # of the highest rate
ONECYCLE_END = 1e-4  # of the first rate
ONECYCLE_MOMENTUM = (0.85, 0.95)  # at the highest and at the lowest rate

_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "db2")


def lower_is_better(column: str) -> bool:
    """Whether a lower value of a history column is better, by its name.

    Losses and errors (names that end in loss, error, mse, mae or db2) fall; everything else,
    such as an accuracy or an average precision, rises.
    """
    return column.lower().endswith(_LOWER_IS_BETTER)


def best_epoch(history: Sequence[Mapping[str, float]], column: str) -> int:
    """The epoch, from 1, with the best value of a column; the first of equally good ones.

    Parameters
    ----------
    history : sequence of mapping
        At least one row.
    column : str

    Returns
    -------
    int

    Examples
    --------
    >>> best_epoch([{"val_loss": 3.0}, {"val_loss": 1.0}, {"val_loss": 1.0}], "val_loss")
    2
    """
    sign = 1.0 if lower_is_better(column) else -1.0
    costs = [math.inf if math.isnan(row[column]) else sign * row[column] for row in history]
    return costs.index(min(costs)) + 1


def make_optimizer(
    module: nn.Module, options: FitOptions, body: Encoder | None = None
) -> Optimizer:
    """The optimiser of all weights of ``module`` that are to be trained.

    With ``options.layer_decay`` the weights of each layer of ``body`` are groups of their own,
    whose rate is a share of the others': the decay to the power of the steps down from what
    stands on the body (Howard and Ruder 2018, "Universal language model fine-tuning for text
    classification", discriminative fine-tuning; they divide by 2.6 a layer). The first group
    has the whole rate.

    Weight decay acts on kernels and matrices only. Biases and the scales of normalisation (all
    that have fewer than two dimensions) are not decayed: pulling them to zero does not make a
    network simpler.

    Parameters
    ----------
    module : nn.Module
    options : FitOptions
    body : Encoder, optional

    Returns
    -------
    Optimizer

    Raises
    ------
    ModelError
        If no weight of the module asks for a gradient.
    """
    weights = [p for p in module.parameters() if p.requires_grad]
    if not weights:
        raise ModelError(
            f"{type(module).__name__}: found no weights to train; all are frozen, or there are none"
        )
    scale = _scales(body, options.layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for weight in weights:
        groups.setdefault((scale.get(weight, 1.0), weight.ndim >= 2), []).append(weight)
    decays = [
        {
            "params": groups[share, is_matrix],
            "weight_decay": options.weight_decay if is_matrix else 0.0,
            SCALE: share,
        }
        for share, is_matrix in sorted(groups, reverse=True)
    ]
    rate = options.learning_rate
    # One kernel for all weights instead of several for each; on processors it gains nothing.
    fused = True if all(weight.is_cuda for weight in weights) else None
    if options.optimizer == "sgd":
        nesterov = options.momentum > 0
        return SGD(decays, lr=rate, momentum=options.momentum, nesterov=nesterov, fused=fused)
    kind = AdamW if options.optimizer == "adamw" else Adam
    return kind(decays, lr=rate, fused=fused)


def _scales(body: Encoder | None, decay: float) -> dict[nn.Parameter, float]:
    """The share of the rate of each weight of the body, if it is not 1."""
    if body is None or decay == 1.0:
        return {}
    layers = body.weight_layers()
    deepest = decay ** len(layers)
    scale = dict.fromkeys(body.parameters(), deepest)  # also of weights that are in no layer
    for steps, layer in enumerate(reversed(layers), start=1):
        scale.update(dict.fromkeys(layer.parameters(), decay**steps))
    return scale


def learning_rate(options: FitOptions, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step; steps count from 0."""
    top, n_steps = options.learning_rate, options.n_steps(steps_per_epoch)
    n_warmup = min(round(options.warmup_epochs * steps_per_epoch), n_steps)
    if options.schedule == "onecycle":
        return _one_cycle(step, n_steps, n_warmup, (top * ONECYCLE_START, top), ONECYCLE_END)
    if step < n_warmup:
        return top * (step + 1) / n_warmup
    if options.schedule == "cosine":
        return _cosine(top, 0.0, (step - n_warmup) / max(1, n_steps - n_warmup))
    if options.schedule == "step":
        return top * options.step_factor ** sum(
            step >= round(part * n_steps) for part in options.falls
        )
    return top


def momentum(options: FitOptions, step: int, steps_per_epoch: int) -> float | None:
    """The momentum of a step with ``onecycle``; None if it does not change."""
    if options.schedule != "onecycle":
        return None
    n_steps = options.n_steps(steps_per_epoch)
    n_warmup = min(round(options.warmup_epochs * steps_per_epoch), n_steps)
    return _one_cycle(step, n_steps, n_warmup, ONECYCLE_MOMENTUM[::-1], 1.0)


def _one_cycle(
    step: int, n_steps: int, n_warmup: int, rise: tuple[float, float], end: float
) -> float:
    """From the start of ``rise`` to its top, then to ``end`` times the start."""
    start, top = rise
    peak = max((n_warmup or ONECYCLE_RISE * n_steps) - 1.0, 1e-9)
    if step <= peak:
        return _cosine(start, top, step / peak)
    return _cosine(top, start * end, (step - peak) / max(n_steps - 1 - peak, 1e-9))


def _cosine(start: float, end: float, done: float) -> float:
    """From ``start`` to ``end`` along half a cosine; ``done`` runs from 0 to 1."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def set_rate(optimizer: Optimizer, rate: float, momentum: float | None = None) -> None:
    """Give each group of an optimiser its share of a rate, and a momentum unless it is None."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SCALE, 1.0)
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum
