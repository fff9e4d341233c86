"""Streams of batches: which rows at which step, and nothing to remember.

A stream is a function of the step number. The order of an epoch is drawn from the seed, the
stream's name and the epoch; so a run that is resumed at step 1234 sees the same batches as
one that was never stopped, and streams of several names do not disturb each other.

This file imports torch; ``semisonic.data`` does not import this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from semisonic.base.errors import DataError, OptionError
from semisonic.base.seeds import derive, generator
from semisonic.data.features_store import FeatureStore
from semisonic.data.gather import RESIDENT_BYTES, Gather
from semisonic.data.in_batch import InBatch

Transform = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Batch:
    """A part of the data.

    Attributes
    ----------
    x : Tensor of float32, shape (batch, channel, mel, frame)
        Features, on the stream's device.
    y : Tensor or None
        Targets, on the stream's device: int64 of shape (batch,), float32 of shape
        (batch, class), or None for a stream without.
    row : Tensor of int64, shape (batch,)
        Rows of the feature store, on the CPU.
    """

    x: Tensor
    y: Tensor | None
    row: Tensor


class Stream:
    """Batches of some rows, epoch after epoch, as a function of the step number.

    Each epoch holds every row exactly once. A last batch of fewer than ``min_batch`` rows is
    merged with the one before it, because batch normalisation cannot work on a single row;
    so an epoch has ``ceil(n / batch_size)`` steps, or one less.

    Parameters
    ----------
    features : FeatureStore, InBatch or ndarray, shape (n, channel, mel, frame)
        float16 or float32. Read from the file on a CPU (the system keeps what fits into
        memory). On another device the rows used are kept on the device if they need no
        more than ``resident_bytes``. Those of an :class:`~semisonic.data.in_batch.InBatch` are
        computed for each batch.
    rows : array of int
        The rows to use.
    batch_size : int
        Rows of a batch, over all processes.
    seed : int
        Of the order and of the transform.
    target : ndarray, optional
        For *all* rows of ``features``: class numbers (n,), or one column per class (n, K).
    shuffle : bool
        Draw a new order each epoch, or keep that of ``rows``.
    device : str or torch.device
        Where the batches shall be.
    name : str
        Streams of different names have different orders.
    min_batch : int
        The smallest last batch; with ``torchrun``, at least the number of processes.
    transform : callable, optional
        ``transform(x, generator) -> x`` for augmentation. The generator, on the stream's
        device, depends on seed, name, step and rank alone.
    resident_bytes : int
        See ``features``.
    missing_ok : bool
        Let rows without a label (class number -1) be among those used.

    Attributes
    ----------
    steps_per_epoch : int
    """

    def __init__(
        self,
        features: FeatureStore | InBatch | NDArray[np.floating],
        rows: ArrayLike,
        *,
        batch_size: int,
        seed: int,
        target: NDArray[np.int64] | NDArray[np.float32] | None = None,
        shuffle: bool = True,
        device: str | torch.device = "cpu",
        name: str = "labelled",
        min_batch: int = 2,
        transform: Transform | None = None,
        resident_bytes: int = RESIDENT_BYTES,
        missing_ok: bool = False,
    ) -> None:
        self.rows = check_rows(rows, len(features), name)
        if batch_size < 1:
            raise OptionError(f"batch_size of '{name}': found {batch_size}, expected 1 or more")
        self.batch_size, self.seed, self.name = batch_size, seed, name
        self.shuffle, self.transform = shuffle, transform
        self.device = torch.device(device)
        self._target = target
        if target is not None:
            self._target = check_target(target, len(features), self, missing_ok)
        self._gather = gather_of(features, self.rows, self.device, resident_bytes)
        self._starts = batch_starts(len(self.rows), batch_size, min_batch)
        self._smallest = min(np.diff([*self._starts, len(self.rows)]).tolist())
        self._order: tuple[int, NDArray[np.int64]] = (-1, self.rows)

    @property
    def steps_per_epoch(self) -> int:
        """Batches that hold every row once."""
        return len(self._starts)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Stream({self.name}: {len(self)} rows, {self.steps_per_epoch} steps per epoch)"

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of a step, or one process's part of it.

        Parameters
        ----------
        step : int
            From 0, over all epochs.
        rank, world : int
            This process and the number of processes. Their parts are disjoint and make up
            the batch of the step.

        Raises
        ------
        DataError
            At the first step already, if some batch has fewer rows than there are processes.
        """
        epoch, k = divmod(step, self.steps_per_epoch)
        self._check_part(step, rank, world)
        order = self.order(epoch)
        end = self._starts[k + 1] if k + 1 < len(self._starts) else len(order)
        rows = order[self._starts[k] : end][rank::world]
        x = self._gather(rows)
        if self.transform is not None:
            numbers = torch.Generator(device=self.device)
            numbers.manual_seed(derive(self.seed, self.name, "transform", step, rank))
            x = self.transform(x, numbers)
        y = None if self._target is None else torch.from_numpy(self._target[rows]).to(self.device)
        return Batch(x, y, torch.from_numpy(rows.copy()))

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The rows of an epoch in their order, shape (n,)."""
        if not self.shuffle:
            return self.rows
        if self._order[0] != epoch:
            numbers = generator(self.seed, self.name, epoch)
            self._order = (epoch, numbers.permutation(self.rows))
        return self._order[1]

    def _check_part(self, step: int, rank: int, world: int) -> None:
        if step < 0 or not 0 <= rank < world:
            raise OptionError(
                f"stream '{self.name}': step {step}, rank {rank} of {world}: out of range"
            )
        if self._smallest < world:
            raise DataError(
                f"stream '{self.name}': a batch of {self._smallest} rows cannot be shared among "
                f"{world} processes. Give a larger batch_size or min_batch={world}"
            )


def batches(
    features: FeatureStore | InBatch | NDArray[np.floating],
    rows: ArrayLike,
    batch_size: int,
    device: str | torch.device = "cpu",
) -> Iterator[Batch]:
    """Batches of some rows in their order, without targets, for evaluation.

    Parameters
    ----------
    features, rows, batch_size, device
        As for :class:`Stream`. The last batch may be smaller, and no rows give no batches.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size: found {batch_size}, expected 1 or more")
    if not np.size(rows):
        return
    wanted = check_rows(rows, len(features), "evaluation")
    gather = gather_of(features, wanted, torch.device(device), 0)
    for start in range(0, len(wanted), batch_size):
        part = wanted[start : start + batch_size]
        yield Batch(gather(part), None, torch.from_numpy(part.copy()))


def gather_of(
    features: FeatureStore | InBatch | NDArray[np.floating],
    rows: NDArray[np.int64],
    device: torch.device,
    resident_bytes: int,
) -> Callable[[NDArray[np.int64]], Tensor]:
    """What gives the features of some of these rows as a tensor on a device."""
    if isinstance(features, InBatch):
        return partial(features.batch, device=device)
    array = features.array if isinstance(features, FeatureStore) else features
    return Gather(array, rows, device, resident_bytes)


def batch_starts(n: int, batch_size: int, min_batch: int) -> list[int]:
    """Where each batch of an epoch begins."""
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] < min(min_batch, batch_size):
        starts.pop()
    return starts


def check_rows(rows: ArrayLike, n: int, name: str) -> NDArray[np.int64]:
    """Row numbers as int64; DataError if there is none, or one out of range."""
    found = np.asarray(rows)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        raise DataError(
            f"rows of '{name}': found {found.dtype} of shape {found.shape}, expected row numbers"
        )
    if found.min() < 0 or found.max() >= n:
        raise DataError(
            f"rows of '{name}': found {found.min()} to {found.max()}, expected 0 to {n - 1}"
        )
    return found.astype(np.int64)


def check_target(
    target: NDArray[np.int64] | NDArray[np.float32], n: int, stream: Stream, missing_ok: bool
) -> NDArray[np.int64] | NDArray[np.float32]:
    """Targets of a type that losses take; DataError if a row used has none."""
    if len(target) != n or target.ndim > 2:
        raise DataError(
            f"target of '{stream.name}': found shape {target.shape}, expected a target for each "
            f"of the {n} rows of the features"
        )
    if target.ndim == 2:
        return target.astype(np.float32)
    if target.dtype.kind not in "iu":
        raise DataError(f"target of '{stream.name}': found {target.dtype}, expected class numbers")
    without = int((target[stream.rows] < 0).sum())
    if without and not missing_ok:
        raise DataError(
            f"target of '{stream.name}': {without} of {len(stream.rows)} rows have no label"
        )
    return target.astype(np.int64)
