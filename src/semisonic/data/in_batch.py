"""Features that are computed when a batch asks for them, from samples that stay on a device.

On a processor a spectrogram takes longer than a training step of a small network, so features
are computed once and kept. On a graphics card it is the other way round: thousands of clips
fit its memory as 16-bit samples, the front end takes a fraction of a step, and nothing has to
be computed before the training begins. :class:`InBatch` stands in for a table of features, so
that streams, objectives and scores notice nothing.

This file imports torch; ``semisonic.data`` does not import this file.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from semisonic.base.progress import bar
from semisonic.data.clips import Clips
from semisonic.data.features_store import Shape
from semisonic.data.store import SampleStore
from semisonic.data.store_decode import SAMPLE_BYTES

SHARE_OF_ROOM = 0.6
"""Share of a device's free memory that samples may take: the network needs the rest."""

FULL_SCALE = 32768.0

_COPY_ROWS = 512

log = logging.getLogger(__name__)


class InBatch:
    """The features of a sample store's clips, computed batch by batch.

    Read like an array of float32, shape (n, channel, mel, frame): ``len``, ``shape`` and rows by
    index. :meth:`batch` gives them as a tensor without a way through the processor.

    Parameters
    ----------
    samples : SampleStore
        The clips, a row each.
    front_end : nn.Module
        Waves, float32 of shape (batch, n_samples), to features, shape (batch, *shape).
    shape : (channel, mel, frame)
        Of one clip.
    n_samples : int
        Clips are cut to this length, or followed by silence.
    device : str or torch.device
        Where features are computed.
    resident : bool, optional
        Keep all samples on the device. If not given, they stay where they are on a processor
        (the system keeps what it reads in memory), and on another device they are kept if
        they need no more than :data:`SHARE_OF_ROOM` of its free memory; else each batch is
        read into pinned memory and copied.

    Attributes
    ----------
    clips : Clips
        Those of the sample store, row by row.
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
        self._shape, self._n_samples, self._resident = shape, int(n_samples), resident
        self._kept: Tensor | None = None
        self._scale: Tensor | None = None

    @property
    def clips(self) -> Clips:
        """Row by row."""
        return self.samples.clips

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the table that it stands in for."""
        return (len(self), *self._shape)

    @property
    def n_bytes(self) -> int:
        """What all samples take on the device."""
        return len(self) * self._n_samples * SAMPLE_BYTES

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Features of the rows chosen, in ordinary memory, shape (rows, channel, mel, frame)."""
        index = np.arange(len(self))[rows]
        found: NDArray[np.float32] = self.batch(np.atleast_1d(index)).cpu().numpy()
        return found[0] if index.ndim == 0 else found

    def batch(self, rows: ArrayLike, device: str | torch.device | None = None) -> Tensor:
        """Features of some rows.

        Parameters
        ----------
        rows : array of int
        device : str or torch.device, optional
            Where the result shall be; where it is computed, by default.

        Returns
        -------
        Tensor of float32, shape (rows, channel, mel, frame)
        """
        index = np.asarray(rows, np.int64)
        if not len(index):
            return torch.zeros(0, *self._shape, device=device or self.device)
        with torch.no_grad():
            waves = self.waves(index)
            found: Tensor = self.front_end(waves)
        return found.float() if device is None else found.float().to(device)

    def waves(self, rows: NDArray[np.int64]) -> Tensor:
        """Samples of some rows with full scale ±1, on the device, shape (rows, n_samples)."""
        scale = self._settled()
        if self._kept is None:
            place = torch.from_numpy(rows)
            whole = self._from_host(rows)
        else:
            place = torch.from_numpy(rows).to(self.device, non_blocking=True)
            whole = self._kept.index_select(0, place)
        return whole.float() * scale[place.to(self.device)][:, None]

    @property
    def is_resident(self) -> bool:
        """Whether all samples stay on the device."""
        self._settled()
        return self._kept is not None

    def __repr__(self) -> str:
        return f"InBatch({len(self)} clips of {self._shape}, computed on {self.device})"

    def __getstate__(self) -> Mapping[str, Any]:
        """Everything but the samples, which another process puts on its device itself."""
        front_end = copy.deepcopy(self.front_end).cpu()
        return {**self.__dict__, "front_end": front_end, "_kept": None, "_scale": None}

    def _settled(self) -> Tensor:
        """At the first use put the samples on the device, or settle for batches; the scales."""
        if self._scale is None:
            with torch.inference_mode(False):
                self.front_end.to(self.device)
                resident = self._resident
                if resident is None:
                    resident = self.device.type != "cpu" and self._fits()
                if resident:
                    self._kept = self._copied()
                scale = torch.from_numpy((self.samples.scale / FULL_SCALE).astype(np.float32))
                self._scale = scale.to(self.device)
        return self._scale

    def _fits(self) -> bool:
        room = free_memory(self.device)
        if self.n_bytes <= SHARE_OF_ROOM * room:
            return True
        log.warning(
            "the samples of %d clips take %.2f GB and '%s' has %.2f GB free, of which they may "
            "take %.0f %%: each batch is copied there instead, which is slower",
            len(self), self.n_bytes / 1e9, self.device, room / 1e9, 100 * SHARE_OF_ROOM,
        )  # fmt: skip
        return False

    def _copied(self) -> Tensor:
        kept = torch.empty(len(self), self._n_samples, dtype=torch.int16, device=self.device)
        with bar(len(self), f"samples to {self.device}", "clip") as shown:
            for start in range(0, len(self), _COPY_ROWS):
                rows = np.arange(start, min(start + _COPY_ROWS, len(self)))
                kept[start : start + len(rows)] = self._from_host(rows)
                shown.update(len(rows))
        return kept

    def _from_host(self, rows: NDArray[np.int64]) -> Tensor:
        """Samples read from the store, in the order in which they lie there, and copied over."""
        pinned = self.device.type == "cuda"
        part = torch.zeros(len(rows), self._n_samples, dtype=torch.int16, pin_memory=pinned)
        values = part.numpy()
        for place in np.argsort(rows, kind="stable").tolist():
            wave = self.samples[int(rows[place])][: self._n_samples]
            values[place, : len(wave)] = wave
        return part.to(self.device, non_blocking=pinned)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; for other devices than CUDA's, in this machine."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
