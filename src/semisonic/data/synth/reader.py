"""Read a set that :func:`semisonic.data.synth.make` wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError
from semisonic.base.files import read_csv
from semisonic.data.clips import LABEL_SEPARATOR, UNCERTAIN, Clips
from semisonic.data.synth.writer import NOISY, read_about


def load(folder: str | os.PathLike[str], *, true_labels: bool = False) -> tuple[Clips, Clips]:
    """The labelled clips and the pool.

    Parameters
    ----------
    folder : path
        Where the set was made.
    true_labels : bool
        Give the labels without label noise, and give the pool its labels too: for
        measuring how well wrong labels were found or labels guessed. A pool clip with
        nothing but sounds outside the classes has no label even then.

    Returns
    -------
    labelled, pool : Clips
        The classes stand in the set's own order. Noisy clips are among the labelled ones, of the
        label type "uncertain". The pool carries groups but, by default,
        neither labels nor classes.

    Raises
    ------
    DataError
        When there is no finished set in the folder.
    """
    root = Path(folder)
    classes = tuple(str(name) for name in read_about(root)["classes"])
    column = "true_label" if true_labels else "label"
    rows = [_row(row, column, classes) for row in _table(root / "labels.csv")]
    if (root / NOISY).exists():
        noisy = (_row(row, column, classes) for row in _table(root / NOISY))
        rows += [row | {"label_type": UNCERTAIN} for row in noisy]
    labelled = Clips.from_rows(root, rows, classes, "synth")
    pool = Clips.from_rows(
        root,
        (_row(row, "true_label", classes) for row in _table(root / "pool.csv")),
        classes,
        "synth pool",
    )
    return labelled, pool if true_labels else pool.without_labels()


def _row(row: dict[str, str], column: str, classes: tuple[str, ...]) -> dict[str, Any]:
    names = row[column].split(LABEL_SEPARATOR)
    return {
        "file": row["file"],
        "labels": [name for name in names if name in classes],
        "group": row["group"],
        "fold": row.get("fold", 0),
    }


def _table(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        raise DataError(
            f"{file}: not there, so the synth set was not finished. Make it again with the same "
            "options; what is done is kept"
        )
    return read_csv(file)
