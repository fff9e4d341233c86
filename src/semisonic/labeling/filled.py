"""Answers that somebody typed into the column ``label`` of a queue."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError
from semisonic.data.answers import NONE_HEARD, PASSED_OVER, Entry
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.data.events import NEGATIVE, POSITIVE, UNCERTAIN
from semisonic.data.standing import stretch
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.queue import read_filled


def take_answers(
    log: LabelLog,
    path: Path,
    *,
    annotator: str = "",
    by_anyone: bool = False,
    check: Callable[[Sequence[str]], None] = lambda labels: None,
) -> tuple[Entry, ...]:
    """Append the filled-in rows of a queue to a log.

    Several labels are joined by ';'. ``-`` says that none of the classes is heard, ``?`` that one
    cannot tell; an empty cell is no answer. What the log holds already from the same annotator
    (or, with ``by_anyone``, from any) is not added again. ``check`` is given the labels of each
    row and raises when they will not do.

    Raises
    ------
    DataError
        When the table is no queue, or an answer will not do; then none is taken.
    """
    queue, labels = read_filled(path)
    held = {
        (
            "" if by_anyone else entry.annotator,
            stretch(entry.file, entry.start_time, entry.end_time),
            tuple(sorted(entry.labels)),
            entry.presence,
        )
        for entry in log.in_force()
    }
    rows: list[dict[str, Any]] = []
    for number, (row, text) in enumerate(zip(queue, labels, strict=True), start=2):
        found = _answer(text)
        if found is None:
            continue
        names, presence = found
        try:
            check(names)
        except DataError as error:
            raise DataError(f"{path}, row {number}: {error}") from error
        file = log.name_of(os.path.abspath(queue.path_of(row)))
        who = "" if by_anyone else annotator
        place = stretch(file, row.start_time, row.end_time)
        if (who, place, tuple(sorted(names)), presence) in held:
            continue
        rows.append(
            {
                "file": file, "start_time": row.start_time, "end_time": row.end_time,
                "labels": names, "presence": presence, "annotator": annotator,
                "source": row.source,
            }
        )  # fmt: skip
    return log.extend(rows)


def _answer(text: str) -> tuple[tuple[str, ...], str] | None:
    """Labels and presence of a cell; None for an empty one."""
    said = text.strip()
    if not said:
        return None
    if said == NONE_HEARD:
        return (), NEGATIVE
    if said == PASSED_OVER:
        return (), UNCERTAIN
    names = (name.strip() for name in said.split(LABEL_SEPARATOR))
    return tuple(dict.fromkeys(name for name in names if name)), POSITIVE
