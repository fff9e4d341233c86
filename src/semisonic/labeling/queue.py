"""``Queue``: segments to label next, in order: a table to fill in, and a page to listen.

The column ``label`` of the table is empty, to be filled in with a spreadsheet. File names are
relative to the folder of the table.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import write_csv, write_text
from semisonic.core.html import Result
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import Failures, name_from
from semisonic.data.events import NEGATIVE, POSITIVE, UNCERTAIN
from semisonic.data.label_log import NONE_HEARD, PASSED_OVER, LabelEntry, Segment
from semisonic.data.outputs import check_file, is_own, writing
from semisonic.data.tables import TableRow, number, read_table
from semisonic.evaluation.report.document import Report
from semisonic.labeling.index import shown_names
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.search import player_of

if TYPE_CHECKING:
    import pandas as pd

N_PREDICTIONS = 3
"""Number of predictions per row of the table."""
RANDOM, UNCERTAIN_REASON, TYPICAL, NOISE = ("random", "uncertain", "typical", "noise")
"""Reasons for asking: drawn at random; the model is unsure; the centre of a group of similar
recordings; similar to noise, so perhaps without any class."""
SOURCE = "suggest:"
"""Prefix of the source of answers from a queue; the reason follows."""
VERB = "suggest"
"""The verb that writes queues, in a project too."""
MOST = 100
"""Largest number of segments on the page; the table has all."""
_NEEDED = ("file", "start_time", "end_time", "label", "why")


@dataclass(frozen=True)
class Suggestion(Segment):
    """A segment to label; its file is relative to the root of the queue, or absolute.

    Attributes
    ----------
    why : str
        "random", "uncertain" or "typical".
    predictions : tuple of (str, float)
        Class and calibrated score, the best first; empty without a model.
    uncertainty : float
        0 (the model is sure) to 1; NaN without a model.
    cluster : int
        From 0; -1 for none.
    group : str
        The recording that it was cut from.
    label : str
        The label filled in; empty without one.
    """

    why: str
    predictions: tuple[tuple[str, float], ...] = ()
    uncertainty: float = float("nan")
    cluster: int = -1
    group: str = ""
    label: str = ""

    @classmethod
    def of_row(cls, clips: Clips, row: int, why: str, **about: Any) -> Suggestion:
        """A row of a table of clips."""
        times = float(clips.start_time[row]), float(clips.end_time[row])
        return cls(str(clips.file[row]), *times, why, group=str(clips.group[row]), **about)

    @property
    def source(self) -> str:
        """The ``source`` of an answer, such as "suggest:random"."""
        return SOURCE + self.why

    def answer(self) -> tuple[tuple[str, ...], str] | None:
        """Labels and presence of :attr:`label`; None if it is empty."""
        said = self.label.strip()
        if said in ("", NONE_HEARD, PASSED_OVER):
            return ((), NEGATIVE if said == NONE_HEARD else UNCERTAIN) if said else None
        names = (name.strip() for name in said.split(LABEL_SEPARATOR))
        return tuple(dict.fromkeys(filter(None, names))), POSITIVE

    def columns(self) -> dict[str, object]:
        """The values of the row by column."""
        predictions: dict[str, object] = {}
        for k in range(N_PREDICTIONS):
            name, score = self.predictions[k] if k < len(self.predictions) else ("", np.nan)
            predictions |= {f"prediction_{k + 1}": name, f"score_{k + 1}": score}
        return {
            **place_of(self),
            "label": self.label,
            "why": self.why,
            **predictions,
            "uncertainty": self.uncertainty,
            "cluster": self.cluster,
            "group": self.group,
        }

    def cells(self) -> dict[str, object]:
        """The same as cells of the table, empty for missing numbers."""
        numbers = {"start_time": f"{self.start_time:.3f}", "end_time": f"{self.end_time:.3f}"}
        cells = {
            name: _cell(value) if isinstance(value, float) else value
            for name, value in self.columns().items()
        }
        return cells | numbers | {"cluster": "" if self.cluster < 0 else self.cluster}

    @classmethod
    def from_cells(cls, cells: TableRow) -> Suggestion:
        """Read a row of a table with :meth:`cells`; ValueError for other rows."""
        cells["label"].encode()
        start, end = (float(number(cells.need(name), name)) for name in ("start_time", "end_time"))
        cluster = number(cells["cluster"], "cluster")
        predictions = (
            (name, float(number(cells[f"score_{k}"], "score")))
            for k in range(1, N_PREDICTIONS + 1)
            if (name := cells[f"prediction_{k}"])
        )
        return cls(
            cells.need("file"),
            start,
            end,
            cells["why"],
            tuple(predictions),
            float(number(cells["uncertainty"], "uncertainty")),
            -1 if cluster.is_nan() else int(cluster),
            cells["group"],
            cells["label"],
        )


def _cell(share: float) -> str:
    return "" if np.isnan(share) else f"{share:.4f}"


def place_of(segment: Segment) -> dict[str, Any]:
    """The segment: file, start and end."""
    return {name: getattr(segment, name) for name in ("file", "start_time", "end_time")}


@dataclass(frozen=True)
class Queue(Result):
    """Segments to label, in order.

    Attributes
    ----------
    root : Path
        The folder that files are relative to.
    rows : tuple of Suggestion
    failures : tuple of (str, str)
        Recordings that could not be read, with the reason.
    """

    root: Path
    rows: tuple[Suggestion, ...]
    failures: Failures = ()

    def __len__(self) -> int:
        return len(self.rows)

    def _repr_html_(self) -> str:
        from semisonic.audio.player import SoundPart, part_players
        from semisonic.core.html import MOST_ROWS, card, problems, table

        shown = self.rows[:MOST_ROWS]
        best = [row.predictions[0] if row.predictions else ("", None) for row in shown]
        names = shown_names(row.file for row in shown)
        rows = [
            (names[row.file], row.start_time, row.end_time, row.why, *named)
            for row, named in zip(shown, best, strict=True)
        ]
        headers = ["file", "start s", "end s", "why", "best class", "score"]
        sounds = part_players(
            SoundPart(self.path_of(row), row.start_time, row.end_time, row.why) for row in self.rows
        )
        title = f"Queue of {count_text(len(self), 'segment')} to label ({self._why()})"
        return card(title, table(headers, rows, len(self)), sounds, problems(self.failures))

    def __iter__(self) -> Iterator[Suggestion]:
        return iter(self.rows)

    def path_of(self, row: Suggestion) -> Path:
        """The path of a row's recording."""
        return Path(os.path.normpath(self.root / row.file))

    def write(self, path: str | PathLike[str], *, over: bool = False, page: bool = False) -> Path:
        """Write the table atomically.

        Parameters
        ----------
        path : path
        over : bool
            Overwrite a queue whose answers are in a log.
        page : bool
            Also write a page to listen to the segments. It needs no other file, so you can send it
            to others.

        Raises
        ------
        OptionError
            When another file is in the way, such as a filled-in queue.
        """
        target = Path(path)
        if not over:
            check_table(target)
        seen = self.seen_from(os.path.abspath(target.parent))
        rows = [{"order": order, **row.cells()} for order, row in enumerate(seen, start=1)]
        with writing(target, VERB) as part:
            cells = (row.values() for row in rows)
            write_csv(part, list(rows[0]), cells, errors="surrogateescape")
        if page:
            with writing(page_of(target), VERB) as part:
                write_text(part, self._page(target.name))
        return target

    def _page(self, table_name: str) -> str:
        shown = self.rows[:MOST]
        names = shown_names([row.file for row in shown])
        report = Report(
            "queue.j2",
            "What to listen to",
            f"{count_text(len(self), 'segment')}, numbered as in {table_name}",
            table_name=table_name,
            n_most=MOST if len(self) > MOST else 0,
        )
        players = (
            player_of(
                self.path_of(row),
                row.start_time,
                row.end_time,
                f"{order}. ",
                names[row.file],
                ", ".join(f"{name} {score:.2f}" for name, score in row.predictions),
                f"{row.start_time:.2f} s to {row.end_time:.2f} s",
            )
            for order, row in enumerate(shown, start=1)
        )
        report.players("queue", players)
        return report.html()

    def to_frame(self) -> pd.DataFrame:
        """A row per segment in order, with the columns of the table; -1 for no cluster."""
        import pandas as pd

        return pd.DataFrame([row.columns() for row in self])

    def summary(self) -> str:
        """For a terminal: the number of segments and recordings, and the reasons."""
        files = count_text(len({row.file for row in self}), "recording")
        return f"{count_text(len(self), 'segment')} of {files}: {self._why()}"

    def _why(self) -> str:
        counts = Counter(row.why for row in self).most_common()
        return ", ".join(f"{n} {name}" for name, n in counts)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Queue:
        """Read a table of :meth:`write`, also after a spreadsheet has saved it.

        Raises
        ------
        DataError
            When it is not a queue.
        """
        source, expected = Path(path), "expected a table that 'semisonic suggest' wrote"
        table = read_table(source, errors="surrogateescape")
        missing = [name for name in _NEEDED if name not in table.columns]
        if missing:
            raise DataError(f"{source}: no column '{missing[0]}'; {expected}")
        rows = []
        for cells in table.rows:
            try:
                rows.append(Suggestion.from_cells(cells))
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{cells.where}: the label is not UTF-8 text; save the table as 'CSV UTF-8'"
                ) from error
            except ValueError as error:
                raise DataError(
                    f"{cells.where}: not a row of a queue ({error}); {expected}"
                ) from error
        return cls(Path(os.path.abspath(source.parent)), tuple(rows))

    def seen_from(
        self, root: str | PathLike[str], name: Callable[[Path, Path], str] = name_from
    ) -> Queue:
        """The same queue with files relative to another folder, such as a log's root.

        If each file is a recording, groups change with files.

        Parameters
        ----------
        root : path
        name : callable
            Returns the name of a file relative to the root.
        """
        base = Path(os.path.abspath(root))
        rows = []
        for row in self.rows:
            file = name(base, self.path_of(row))
            rows.append(replace(row, file=file, group=file if row.group == row.file else row.group))
        return replace(self, root=base, rows=tuple(rows))


def written_text(queue: Queue, table: Path, n_pool: int) -> str:
    """For a terminal: a queue that was written, and the number of segments to choose from."""
    chosen = f"chosen from {count_text(n_pool, 'segment')}"
    return f"{queue.summary()}; {chosen}\nqueue: {table}\nto listen: {page_of(table)}"


def page_of(table: Path) -> Path:
    """The path of the page of a queue, beside its table."""
    return table.with_suffix(".html")


def check_table(output: Path, *, inputs: Iterable[Path | str] = (), over: bool = False) -> None:
    """Raise an error if the queue or its page cannot be written; called before the work.

    Parameters
    ----------
    output : Path
        The table.
    inputs : iterable of path
        Files that must not be overwritten.
    over : bool
        Overwrite a queue whose answers are in a log.

    Raises
    ------
    OptionError
        As for :func:`semisonic.data.outputs.check_file`, and for a filled-in queue.
    """
    check_file(page_of(output), VERB, (".html",))
    if over:
        return
    n_filled = 0
    if output.is_file() and not is_own(output, VERB):
        with suppress(DataError):
            n_filled = sum(bool(row.label) for row in Queue.read(output))
    if n_filled:
        raise OptionError(
            f"output: '{output}' contains {n_filled} answers, which would be lost. Choose "
            f"another name, and add '--log {output}' so that these are not asked again"
        )
    check_file(output, VERB, (".csv",), inputs=inputs)


def take_answers(
    log: LabelLog,
    path: Path,
    *,
    annotator: str = "",
    by_anyone: bool = False,
    check: Callable[[Sequence[str]], None] = lambda labels: None,
) -> tuple[LabelEntry, ...]:
    """Append the filled-in rows of a queue to a log.

    Several labels are joined by ';'. ``-`` means that none of the classes is present, ``?`` means
    uncertain; an empty cell is no answer. Answers of the same annotator (or, with ``by_anyone``,
    of any) that the log already contains are not added again.

    Parameters
    ----------
    log : LabelLog
    path : Path
        The table.
    annotator : str
    by_anyone : bool
    check : callable
        Called with the labels of each row; raises an error if they are not allowed.

    Raises
    ------
    DataError
        When the table is not a queue, or an answer is not allowed; then none is added.
    """
    held = {
        (one.key, tuple(sorted(one.labels)), one.presence)
        for one in log.answers()
        if by_anyone or one.annotator == annotator
    }
    rows: list[dict[str, Any]] = []
    for line, row in enumerate(named_by(log, Queue.read(path)), start=2):
        said = row.answer()
        if said is None:
            continue
        labels, presence = said
        try:
            check(labels)
        except DataError as error:
            raise DataError(f"{path}, row {line}: {error}") from error
        if (row.key, tuple(sorted(labels)), presence) not in held:
            about = {"labels": labels, "presence": presence, "annotator": annotator}
            rows.append({**place_of(row), **about, "source": row.source})
    return log.extend(rows)


def named_by(log: LabelLog, queue: Queue) -> Queue:
    """A queue with the file names of a log."""
    return queue.seen_from(log.root, lambda _, path: log.name_of(path))
