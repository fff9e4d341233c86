"""``index.csv``: what is known of each row of ``embeddings.npy``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.files import csv_line, replacing, unguarded
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.inference.detecting.score_store import unpacked
from semisonic.labeling.rows import Entry

COLUMNS = (
    "row", "file", "start_time", "end_time", "label", "predicted", "score", "cluster", "group",
    "fold", "label_type",
)  # fmt: skip
NO_CLUSTER = -1


@dataclass(frozen=True)
class Table:
    """The columns of an index.

    Attributes
    ----------
    clips : Clips
        A row a vector.
    predicted : ndarray of str, shape (n,)
        The best class; empty where the model names none, and in digital silence.
    score : ndarray of float64, shape (n,)
        Its score, 0 to 1; NaN where there is none.
    cluster : ndarray of int64, shape (n,)
        From 0; -1 for an outlier, or where no clusters were made.
    """

    clips: Clips
    predicted: NDArray[np.str_]
    score: NDArray[np.float64]
    cluster: NDArray[np.int64]


def write_entries(
    path: Path, entries: Iterable[Entry], classes: Sequence[str], clusters: NDArray[np.int64]
) -> int:
    """Write the rows of all entries; those beyond ``clusters`` have none. The number of rows."""
    number = 0
    with _writing(path) as write:
        for entry in entries:
            rows = entry.rows
            table = unpacked(rows["scores"])
            columns = rows["start"], rows["end"], rows["silent"], table
            for start, end, silent, scores in zip(*columns, strict=True):
                cluster = clusters[number] if number < len(clusters) else NO_CLUSTER
                best = int(scores.argmax()) if len(scores) and not silent else None
                write(
                    number,
                    entry.key[0],
                    start,
                    end,
                    entry.labels,
                    "" if best is None else classes[best],
                    np.nan if best is None else scores[best],
                    int(cluster),
                    entry.group,
                    entry.fold,
                    entry.label_type,
                )
                number += 1
    return number


def write_table(path: Path, table: Table) -> None:
    """Write a table that was read, as with other clusters."""
    clips = table.clips
    columns = zip(
        clips.file, clips.start_time, clips.end_time, clips.labels, table.predicted, table.score,
        table.cluster.tolist(), clips.group, clips.fold.tolist(), clips.label_type, strict=True,
    )  # fmt: skip
    with _writing(path) as write:
        for number, cells in enumerate(columns):
            write(number, *cells)


def read_table(path: Path, root: Path, name: str) -> Table:
    """Read what was written; files are named from ``root``.

    Raises
    ------
    DataError
        When it is no table of an index.
    """
    # object: strings that pyarrow holds, where it is installed, cannot be names of any bytes
    text = dict.fromkeys(("file", "label", "predicted", "group", "label_type"), object)
    try:
        frame = pd.read_csv(
            path, dtype=text, keep_default_na=False, encoding_errors="surrogateescape",
            na_values={column: [""] for column in ("score", "cluster", "fold")},
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as the table of an index: {error}") from error
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing or frame["row"].tolist() != list(range(len(frame))):
        what = f"no column '{missing[0]}'" if missing else "rows that are not numbered in order"
        raise DataError(f"{path}: found {what}; 'semisonic embed' writes the table anew")
    for column in text:
        cells = [unguarded(cell) for cell in frame[column]]
        frame[column] = pd.Series(cells, dtype=object)
    labels = tuple(tuple(filter(None, cell.split(LABEL_SEPARATOR))) for cell in frame["label"])
    clips = Clips(
        root=root,
        file=frame["file"].to_numpy().astype(np.str_),
        start_time=frame["start_time"].to_numpy(np.float64),
        end_time=frame["end_time"].to_numpy(np.float64),
        labels=labels,
        group=frame["group"].to_numpy().astype(np.str_),
        fold=frame["fold"].fillna(0).to_numpy(np.int64),
        classes=tuple(sorted({label for row in labels for label in row})),
        name=name,
        label_type=frame["label_type"].to_numpy().astype(np.str_),
    )
    return Table(
        clips,
        frame["predicted"].to_numpy().astype(np.str_),
        frame["score"].to_numpy(np.float64),
        frame["cluster"].fillna(NO_CLUSTER).to_numpy(np.int64),
    )


@contextmanager
def _writing(path: Path) -> Iterator[Callable[..., None]]:
    """A function that writes a row, in the order of ``COLUMNS``."""
    with (
        replacing(path) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        stream.write(csv_line(COLUMNS))

        def write(
            number: int, file: str, start: float, end: float, labels: Sequence[str], best: str,
            score: float, cluster: int, group: str, fold: int, kind: str,
        ) -> None:  # fmt: skip
            stream.write(csv_line([
                number, file, f"{start:.3f}", f"{end:.3f}", LABEL_SEPARATOR.join(labels), best,
                f"{score:.4f}" if best else "", "" if cluster == NO_CLUSTER else cluster, group,
                fold or "", kind,
            ]))  # fmt: skip

        yield write
