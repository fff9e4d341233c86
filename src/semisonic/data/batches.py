"""Batches of rows at each step, from stored features or computed on the device."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.progress import bar
from semisonic.core.seeds import derive, generator
from semisonic.data.stores import SAMPLE_BYTES, FeatureStore, SampleStore, Shape

RESIDENT_BYTES = 2 << 30
"""Bytes of features that may be kept on a device other than the CPU."""
MEMORY_SHARE = 0.6
"""Largest share of a device's free memory for samples; the network needs the rest."""
_COPY_ROWS = 512

log = logging.getLogger(__name__)


class OnTheFlyFeatures:
    """The features of a sample store's clips, computed batch by batch.

    On a processor, a spectrogram takes longer than a training step of a small network, so features
    are computed once and kept. A graphics card is different: thousands of clips fit its memory as
    16-bit samples, the front end takes a fraction of a step, and training starts at once.

    Read like an array of float32, shape (n, channel, mel, frame): ``len``, ``shape`` and rows by
    index. :meth:`batch` returns a tensor that stays on the device.

    Parameters
    ----------
    samples : SampleStore
        The clips, one per row.
    front_end : nn.Module
        Waves, float32 of shape (batch, n_samples), to features, shape (batch, *shape).
    shape : (channel, mel, frame)
        Shape of one clip.
    n_samples : int
        Clips are cut to this length, or padded with silence.
    device : str or torch.device
        Where features are computed.
    resident : bool, optional
        Keep all samples on the device. By default, a processor reads them from the store (the
        system caches the file); another device keeps them if they need at most
        :data:`MEMORY_SHARE` of its free memory, otherwise each batch is read into pinned memory
        and copied.

    Attributes
    ----------
    clips : Clips
        Those of the sample store, row by row.
    shape : (n, channel, mel, frame)
    """

    def __init__(
        self,
        samples: SampleStore,
        front_end: nn.Module,
        shape: Shape,
        n_samples: int,
        device: str | torch.device,
        *,
        resident: bool | None = None,
    ) -> None:
        self.samples, self.device = samples, torch.device(device)
        self.front_end = front_end.eval()
        self.clips, self.shape = samples.clips, (len(samples), *shape)
        self._n_samples, self._resident = int(n_samples), resident
        self._kept: Tensor | None = None
        self._scale: Tensor | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Features of the chosen rows on the CPU, shape (rows, channel, mel, frame)."""
        index = np.arange(len(self))[rows]
        found: NDArray[np.float32] = self.batch(np.atleast_1d(index)).cpu().numpy()
        return found[0] if index.ndim == 0 else found

    def batch(self, rows: ArrayLike, device: str | torch.device | None = None) -> Tensor:
        """Features of some rows.

        Parameters
        ----------
        rows : array of int
        device : str or torch.device, optional
            Device of the result; by default the one that computes it.

        Returns
        -------
        Tensor of float32, shape (rows, channel, mel, frame)
        """
        index = np.asarray(rows, np.int64)
        if not len(index):
            return torch.zeros(0, *self.shape[1:], device=device or self.device)
        with torch.no_grad():
            found: Tensor = self.front_end(self.waves(index))
        return found.float().to(device or self.device)

    def waves(self, rows: NDArray[np.int64]) -> Tensor:
        """Samples of some rows with full scale ±1, on the device, shape (rows, n_samples)."""
        if self._scale is None:  # at the first use
            with torch.inference_mode(False):
                self.front_end.to(self.device)
                self._scale = torch.from_numpy(self.samples.scale / 32768.0).float().to(self.device)
                if self._stays():
                    self._kept = self._copied()
        place = torch.from_numpy(rows).to(self.device, non_blocking=True)
        whole = self._read(rows) if self._kept is None else self._kept.index_select(0, place)
        return whole.float() * self._scale[place][:, None]

    def __repr__(self) -> str:
        n, *shape = self.shape
        return f"OnTheFlyFeatures({n} clips of {tuple(shape)}, computed on {self.device})"

    def __getstate__(self) -> Mapping[str, Any]:
        """Everything but the samples, which another process loads itself."""
        front_end = copy.deepcopy(self.front_end).cpu()
        return {**self.__dict__, "front_end": front_end, "_kept": None, "_scale": None}

    def _stays(self) -> bool:
        """Whether to keep all samples on the device."""
        if self._resident is not None or self.device.type == "cpu":
            return bool(self._resident)  # on a processor the system keeps what it reads
        needed = len(self) * self._n_samples * SAMPLE_BYTES
        free = free_memory(self.device)
        if needed > MEMORY_SHARE * free:
            log.warning(
                "the samples of %d clips take %.2f GB, but '%s' has %.2f GB free, of which they "
                "may use %.0f %%: each batch is copied there instead, which is slower",
                *(len(self), needed / 1e9, self.device, free / 1e9, 100 * MEMORY_SHARE),
            )
        return needed <= MEMORY_SHARE * free

    def _copied(self) -> Tensor:
        kept = torch.empty(len(self), self._n_samples, dtype=torch.int16, device=self.device)
        with bar(len(self), f"samples to {self.device}", "clip") as shown:
            for rows in np.split(np.arange(len(self)), range(_COPY_ROWS, len(self), _COPY_ROWS)):
                kept[rows[0] : rows[-1] + 1] = self._read(rows)
                shown.update(len(rows))
        return kept

    def _read(self, rows: NDArray[np.int64]) -> Tensor:
        """Samples read from the store, in its order, and copied to the device."""
        pinned = self.device.type == "cuda"
        part = torch.zeros(len(rows), self._n_samples, dtype=torch.int16, pin_memory=pinned)
        values = part.numpy()
        for place in np.argsort(rows, kind="stable").tolist():
            wave = self.samples[int(rows[place])][: self._n_samples]
            values[place, : len(wave)] = wave
        return part.to(self.device, non_blocking=pinned)


def free_memory(device: torch.device) -> int:
    """Free bytes on a CUDA or Apple device."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return int(torch.cuda.mem_get_info(device)[0])


Features = FeatureStore | OnTheFlyFeatures | NDArray[np.floating]
Transform = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Batch:
    """A part of the data.

    Attributes
    ----------
    x : Tensor of float32, shape (batch, channel, mel, frame)
        Features, on the stream's device.
    y : Tensor or None
        Targets, on the stream's device: int64 of shape (batch,), float32 of shape (batch, class),
        or None for a stream without targets.
    row : Tensor of int64, shape (batch,)
        Rows of the feature store, on the CPU.
    """

    x: Tensor
    y: Tensor | None
    row: Tensor


class Stream:
    """Batches of some rows, epoch after epoch, as a function of the step number.

    The order of an epoch depends on the seed, the stream's name and the epoch. So a run that is
    resumed at step 1234 gets the same batches as one that was never stopped, and streams of
    different names are independent.

    Each epoch contains every row exactly once. A last batch of one row is merged with the one
    before, because batch normalisation cannot work on a single row; so an epoch has ``ceil(n /
    batch_size)`` steps, or one less.

    Parameters
    ----------
    features : FeatureStore, OnTheFlyFeatures or ndarray, shape (n, channel, mel, frame)
        float16 or float32. A CPU reads them from the file (the system caches it). Another device
        keeps the rows used if they need at most ``RESIDENT_BYTES``. :class:`OnTheFlyFeatures`
        computes them for each batch.
    rows : array of int
        The rows to use.
    batch_size : int
        Rows per batch, over all processes.
    seed : int
        Seed of the order and of the transform.
    target : ndarray, optional
        For *all* rows of ``features``: class numbers (n,), or one column per class (n, K).
    shuffle : bool
        Draw a new order each epoch instead of keeping that of ``rows``.
    device : str or torch.device
        Device of the batches.
    name : str
        Streams of different names have different orders.
    transform : callable, optional
        ``transform(x, generator) -> x`` for augmentation. The generator, on the stream's
        device, depends only on seed, name, step and rank.
    missing_ok : bool
        Allow rows without a label (class number -1).

    Attributes
    ----------
    steps_per_epoch : int
    """

    def __init__(
        self,
        features: Features,
        rows: ArrayLike,
        *,
        batch_size: int,
        seed: int,
        target: NDArray[np.int64] | NDArray[np.float32] | None = None,
        shuffle: bool = True,
        device: str | torch.device = "cpu",
        name: str = "labelled",
        transform: Transform | None = None,
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
            self._target = check_target(target, self.rows, len(features), name, missing_ok)
        self._gather = gatherer(features, self.rows, self.device, RESIDENT_BYTES)
        n = len(self.rows)
        self._starts = list(range(0, n, batch_size))
        if len(self._starts) > 1 and n - self._starts[-1] < min(2, batch_size):
            self._starts.pop()
        self._smallest = min(np.diff([*self._starts, n]).tolist())
        self._order: tuple[int, NDArray[np.int64]] = (-1, self.rows)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches that contain every row once."""
        return len(self._starts)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Stream({self.name}: {len(self)} rows, {self.steps_per_epoch} steps per epoch)"

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of a step, or the part of one process.

        Parameters
        ----------
        step : int
            From 0, over all epochs.
        rank, world : int
            This process and the number of processes. Their parts are disjoint and together make
            the batch.

        Raises
        ------
        DataError
            Already at the first step, if some batch has fewer rows than there are processes.
        """
        epoch, k = divmod(step, self.steps_per_epoch)
        if step < 0 or not 0 <= rank < world:
            raise OptionError(
                f"stream '{self.name}': step {step}, rank {rank} of {world}: out of range"
            )
        if self._smallest < world:
            raise DataError(
                f"stream '{self.name}': a batch of {self._smallest} rows cannot be shared among "
                f"{world} processes. Set a larger batch_size"
            )
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


def batches(
    features: Features,
    rows: ArrayLike,
    batch_size: int,
    device: str | torch.device = "cpu",
) -> Iterator[Batch]:
    """Batches of rows in order, without targets, for evaluation.

    Parameters
    ----------
    features, rows, batch_size, device
        As for :class:`Stream`. The last batch may be smaller; without rows there are no batches.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size: found {batch_size}, expected 1 or more")
    if not np.size(rows):
        return
    wanted = check_rows(rows, len(features), "evaluation")
    gather = gatherer(features, wanted, torch.device(device), 0)
    for start in range(0, len(wanted), batch_size):
        part = wanted[start : start + batch_size]
        yield Batch(gather(part), None, torch.from_numpy(part.copy()))


def gatherer(
    features: Features, rows: NDArray[np.int64], device: torch.device, resident_bytes: int
) -> Callable[[NDArray[np.int64]], Tensor]:
    """A function that returns features of some of these rows as float32 on a device.

    For the CPU they are copied from the (mapped) array in its order, which is faster on a disk.
    Another device keeps a copy if it is not larger than ``resident_bytes``; otherwise they are
    read into pinned memory, from which a graphics card copies them asynchronously.
    """
    if isinstance(features, OnTheFlyFeatures):
        return partial(features.batch, device=device)
    array = features.array if isinstance(features, FeatureStore) else np.asarray(features)
    if array.dtype not in (np.float16, np.float32):
        raise DataError(f"features: found {array.dtype}, expected float16 or float32")

    def read(chosen: NDArray[np.int64]) -> Tensor:
        if isinstance(features, FeatureStore):
            features.check(chosen)
        lies = features.place[chosen] if isinstance(features, FeatureStore) else chosen
        part = np.empty((len(lies), *array.shape[1:]), array.dtype)
        for i in np.argsort(lies, kind="stable").tolist():
            part[i] = array[lies[i]]
        found = torch.from_numpy(part)
        pinned = found.pin_memory() if device.type == "cuda" else found
        return pinned.to(device, non_blocking=True)

    own = np.unique(rows)
    n_bytes = len(own) * int(np.prod(array.shape[1:])) * array.itemsize
    if device.type == "cpu" or n_bytes > resident_bytes:
        return lambda chosen: read(chosen).float()
    kept = read(own[:1]).new_empty((len(own), *array.shape[1:]))
    for start in range(0, len(own), _COPY_ROWS):
        kept[start : start + _COPY_ROWS] = read(own[start : start + _COPY_ROWS])
    return lambda chosen: kept[torch.from_numpy(np.searchsorted(own, chosen)).to(device)].float()


def check_rows(rows: ArrayLike, n: int, name: str) -> NDArray[np.int64]:
    """Row numbers as int64; DataError if there are none, or one is out of range."""
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
    target: NDArray[Any], rows: NDArray[np.int64], n: int, name: str, missing_ok: bool
) -> NDArray[np.int64] | NDArray[np.float32]:
    """Targets of a type that losses accept; DataError if a row used has none."""
    if len(target) != n or target.ndim > 2:
        raise DataError(
            f"target of '{name}': found shape {target.shape}, expected a target for each of the "
            f"{n} rows of the features"
        )
    if target.ndim == 2:
        return target.astype(np.float32)
    if target.dtype.kind not in "iu":
        raise DataError(f"target of '{name}': found {target.dtype}, expected class numbers")
    without = int((target[rows] < 0).sum())
    if without and not missing_ok:
        raise DataError(f"target of '{name}': {without} of {len(rows)} rows have no label")
    return target.astype(np.int64)
