"""The one training loop, in plain torch.

It knows devices, number formats, schedules, averages, early stopping, checkpoints and
processes; it knows no method. What is minimised comes as an objective, what it is computed
on as streams of batches. :func:`train_step` is all that changes a weight.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from semisonic.core.errors import TrainingError
from semisonic.core.options import check
from semisonic.core.progress import TimeEstimate, bar
from semisonic.core.seeds import derive
from semisonic.learning.objective import Objective
from semisonic.training.checkpoint import (
    BatchStream,
    Identity,
    Streams,
    check_streams,
    identity_of,
    load_checkpoint,
)
from semisonic.training.devices import (
    PrecisionPlan,
    World,
    check_plan,
    choose_device,
    choose_plan,
    join,
    kept_randomness,
    seed_torch,
)
from semisonic.training.optimizer import put_weights
from semisonic.training.options import FitOptions
from semisonic.training.state import FitResult, NotFinite, TrainingState, Validate, result_of


class Interrupt:
    """Whether Ctrl-C was pressed. The second time it stops at once."""

    def __init__(self) -> None:
        self.pressed = 0

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

    Signals reach the main thread only: in another one, nothing is changed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or before is None:  # ignored on purpose, or not Python's
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def explain(error: NotFinite, streams: Streams, steps_per_epoch: int, plan: str) -> TrainingError:
    """An error that says where it happened and what to try.

    Batches are a function of the step, so those of the bad step are looked at again: either
    the recordings are at fault, or the training is.
    """
    epoch = error.step // steps_per_epoch + 1
    where = (
        f"epoch {epoch}, step {error.step}: the term '{error.term}' became {error.value} "
        f"at learning rate {error.rate:g} in {plan}"
    )
    for name, stream in streams.items():
        bad = _bad_rows(stream, error.step)
        if bad:
            return TrainingError(
                f"{where}. The stream '{name}' holds values that are not finite in this "
                f"batch, rows {', '.join(map(str, bad))} of its table: check those clips"
            )
    advice = "use a lower learning_rate, or clip gradients (clip_norm=1.0)"
    if plan.startswith("bf16"):
        advice += ", or precision='fp32'"
    return TrainingError(f"{where}. The inputs of this step are finite: {advice}")


def _bad_rows(stream: BatchStream, step: int, most: int = 5) -> list[int]:
    batch = stream.at(step)
    bad = ~torch.isfinite(batch.x.flatten(1)).all(dim=1)
    if batch.y is not None and batch.y.is_floating_point():
        bad |= ~torch.isfinite(batch.y.reshape(len(batch.y), -1)).all(dim=1)
    places = bad.nonzero().flatten()
    row: Tensor | None = getattr(batch, "row", None)
    rows = places if row is None else row.to(places.device)[places]
    return [int(one) for one in rows[:most]]


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
    check_streams(objective, streams, place.type)
    steps_per_epoch = options.steps_an_epoch(streams[objective.streams[0]].steps_per_epoch)
    options = replace(options, epochs=options.n_epochs(steps_per_epoch))
    world = join(place)
    identity, checkpoint = {}, None
    if folder is not None:
        identity = identity_of(objective, streams, options, seed, validate is not None)
        checkpoint = load_checkpoint(folder, identity)
    objective.to(place)
    if checkpoint is not None:
        check_plan(checkpoint["plan"], options)
        if checkpoint["finished"]:
            put_weights(objective, checkpoint["weights"])
            objective.eval()
            return result_of(checkpoint)
    training = TrainingState(
        objective,
        options,
        steps_per_epoch,
        seed=seed,
        device=place,
        world=world,
        plan=_plan(options, place, world, checkpoint),
        validated=validate is not None,
        folder=folder,
        identity=identity,
    )
    if checkpoint is not None:
        training.load(checkpoint)
    try:
        _loop(training, streams, validate, label)
    except NotFinite as error:
        raise explain(error, streams, training.steps_per_epoch, str(training.plan)) from error
    return training.finish()


def _loop(training: TrainingState, streams: Streams, validate: Validate | None, label: str) -> None:
    with _running(training, label) as after_step:
        while not training.is_done:
            while training.step < training.epoch_end:
                train_step(training, streams)
                after_step()
            training.end_epoch(validate)
            after_step(epoch_ended=True)


def train_step(t: TrainingState, streams: Streams) -> None:
    """One step: fetch a batch of each stream, forward, backward, change the weights.

    Parameters
    ----------
    t : TrainingState
        At the step to be taken; it is at the next one afterwards.
    streams : mapping of str to BatchStream
    """
    seed_torch(derive(t.seed, "dropout", t.step, t.world.rank), t.device)
    names = t.objective.streams
    batches = {name: streams[name].at(t.step, t.world.rank, t.world.size) for name in names}
    rate = t.schedule.apply(t.optimizer, t.step)
    n_rows = len(batches[names[0]].x)
    share = t.world.share(n_rows, t.device)
    t.optimizer.zero_grad(set_to_none=True)
    terms = t.forward_backward(batches, share)
    if t.options.clip_norm > 0:
        clip_grad_norm_(t.weights, t.options.clip_norm)
    t.optimizer.step()
    t.objective.after_step()
    if t.average is not None:
        t.average.update()
    t.meter.add(t.step, n_rows, rate, terms)
    t.step += 1


@contextmanager
def _running(training: TrainingState, label: str) -> Iterator[Callable[..., None]]:
    """The surroundings of the loop; gives the function to call after every step.

    That function reads the losses now and then, shows progress, writes checkpoints and
    acts on Ctrl-C, which waits for it so that a checkpoint never holds half a step.
    """
    total = training.n_steps
    first = training.world.is_first
    shown = bar(total, label, "step", training.step) if first else nullcontext()

    stoppable = training.options.patience > 0
    at_most = " at most" if stoppable else ""
    epochs = f"{training.options.epochs} epochs{at_most}"
    forecast = TimeEstimate(label, total - training.step, f"steps ({epochs})")

    def read() -> None:
        n_steps = training.meter.read()
        if progress is not None and n_steps:
            _show(progress, training, n_steps)
            forecast.done(n_steps)

    def after_step(epoch_ended: bool = False) -> None:
        if training.meter.is_due() or training.step == training.epoch_end:
            read()
        if training.clock.is_due(epoch_ended):
            read()
            training.save()
        interrupt.check()

    with kept_randomness(training.device), _deferred_interrupt() as interrupt, shown as progress:
        training.freezing.train()
        try:
            yield after_step
        except KeyboardInterrupt:
            if interrupt.is_orderly:
                read()
                training.save()
            raise
        finally:
            training.freezing.release()


def _show(progress: Any, training: TrainingState, n_steps: int) -> None:
    rate = training.optimizer.param_groups[0]["lr"]
    progress.set_postfix_str(f"loss {training.meter.latest:.4g}, lr {rate:.2g}", refresh=False)
    progress.update(n_steps)


def _plan(
    options: FitOptions, device: torch.device, world: World, checkpoint: Identity | None
) -> PrecisionPlan:
    """Number format and layout: the checkpoint's, else what the options and the device say."""
    if checkpoint is not None:
        return PrecisionPlan.parse(checkpoint["plan"])
    return PrecisionPlan.parse(world.tell(str(choose_plan(options, device))))
