"""The page of ``search``: the examples and the hits, to be listened to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import read_start
from semisonic.base.errors import AudioError
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Page
from semisonic.labeling.naming import shown_names
from semisonic.labeling.search_options import COSINE
from semisonic.labeling.search_result import SearchResult

LONGEST = 10.0
"""Seconds of a sound that are read for the page."""
MOST_LISTED = 200
_RATE = 22050
_EXAMPLES = 8


def write_search_page(folder: Path, result: SearchResult) -> Path:
    """Write ``report.html`` into a run folder."""
    hits, options, index = result.hits, result.options, result.index
    names = shown_names([*index.clips.file.tolist(), *result.examples.file.tolist()])
    files, n = len({hit.file for hit in hits}), len(result.examples)
    page = Page(
        f"What sounds like the {_several(n, 'example') if n > 1 else 'example'}",
        f"Looked for in {len(index)} rows of {len(set(index.clips.file.tolist()))} recordings",
    )
    page.verdict(f"{_several(len(hits), 'hit')} in {_several(files, 'recording')}")
    page.section("Looked for")
    page.players(_examples(result, names))
    page.section("Found")
    how = "a graph of neighbours, which may miss some" if options.approximate else "every row"
    page.text(
        f"The nearest first, by {'cosine similarity' if options.by == COSINE else 'distance'}; "
        f"looked at: {how}. A hit is what the model finds alike, which need not be the same sound."
    )
    page.players(_hits(result, names))
    page.section("The list")
    headers = ["rank", "recording", "start s", "end s", result.measure, "windows", "label"]
    knows = bool(index.about["model"]["classes"])
    page.table(
        [*headers, "predicted"] if knows else headers,
        [
            (rank, names[h.file], round(h.start_time, 3), round(h.end_time, 3), round(h.value, 4),
             h.n_windows, *result.told(h)[: 1 + knows])
            for rank, h in enumerate(hits[:MOST_LISTED], start=1)
        ],
        name="hits",
        note="hits.csv has all of them." if len(hits) > MOST_LISTED else "",
    )  # fmt: skip
    return page.write(folder)


def sound_at(
    path: Path, start: float, end: float, longest: float = LONGEST
) -> tuple[NDArray[np.float32], int]:
    """Samples of a part of a recording, and their rate; a long part is cut off.

    Raises
    ------
    AudioError
        When it cannot be read.
    """
    stop = None if np.isnan(end) else min(end, start + longest)
    samples = read_start(path, duration=longest, sample_rate=_RATE, start_time=start, end_time=stop)
    return samples, _RATE


def _examples(result: SearchResult, names: dict[str, str]) -> Iterator[Player]:
    clips = result.examples
    for row in range(min(len(clips), _EXAMPLES)):
        file = str(clips.file[row])
        start, end = float(clips.start_time[row]), float(clips.end_time[row])
        stop = "the end" if np.isnan(end) else f"{end:.2f} s"
        yield from player_of(
            clips.root / file, start, end, "", names[file], "", f"{start:.2f} s to {stop}"
        )


def _hits(result: SearchResult, names: dict[str, str]) -> Iterator[Player]:
    clips = result.index.clips
    for rank, hit in enumerate(result.hits[: result.options.players], start=1):
        label, predicted = result.told(hit)
        said = label or (f"sounds like {predicted}" if predicted else "")
        start, end = float(clips.start_time[hit.row]), float(clips.end_time[hit.row])
        meta = f"{result.measure} {hit.value:.3f}, {hit.start_time:.2f} s to {hit.end_time:.2f} s"
        if hit.n_windows > 1:
            meta += f" ({hit.n_windows} windows, the nearest at {start:.2f} s)"
        path = clips.root / hit.file
        yield from player_of(path, start, end, f"{rank}. ", names[hit.file], said, meta)


def player_of(
    path: Path, start: float, end: float, rank: str, name: str, said: str, meta: str
) -> Iterable[Player]:
    """A card that begins with the file's own name; its folder stands below."""
    folder, _, file = name.rpartition("/")
    try:
        samples, rate = sound_at(path, start, end)
    except AudioError:
        return
    yield Player(samples, rate, rank + file, said, f"{meta}, in {folder}" if folder else meta)


def _several(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
