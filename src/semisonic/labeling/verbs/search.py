"""``search``: recordings that sound like an example."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.base.files import write_csv
from semisonic.base.options import check
from semisonic.data.clips import Clips
from semisonic.labeling.hits import find_hits
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.query import embed_examples, examples_of, mean_query
from semisonic.labeling.search_options import SearchOptions
from semisonic.labeling.search_page import write_search_page
from semisonic.labeling.search_result import HITS, SearchResult
from semisonic.training import RunFolder

FREE = ("output", "model", "device")


def run_search(options: SearchOptions) -> SearchResult:
    """Look for what sounds like the examples.

    Raises
    ------
    OptionError
        Without an example, or when the run folder belongs to another search.
    DataError
        When there is no index, no such file or no such row.
    AudioError
        When an example cannot be read.
    ModelError
        When the model of the index is gone or another one.
    """
    check(options)
    index = EmbeddingIndex.open(options.index)
    if not (options.query or options.row):
        raise OptionError("nothing to look for: name a recording, or a row with --row")
    if not len(index):
        raise DataError(f"{options.index}: the index holds no row; nothing can be found in it")
    if options.output is None:
        return _search(index, options)
    with RunFolder(options.output, "search", options, free=FREE) as run:
        found = _search(index, options)
        write_csv(run.path(HITS), found.headers(), found.rows())
        report = write_search_page(run.folder, found)
        run.note(n_hits=len(found.hits), rows_of_index=len(index))
    return SearchResult(found.index, found.examples, found.hits, options, found.seconds, report)


def _search(index: EmbeddingIndex, options: SearchOptions) -> SearchResult:
    rows = np.array(options.row, np.int64)
    vectors = [index.row(row)[None] for row in rows.tolist()]
    examples = examples_of(index, options.query, options.start, options.end)
    if len(examples):
        embedder = index.embedder(options.model)
        vectors.insert(0, embed_examples(index, embedder, examples, options.device))
    query = mean_query(np.concatenate(vectors), options.by)
    left_out = np.zeros(len(index), np.bool_)
    left_out[rows] = True
    if options.other_files:
        files = {*examples.file.tolist(), *index.clips.file[rows].tolist()}
        left_out |= np.isin(index.clips.file, sorted(files))
    began = time.perf_counter()
    hits = find_hits(
        index.clips,
        lambda m: index.nearest(query, m, by=options.by, approximate=options.approximate),
        options.k, left_out=left_out, merge=not options.all_windows,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return SearchResult(index, _with_rows(examples, index, rows), hits, options, seconds)


def _with_rows(examples: Clips, index: EmbeddingIndex, rows: NDArray[np.int64]) -> Clips:
    """The examples in files, then those that are rows; both are named from the index."""
    more = index.clips[rows]
    file = np.concatenate([examples.file, more.file])
    return Clips(
        root=index.clips.root,
        file=file,
        start_time=np.concatenate([examples.start_time, more.start_time]),
        end_time=np.concatenate([examples.end_time, more.end_time]),
        labels=((),) * len(file),
        group=file,
        fold=np.zeros(len(file), np.int64),
        name="examples",
    )
