"""``Queue``: what to listen to next, as a table to fill in, and the answers in a filled one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import write_csv
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.data.events import NEGATIVE, POSITIVE, UNCERTAIN, segment_key
from semisonic.data.label_log import NONE_HEARD, PASSED_OVER, LabelEntry
from semisonic.data.outputs import check_file, is_own, writing
from semisonic.data.tables import TableRow, number, read_table, to_float
from semisonic.labeling.label_log import LabelLog

if TYPE_CHECKING:
    import pandas as pd

# ``Queue``: what to listen to next, in its order, with what a model guesses.
#
# As a file it is a CSV table whose column ``label`` is empty: who likes a spreadsheet fills it in
# and trains from the table. The names of recordings are relative to the table's folder.


GUESSES = 3
"""Guesses of a row that a table has columns for."""
RANDOM, UNCERTAIN_REASON, DIVERSE, TYPICAL = REASONS = ("random", "uncertain", "diverse", "typical")
"""Why a row is asked: drawn by chance; the model wavers; unlike what is labelled; the middle of
a group of recordings that sound alike."""
SOURCE = "suggest:"
"""How the source of an answer from a queue begins; the reason follows."""

VERB = "suggest"
"""Whose output a queue is, in a project too."""

_COLUMNS = (
    "order",
    "file",
    "start_time",
    "end_time",
    "label",
    "why",
    *(f"{name}_{k + 1}" for k in range(GUESSES) for name in ("guess", "score")),
    "uncertainty",
    "cluster",
    "group",
)
_NEEDED = ("file", "start_time", "end_time", "label", "why")


@dataclass(frozen=True)
class Suggestion:
    """A stretch to listen to.

    Attributes
    ----------
    file : str
        Relative to the queue's root, or absolute.
    start_time, end_time : float
        Seconds.
    why : str
        One of ``REASONS``.
    guesses : tuple of (str, float)
        Class and calibrated score, the best first; empty without a model.
    uncertainty : float
        0 (the model is sure) to 1; NaN without a model.
    cluster : int
        From 0; -1 where there is none.
    group : str
        The recording it was cut from.
    """

    file: str
    start_time: float
    end_time: float
    why: str
    guesses: tuple[tuple[str, float], ...] = ()
    uncertainty: float = float("nan")
    cluster: int = -1
    group: str = ""

    @property
    def source(self) -> str:
        """What an answer's ``source`` is: "suggest:random" and the like."""
        return SOURCE + self.why


@dataclass(frozen=True)
class Queue:
    """Stretches to listen to, in their order.

    Attributes
    ----------
    root : Path
        The folder that files are relative to.
    rows : tuple of Suggestion
    notes : tuple of str
        What was decided on the way.
    """

    root: Path
    rows: tuple[Suggestion, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        why = ", ".join(f"{n} {name}" for name, n in Counter(row.why for row in self).items())
        return f"<Queue: {len(self)} rows ({why})>"

    def __iter__(self) -> Iterator[Suggestion]:
        return iter(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """The table that :meth:`write` writes, for pandas."""
        import pandas as pd

        rows = [_cells(order, row) for order, row in enumerate(self.rows, start=1)]
        frame = pd.DataFrame(rows, columns=list(_COLUMNS))
        texts = ("file", "label", "why", "group")
        numbers = [n for n in _COLUMNS if n not in texts and not n.startswith("guess")]
        return frame.assign(**{name: pd.to_numeric(frame[name]) for name in numbers})

    def path_of(self, row: Suggestion) -> Path:
        """Where a row's recording lies."""
        return self.root / row.file

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the table, whole or not at all.

        Raises
        ------
        OptionError
            When something else is in the way, such as a queue that somebody filled in.
        """
        target = Path(path)
        check_table(target)
        return self._write(target)

    def write_over(self, path: Path) -> Path:
        """Write the table in the place of a queue whose answers are in a log."""
        return self._write(path)

    def _write(self, target: Path) -> Path:
        seen = self.seen_from(os.path.abspath(target.parent))
        rows = (_cells(order, row) for order, row in enumerate(seen, start=1))
        with writing(target, VERB) as part:
            write_csv(part, _COLUMNS, rows, errors="surrogateescape")
        return target

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Queue:
        """Read what :meth:`write` wrote, also after a spreadsheet has saved it.

        Raises
        ------
        DataError
            When it is no queue.
        """
        return read_filled(path)[0]

    def seen_from(self, root: str | PathLike[str]) -> Queue:
        """The same queue with files relative to another folder, such as a log's root."""
        base = os.path.abspath(root)
        return replace(
            self, root=Path(base), rows=tuple(self._moved(row, base) for row in self.rows)
        )

    def _moved(self, row: Suggestion, base: str) -> Suggestion:
        """A row as seen from a folder; where each file is a recording, so is its group."""
        file = _seen_from(base, self.path_of(row))
        return replace(row, file=file, group=file if row.group == row.file else row.group)


def _seen_from(folder: str, path: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return Path(os.path.abspath(path)).as_posix()


def _cells(order: int, row: Suggestion) -> list[object]:
    guesses: list[object] = []
    for k in range(GUESSES):
        name, score = row.guesses[k] if k < len(row.guesses) else ("", None)
        guesses += [name, "" if score is None else f"{score:.4f}"]
    doubt = "" if row.uncertainty != row.uncertainty else f"{row.uncertainty:.4f}"
    return [
        order,
        row.file,
        f"{row.start_time:.3f}",
        f"{row.end_time:.3f}",
        "",
        row.why,
        *guesses,
        doubt,
        "" if row.cluster < 0 else row.cluster,
        row.group,
    ]


def _row(cells: TableRow) -> Suggestion:
    guesses = []
    for k in range(GUESSES):
        name, score = cells[f"guess_{k + 1}"], number(cells[f"score_{k + 1}"], "score")
        if name:
            guesses.append((name, to_float(score)))
    start, end = (number(cells[name], name) for name in ("start_time", "end_time"))
    cluster = number(cells["cluster"], "cluster")
    if not cells["file"] or start is None or end is None:
        raise ValueError("no file, start_time or end_time")
    return Suggestion(
        cells["file"],
        float(start),
        float(end),
        cells["why"],
        tuple(guesses),
        to_float(number(cells["uncertainty"], "uncertainty")),
        -1 if cluster is None else int(cluster),
        cells["group"],
    )


def read_filled(path: str | PathLike[str]) -> tuple[Queue, tuple[str, ...]]:
    """A queue, and what was typed into the column ``label`` of each row.

    Raises
    ------
    DataError
        When it is no queue.
    """
    source = Path(path)
    table = read_table(source, errors="surrogateescape")
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise DataError(
            f"{source}: no column '{missing[0]}'; expected a table that 'semisonic suggest' wrote"
        )
    rows = []
    for cells in table.rows:
        try:
            cells["label"].encode()
            rows.append(_row(cells))
        except UnicodeEncodeError as error:
            raise DataError(
                f"{table.where(cells)}: the label is not UTF-8 text; save the table as 'CSV UTF-8'"
            ) from error
        except ValueError as error:
            raise DataError(
                f"{table.where(cells)}: not a row of a queue ({error}); expected a table that "
                "'semisonic suggest' wrote"
            ) from error
    queue = Queue(Path(os.path.abspath(source.parent)), tuple(rows))
    return queue, tuple(cells["label"] for cells in table.rows)


def check_table(output: Path, *, inputs: Iterable[Path | str] = ()) -> None:
    """Refuse a place where no queue can be written; called before the work.

    Raises
    ------
    OptionError
        As :func:`semisonic.data.outputs.check_file`, and for a queue that was filled in.
    """
    n_filled = 0
    if output.is_file() and not is_own(output, VERB):
        with suppress(DataError):
            n_filled = sum(map(bool, read_filled(output)[1]))
    if n_filled:
        raise OptionError(
            f"output: '{output}' holds {n_filled} answers, which would be lost. Give another "
            f"name; with '--log {output}' they are not asked again"
        )
    check_file(output, VERB, (".csv",), inputs=inputs)


# Answers that somebody typed into the column ``label`` of a queue.


def take_answers(
    log: LabelLog,
    path: Path,
    *,
    annotator: str = "",
    by_anyone: bool = False,
    check: Callable[[Sequence[str]], None] = lambda labels: None,
) -> tuple[LabelEntry, ...]:
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
            segment_key(entry.file, entry.start_time, entry.end_time),
            tuple(sorted(entry.labels)),
            entry.presence,
        )
        for entry in log.in_force()
    }
    rows: list[dict[str, Any]] = []
    for line, (row, text) in enumerate(zip(queue, labels, strict=True), start=2):
        found = _answer(text)
        if found is None:
            continue
        names, presence = found
        try:
            check(names)
        except DataError as error:
            raise DataError(f"{path}, row {line}: {error}") from error
        file = log.name_of(os.path.abspath(queue.path_of(row)))
        who = "" if by_anyone else annotator
        place = segment_key(file, row.start_time, row.end_time)
        if (who, place, tuple(sorted(names)), presence) in held:
            continue
        rows.append(
            {
                "file": file,
                "start_time": row.start_time,
                "end_time": row.end_time,
                "labels": names,
                "presence": presence,
                "annotator": annotator,
                "source": row.source,
            }
        )
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
