"""What is looked for: recordings, parts of them, rows of an index, or several of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import AudioError, DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.inference.pipeline import Done
from semisonic.labeling.batching import embedded_windows
from semisonic.labeling.embedder import Embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.naming import named_from
from semisonic.labeling.nearest import unit
from semisonic.labeling.search_options import COSINE


def examples_of(
    index: EmbeddingIndex, files: Sequence[Path], start: float, end: float | None
) -> Clips:
    """The examples in files, named as the index names recordings.

    Raises
    ------
    DataError
        When a file does not exist.
    OptionError
        When the end is not behind the start.
    """
    if end is not None and end <= start:
        raise OptionError(f"options 'start' and 'end': found {start:g} s to {end:g} s")
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected a recording to look for")
    tables = [
        Clips.from_rows(file.parent, [{"file": file.name, "start_time": start, "end_time": end}])
        for file in files
    ]
    return named_from(index.folder, tables)


def embed_examples(
    index: EmbeddingIndex, embedder: Embedder, examples: Clips, device: str
) -> NDArray[np.float32]:
    """The mean vector of each example's windows, shape (n, dim).

    Raises
    ------
    AudioError
        When one cannot be read.
    """
    found = embedded_windows(embedder, examples, hop=index.hop, device=device, workers=1)
    vectors, windows = [], []
    for item, rows, _ in found:
        if not isinstance(item, Done):
            windows.append(rows)
            continue
        if item.reason or not windows:
            raise AudioError(examples.paths[item.row], item.reason or "holds no sound")
        vectors.append(np.concatenate(windows).mean(axis=0))
        windows = []
    return np.stack(vectors) if vectors else np.zeros((0, index.dim), np.float32)


def mean_query(vectors: NDArray[np.float32], by: str) -> NDArray[np.float32]:
    """One vector for several examples, shape (dim,).

    For the cosine each example counts the same, however long its vector is.
    """
    table = unit(vectors) if by == COSINE else vectors
    return np.asarray(table.mean(axis=0), np.float32)
