"""``search``: recordings that sound like an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semisonic.audio.player import Player, clip_player
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import write_csv
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.text import count_text, text_table
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import named_from
from semisonic.evaluation.report.document import Report, Verdict
from semisonic.labeling.embedder import embed_windows
from semisonic.labeling.index import EmbeddingIndex, shown_names
from semisonic.labeling.nearest import Hit, unit
from semisonic.training.run_folder import RunFolder

HITS = "hits.csv"
HEADERS = (
    *("rank", "file", "start_time", "end_time", "similarity"),
    *("windows", "row", "label", "predicted"),
)
SHOWN = 40
MOST_LISTED = 200
_EXAMPLES = 8


@dataclass(frozen=True)
class SearchResult:
    """The result of ``search``.

    Attributes
    ----------
    index : EmbeddingIndex
    examples : Clips
        The examples, the rows of the index last.
    hits : tuple of Hit
        The nearest first.
    report : Path or None
    """

    index: EmbeddingIndex
    examples: Clips
    hits: tuple[Hit, ...]
    report: Path | None = None

    def names_of(self, hit: Hit) -> tuple[str, str]:
        """The label and the best class of a hit's nearest row; empty where unknown."""
        label = LABEL_SEPARATOR.join(self.index.clips.labels[hit.row])
        return label, str(self.index.predicted[hit.row])

    def rows(self) -> list[list[object]]:
        """The table, one row per hit."""
        table: list[list[object]] = []
        for rank, hit in enumerate(self.hits, start=1):
            times = [f"{hit.start_time:.3f}", f"{hit.end_time:.3f}", f"{hit.value:.4f}"]
            table.append([rank, hit.file, *times, hit.n_windows, hit.row, *self.names_of(hit)])
        return table

    def _repr_html_(self) -> str:
        from semisonic.audio.player import SoundPart, part_players
        from semisonic.core.html import MOST_ROWS, card, table

        shown = self.hits[:MOST_ROWS]
        rows = [(h.file, h.start_time, h.end_time, h.value, *self.names_of(h)) for h in shown]
        headers = ["file", "start s", "end s", "similarity", "label", "best class"]
        sounds = part_players(
            SoundPart(Path(h.file), h.start_time, h.end_time, h.file, f"similarity {h.value:.2f}")
            for h in shown
        )
        return card("SearchResult", table(headers, rows, len(self.hits)), sounds)

    def summary(self) -> str:
        """Text for a terminal."""
        if not self.hits:
            return "nothing found: all rows of the index are left out"
        lines = [text_table(HEADERS, self.rows()[:SHOWN], ruled=True)]
        if len(self.hits) > SHOWN:
            lines.append(f"... and {len(self.hits) - SHOWN} more hits")
        if self.report is not None:
            lines += [f"table: {self.report.parent / HITS}", f"report: {self.report}"]
        return "\n".join(lines)


def search_index(
    folder: Path,
    query: Sequence[Path] = (),
    row: Sequence[int] = (),
    *,
    start: float = 0.0,
    end: float | None = None,
    k: int = 10,
    all_windows: bool = False,
    other_files: bool = False,
    model: Path | None = None,
    output: Path | None = None,
    players: int = 20,
    device: str = "auto",
) -> SearchResult:
    """Search for the mean of the examples, all with the same weight.

    Parameters as for the verb.

    Raises
    ------
    OptionError
        Without an example, or when the run folder belongs to another search.
    DataError
        When there is no index, no such file or no such row.
    AudioError
        When an example cannot be read.
    ModelError
        When the model of the index is missing or another one.
    """
    index = EmbeddingIndex.open(folder)
    if not query and not row:
        raise OptionError("nothing to search for: give a recording, or a row with --row")
    if not len(index):
        raise DataError(f"{folder}: the index has no rows, so nothing can be found in it")
    rows = np.array(row, np.int64)
    vectors = [index.row(number) for number in row]
    examples = _examples(index, query, start, end)
    if len(examples):
        embedder = index.embedder(model)
        embedded = embed_windows(embedder, examples, hop=index.hop, device=device, workers=1)
        for path, (windows, reason) in zip(examples.paths, embedded, strict=True):
            if reason:
                raise AudioError(path, reason)
            vectors.append(windows["vector"].mean(axis=0))
    files = [*query, *index.clips[rows].paths]
    hits = index.search(
        unit(np.stack(vectors)).mean(axis=0),
        k,
        all_windows=all_windows,
        without_files=files if other_files else (),
        without_rows=row,
    )
    heard = named_from(index.folder, [examples, index.clips[rows]]) if len(rows) else examples
    found = SearchResult(index, heard, hits)
    if output is None:
        return found
    asked = {"index": folder, "query": query, "row": row, "start": start, "end": end, "k": k}
    asked |= {"all_windows": all_windows, "other_files": other_files, "players": players}
    with RunFolder(output, "search", asked) as run:
        write_csv(run.path(HITS), HEADERS, found.rows())
        report = _page(found, players).write(run.folder)
        run.note(n_hits=len(hits), rows_of_index=len(index))
    return replace(found, report=report)


def _examples(
    index: EmbeddingIndex, files: Sequence[Path], start: float, end: float | None
) -> Clips:
    """The examples in files, with names relative to the index."""
    if end is not None and end <= start:
        raise OptionError(f"options 'start' and 'end': found {start:g} s to {end:g} s")
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected a recording to search for")
    tables = [
        Clips.from_rows(file.parent, [{"file": file.name, "start_time": start, "end_time": end}])
        for file in files
    ]
    return named_from(index.folder, tables)


def _page(result: SearchResult, n_players: int) -> Report:
    """A page with the examples and the hits."""
    hits, index, examples = result.hits, result.index, result.examples
    names = shown_names([*index.clips.file.tolist(), *examples.file.tolist()])
    n, n_files = len(examples), len({hit.file for hit in hits})
    report = Report(
        "search.j2",
        f"What sounds like the {count_text(n, 'example') if n > 1 else 'example'}",
        f"Searched in {len(index)} rows of {len(set(index.clips.file.tolist()))} recordings",
        is_cut=len(hits) > MOST_LISTED,
    )
    report.verdict = Verdict(
        f"{count_text(len(hits), 'hit')} in {count_text(n_files, 'recording')}"
    )
    heard = range(min(n, _EXAMPLES))
    report.players("examples", (_example_player(examples, row, names) for row in heard))
    ranked = enumerate(hits[:n_players], start=1)
    report.players("hits", (_hit_player(result, rank, hit, names) for rank, hit in ranked))
    knows = bool(index.about["model"]["classes"])
    headers = ["rank", "recording", "start s", "end s", "similarity", "windows", "label"]
    rows = (
        (
            rank,
            names[str(index.clips.file[hit.row])],
            *(round(value, 3) for value in (hit.start_time, hit.end_time, hit.value)),
            hit.n_windows,
            *result.names_of(hit)[: 1 + knows],
        )
        for rank, hit in enumerate(hits[:MOST_LISTED], start=1)
    )
    report.table("hits", [*headers, *["predicted"] * knows], rows)
    return report


def _example_player(clips: Clips, row: int, names: dict[str, str]) -> Player | None:
    file, start, end = (
        str(clips.file[row]),
        float(clips.start_time[row]),
        float(clips.end_time[row]),
    )
    meta = f"{start:.2f} s to {'the end' if np.isnan(end) else f'{end:.2f} s'}"
    return player_of(clips.root / file, start, end, "", names[file], "", meta)


def _hit_player(result: SearchResult, rank: int, hit: Hit, names: dict[str, str]) -> Player | None:
    clips = result.index.clips
    label, predicted = result.names_of(hit)
    said = label or (f"sounds like {predicted}" if predicted else "")
    start, end = float(clips.start_time[hit.row]), float(clips.end_time[hit.row])
    meta = f"similarity {hit.value:.3f}, {hit.start_time:.2f} s to {hit.end_time:.2f} s"
    if hit.n_windows > 1:
        meta += f" ({hit.n_windows} windows, the most similar at {start:.2f} s)"
    name = names[str(clips.file[hit.row])]
    return player_of(Path(hit.file), start, end, f"{rank}. ", name, said, meta)


def player_of(
    path: Path, start: float, end: float, rank: str, name: str, said: str, meta: str
) -> Player | None:
    """A card with the name of the file, and its folder below."""
    folder, _, file = name.rpartition("/")
    where = f"{meta}, in {folder}" if folder else meta
    return clip_player(path, start, end, rank + file, said, where)
