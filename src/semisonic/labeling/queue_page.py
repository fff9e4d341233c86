"""The page beside a queue: its stretches, to be listened to while the table is filled in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from semisonic.core.files import write_text
from semisonic.core.text import count_text
from semisonic.data.outputs import check_file, writing
from semisonic.evaluation.report.document import Player, Report
from semisonic.labeling.index import shown_names
from semisonic.labeling.queue import VERB, Queue
from semisonic.labeling.search import player_of

MOST = 100
"""Stretches that a page holds; the table has all."""


def page_of(table: Path) -> Path:
    """Where the page of a table of a queue lies: beside it, as ``queue.html``."""
    return table.with_suffix(".html")


def check_page(table: Path) -> None:
    """Refuse a table beside which something else has the page's name; called before the work.

    Raises
    ------
    OptionError
        As :func:`semisonic.data.outputs.check_file`.
    """
    check_file(page_of(table), VERB, (".html",))


def write_queue_page(table: Path, queue: Queue) -> Path:
    """Write the page of a queue beside its table.

    Parameters
    ----------
    table : Path
        Of the queue.
    queue : Queue
        What is to be heard. A recording that cannot be read has no player.

    Returns
    -------
    Path
        Of the page; it needs no other file, and may be sent to somebody.
    """
    report = Report(
        "queue.j2",
        "What to listen to",
        f"{count_text(len(queue), 'stretch', 'stretches')}, numbered as in {table.name}",
        table_name=table.name,
        n_most=MOST if len(queue) > MOST else 0,
    )
    report.players("queue", _players(queue))
    with writing(page_of(table), VERB) as part:
        write_text(part, report.html())
    return page_of(table)


def _players(queue: Queue) -> Iterator[Player | None]:
    rows = queue.rows[:MOST]
    names = shown_names([row.file for row in rows])
    for order, row in enumerate(rows, start=1):
        guesses = ", ".join(f"{name} {score:.2f}" for name, score in row.guesses)
        times = f"{row.start_time:.2f} s to {row.end_time:.2f} s"
        path, name = queue.path_of(row), names[row.file]
        yield player_of(path, row.start_time, row.end_time, f"{order}. ", name, guesses, times)
