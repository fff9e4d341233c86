"""Read vectors made elsewhere: numpy, Parquet, and databases of perch-hoplite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.text import first_few
from semisonic.data.columns import find_file
from semisonic.data.tables import normalise

if TYPE_CHECKING:
    import pandas as pd

NUMPY, PARQUET = ".npy", ".parquet"
HOPLITE, HOPLITE_VECTORS = "hoplite.sqlite", "usearch.index"
"""Files of a database of perch-hoplite 1."""
COLUMNS = ("embedding", "embeddings", "vector", "vectors", "features")
"""Columns of a Parquet table with a list of numbers per row, in order of preference."""
_POSITIVE = 1  # type of a label that is there, in perch-hoplite


class VectorTable(NamedTuple):
    """Vectors, and the segment of each.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, dim)
    frame : DataFrame
        One row per vector, with the columns of :meth:`semisonic.SoundClassifier.fit`.
    made_by : str
        The name of their encoder.
    """

    vectors: NDArray[np.float32]
    frame: pd.DataFrame
    made_by: str


def holds_vectors(path: object) -> bool:
    """Whether a path contains vectors, by its name or the content of the folder."""
    if not isinstance(path, (str, Path)):
        return False
    place = Path(path)
    return place.suffix in (NUMPY, PARQUET) or (place / HOPLITE).is_file()


def read_vectors(path: Path, files: Path) -> VectorTable:
    """Read vectors of another encoder.

    Parameters
    ----------
    path : Path
        A ``.npy`` file of shape (n, dim); a table in Parquet, with a list of numbers or columns
        "0", "1" ... in each row; or the folder of a database of perch-hoplite.
    files : Path
        For ``.npy``, a CSV table with the segment of each vector, and paths relative to its
        folder. Otherwise, the folder that paths of recordings are relative to.

    Raises
    ------
    DataError
        When a file cannot be read or is incomplete.
    OptionError
        When a package for these files is not installed.
    """
    if path.suffix == NUMPY:
        found = _read_numpy(path, files)
    elif not files.is_dir():
        raise DataError(
            f"{files}: found no such folder, expected the one that file names of {path} start from"
        )
    else:
        read = _read_parquet if path.suffix == PARQUET else _read_hoplite
        found = read(path, files)
    if found.vectors.ndim != 2 or not found.vectors.size:
        raise DataError(f"{path}: found the shape {found.vectors.shape}, expected (n, dim)")
    check_finite(found.vectors, str(path))
    return found


def check_finite(vectors: NDArray[np.float32], where: str) -> None:
    """Raise DataError, which names the rows, if vectors have numbers that are NaN or infinite."""
    rows = np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()
    if rows:
        shown = first_few(list(map(str, rows)))
        raise DataError(
            f"{where}: found numbers that are NaN or infinite in {len(rows)} of {len(vectors)} "
            f"vectors (row {shown}, counted from 0), expected finite ones. Leave these rows "
            "out, or make their vectors again"
        )


def _read_numpy(path: Path, table: Path) -> VectorTable:
    import pandas as pd

    if not table.is_file():
        raise DataError(
            f"{table}: found no table, expected a CSV file with a row for each vector of {path}, "
            "such as path,start_time,end_time"
        )
    try:
        vectors = np.asarray(np.load(path, allow_pickle=False), np.float32)
        frame = pd.read_csv(table)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} and {table}: cannot be read: {error}") from error
    return VectorTable(vectors, _placed(frame, table.parent, table), path.stem)


def _read_parquet(path: Path, root: Path) -> VectorTable:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise OptionError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    names = {normalise(str(column)): column for column in frame.columns}
    numbers = sorted((c for c in frame.columns if str(c).isdigit()), key=lambda c: int(str(c)))
    column = next((names[name] for name in COLUMNS if name in names), None)
    if column is None and not numbers:
        raise DataError(
            f"{path}: found the columns {', '.join(map(str, frame.columns))}; expected one of "
            f"{', '.join(COLUMNS)} with a list of numbers in each row, or columns 0, 1, 2 ..."
        )
    try:
        cells: Any = frame[numbers] if column is None else np.stack(list(frame[column]))
        vectors = np.asarray(cells, np.float32)
    except ValueError as error:
        raise DataError(
            f"{path}, column '{column}': the rows are not numbers of one length: {error}"
        ) from error
    rest = frame.drop(columns=numbers if column is None else [column])
    return VectorTable(vectors, _placed(rest, root, path), path.stem)


def _read_hoplite(folder: Path, root: Path) -> VectorTable:
    import pandas as pd

    try:
        from usearch.index import Index
    except ImportError as error:
        raise OptionError(
            f"{folder}: vectors of perch-hoplite need usearch: pip install usearch"
        ) from error
    try:
        with closing(
            sqlite3.connect(f"{(folder / HOPLITE).resolve().as_uri()}?mode=ro", uri=True)
        ) as db:
            rows = db.execute(
                "SELECT windows.id, recordings.id, filename, offsets FROM windows "
                "JOIN recordings ON windows.recording_id = recordings.id ORDER BY windows.id"
            ).fetchall()
            labels = db.execute(
                "SELECT recording_id, offsets, label FROM annotations WHERE label_type = ?",
                (_POSITIVE,),
            ).fetchall()
    except sqlite3.Error as error:
        raise DataError(
            f"{folder / HOPLITE}: not a database of perch-hoplite 1 ({error}); convert an older "
            "one with perch-hoplite"
        ) from error
    if not rows:
        raise DataError(f"{folder / HOPLITE}: found no windows, expected at least one")
    index = Index.restore(str(folder / HOPLITE_VECTORS), view=True)
    found = None if index is None else index.get(np.array([row[0] for row in rows], np.uint64))
    if found is None or any(one is None for one in found):
        raise DataError(f"{folder / HOPLITE_VECTORS}: vectors of windows in {HOPLITE} are missing")
    heard: dict[int, list[tuple[float, float, str]]] = {}
    for recording, offsets, label in labels:
        heard.setdefault(recording, []).append((*_times(offsets), label))
    times = [_times(row[3]) for row in rows]
    names = [
        sorted({label for a, b, label in heard.get(row[1], ()) if a < end and b > start})
        for row, (start, end) in zip(rows, times, strict=True)
    ]
    columns = {
        "file": [row[2] for row in rows],
        "start_time": [start for start, _ in times],
        "end_time": [end for _, end in times],
        "label": names,
    }
    frame = pd.DataFrame(columns if labels else {k: v for k, v in columns.items() if k != "label"})
    vectors = np.asarray(np.stack(list(found)), np.float32)
    return VectorTable(vectors, _placed(frame, root, folder / HOPLITE), "perch-hoplite")


def _times(offsets: bytes) -> tuple[float, float]:
    """Start and end of a window or a label, s."""
    start, end = np.frombuffer(offsets, "<f8")[:2].tolist()
    return start, end


def _placed(frame: pd.DataFrame, root: Path, where: Path) -> pd.DataFrame:
    """The frame with paths relative to the current folder."""
    given = {normalise(str(column)): column for column in frame.columns}
    column = given[find_file(str(where), list(map(str, frame.columns)))]
    return frame.assign(**{column: [str(root / str(name)) for name in frame[column]]})
