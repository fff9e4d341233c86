"""The rows nearest to a vector by a graph of neighbours (HNSW), with the library USearch.

Paper: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs", 2018. The graph is made at the first search and kept
beside the vectors, with numbers of 16 bits. It is opened without being read into memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import OptionError
from semisonic.base.files import digest, replacing
from semisonic.base.progress import bar
from semisonic.labeling.nearest import Nearest, checked, nearness
from semisonic.labeling.search_options import COSINE

CONNECTIVITY = 16
EXPANSION_ADD, EXPANSION_SEARCH = 128, 128
_BLOCK = 8192
_FORMAT = 1


def graph_file(folder: Path, vectors: Path, by: str) -> Path:
    """Where the graph of an index lies, for these vectors as they are now."""
    state = os.stat(vectors)
    return folder / f"graph-{by}-{digest(_FORMAT, state.st_size, state.st_mtime_ns)}.usearch"


def open_graph(vectors: NDArray[np.float32], file: Path, by: str) -> Any:
    """The graph, made if its file is missing; graphs of earlier states are removed.

    Raises
    ------
    OptionError
        When USearch is not installed.
    """
    index = _empty(vectors.shape[1], by)
    if not file.is_file():
        for old in file.parent.glob(f"graph-{by}-*.usearch"):
            old.unlink()
        with bar(len(vectors), "graph", "row") as shown:
            for start in range(0, len(vectors), _BLOCK):
                block = np.asarray(vectors[start : start + _BLOCK])
                index.add(np.arange(start, start + len(block)), block)
                shown.update(len(block))
        with replacing(file) as part:
            index.save(str(part))
    index.view(str(file))
    index.expansion_search = EXPANSION_SEARCH
    return index


def nearest_by_graph(
    graph: Any, vectors: NDArray[np.float32], queries: ArrayLike, k: int, by: str = COSINE
) -> Nearest:
    """As :func:`nearest`, but a row that is near may be missed.

    Values are computed anew from the vectors, so they are those of an exact search.
    """
    wanted = checked(queries, vectors.shape[1])
    rows, values = [], []
    for query in wanted:
        found = np.sort(np.asarray(graph.search(query, min(k, len(vectors))).keys, np.int64))
        near = nearness(np.asarray(vectors[found]), query[None], by)[0]
        order = np.lexsort((found, -near))
        rows.append(found[order])
        values.append(near[order] if by == COSINE else -near[order])
    return Nearest(np.stack(rows), np.stack(values))


def _empty(dim: int, by: str) -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise OptionError(
            "option 'approximate' needs the package usearch: pip install 'semisonic[search]'. An "
            "exact search needs nothing and takes a fraction of a second for 250 000 rows"
        ) from error
    return Index(
        ndim=dim, metric="cos" if by == COSINE else "l2sq", dtype="f16",
        connectivity=CONNECTIVITY, expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )  # fmt: skip
