"""Windows of clips with their vectors, in full batches, in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.data.clips import Clips
from semisonic.inference.pipeline import Item, Windows, stream_windows
from semisonic.labeling.embedder import Embedder, Vectors

Embedded = tuple[Item, Vectors, NDArray[np.float64]]


def embedded_windows(
    embedder: Embedder,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    workers: int | None = None,
) -> Iterator[Embedded]:
    """Embed the windows of clips; recordings are read block by block.

    Every batch but the last has ``batch_size`` windows, whatever clips they are of, so the same
    clips give the same vectors to the last bit.

    Yields
    ------
    item : Windows or Done
        Windows of a clip, then the end of that clip, as :func:`stream_windows` gives them.
    vectors : ndarray of float32, shape (n_windows, dim)
    scores : ndarray of float64, shape (n_windows, n_classes)
        Of no class for an encoder.
    """
    waiting: list[Item] = []
    count = 0
    for item in stream_windows(clips, embedder.mel, hop=hop, workers=workers):
        waiting.append(item)
        count += _size(item)
        while count >= batch_size:
            batch, waiting = _split(waiting, batch_size)
            count -= batch_size
            yield from _apply(embedder, batch, device)
    yield from _apply(embedder, waiting, device)


def _apply(embedder: Embedder, batch: list[Item], device: str | torch.device) -> Iterator[Embedded]:
    parts = [item.features for item in batch if isinstance(item, Windows)]
    vectors = np.zeros((0, embedder.dim), np.float32)
    scores = None
    if parts:
        vectors, scores = embedder(np.concatenate(parts), device)
    if scores is None:
        scores = np.zeros((len(vectors), 0))
    at = 0
    for item in batch:
        rows = slice(at, at + _size(item))
        yield item, vectors[rows], scores[rows]
        at = rows.stop


def _split(items: list[Item], n: int) -> tuple[list[Item], list[Item]]:
    """The items with the first ``n`` windows, and the others; one may be cut in two."""
    first: list[Item] = []
    for i, item in enumerate(items):
        if isinstance(item, Windows) and len(item.times) > n:
            return [*first, item[:n]], [item[n:], *items[i + 1 :]]
        first.append(item)
        n -= _size(item)
    return first, []


def _size(item: Item) -> int:
    return len(item.times) if isinstance(item, Windows) else 0
