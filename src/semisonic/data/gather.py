"""Rows of a large array as one float32 tensor on a device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semisonic.base.errors import DataError

RESIDENT_BYTES = 2 << 30
"""Bytes of features that may be kept on a device other than the CPU."""

_COPY_ROWS = 1024


class Gather:
    """A function from row numbers to features.

    On the CPU the rows are copied out of the (mapped) array in the order in which they lie
    there, which is kinder to a disk, and converted in one go. On another device they are
    taken from a copy that stays there, if it is not larger than ``resident_bytes``; else they
    are read into pinned memory, from which a graphics card fetches them by itself.

    Parameters
    ----------
    array : ndarray of float16 or float32, shape (n, ...)
        All features.
    rows : ndarray of int64
        The rows that will be asked for.
    device : torch.device
        Where the results shall be.
    resident_bytes : int
        See above.
    """

    def __init__(
        self,
        array: NDArray[np.floating],
        rows: NDArray[np.int64],
        device: torch.device,
        resident_bytes: int,
    ) -> None:
        if array.dtype not in (np.float16, np.float32):
            raise DataError(f"features: found {array.dtype}, expected float16 or float32")
        self._array = np.asarray(array)
        self._device = device
        self._kept: Tensor | None = None
        self._kept_rows = np.unique(rows)
        n_bytes = len(self._kept_rows) * int(np.prod(array.shape[1:])) * array.itemsize
        if device.type != "cpu" and n_bytes <= resident_bytes:
            self._kept = self._copy_to_device()

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """The rows in the order given, shape (rows, ...)."""
        if self._kept is not None:
            place = torch.from_numpy(np.searchsorted(self._kept_rows, rows)).to(self._device)
            return self._kept[place].float()
        return self._read(rows).to(self._device, non_blocking=True).float()

    def _read(self, rows: NDArray[np.int64]) -> Tensor:
        part = np.empty((len(rows), *self._array.shape[1:]), self._array.dtype)
        for i in np.argsort(rows, kind="stable").tolist():
            part[i] = self._array[rows[i]]
        read = torch.from_numpy(part)
        return read.pin_memory() if self._device.type == "cuda" else read

    def _copy_to_device(self) -> Tensor:
        kept = torch.from_numpy(np.empty(0, self._array.dtype)).to(self._device)
        kept = kept.new_empty((len(self._kept_rows), *self._array.shape[1:]))
        for start in range(0, len(kept), _COPY_ROWS):
            rows = self._kept_rows[start : start + _COPY_ROWS]
            kept[start : start + len(rows)] = self._read(rows).to(self._device)
        return kept
