"""``suggest``: a table of what to listen to next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.options import check
from semisonic.base.wording import counted
from semisonic.data import Clips, load_clips
from semisonic.data.label_log import is_log
from semisonic.features import MelOptions
from semisonic.inference.options import DEFAULT_MODEL
from semisonic.inference.synthetic import SYNTH, synthetic_file
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.naming import Failures
from semisonic.labeling.pool import pool_of
from semisonic.labeling.queue import Queue, check_table
from semisonic.labeling.queue_page import check_page, page_of, write_queue_page
from semisonic.labeling.suggest_options import SuggestOptions
from semisonic.labeling.suggesting import choose

CACHE = ".vectors"


@dataclass(frozen=True)
class SuggestResult:
    """What ``suggest`` chose.

    Attributes
    ----------
    queue : Queue
    table : Path
    n_pool : int
        Stretches that there were to choose from.
    failures : tuple of (str, str)
        Recordings that could not be read.
    n_taken : int
        Answers in the queue before, of a project, that went into its log.
    """

    queue: Queue
    table: Path
    n_pool: int
    failures: Failures = ()
    n_taken: int = 0

    def summary(self) -> str:
        """For a terminal."""
        said = said_of(self.queue, self.table, self.n_pool)
        if self.n_taken:
            answers = "1 new answer" if self.n_taken == 1 else f"{self.n_taken} new answers"
            said = f"{answers} of the queue before went into the log\n{said}"
        return said


def run_suggest(options: SuggestOptions) -> SuggestResult:
    """Choose stretches to listen to, and write their table.

    Raises
    ------
    OptionError
        For a strategy that needs a classifier without one.
    DataError
        When nothing can be read or nothing is left to ask about.
    ModelError
        When the model's file is missing or damaged.
    """
    check(options)
    named = (options.log, options.model, options.data)
    check_table(options.output, inputs=[one for one in named if one is not None])
    check_page(options.output)
    answered = _answered(options.log)
    table = options.output
    cache = options.cache or table.with_name(table.name + CACHE)
    model = options.model
    if str(model) == SYNTH:
        model = synthetic_file(
            DEFAULT_MODEL, MelOptions(), seed=options.seed, device=options.device,
            workers=options.workers,
        )  # fmt: skip
    pool = pool_of(model, options.data, cache, device=options.device, workers=options.workers)
    queue = choose(
        pool, options.n, options.strategy, options.seed, answered, options.random_share,
        options.apart, options.doubt,
    )  # fmt: skip
    queue.write(table)
    write_queue_page(table, queue)
    return SuggestResult(queue, table, len(pool), pool.failures)


def _answered(log: Path | None) -> LabelLog | Clips | None:
    """What is not asked again: a log, or the labelled rows of a table."""
    if log is None:
        return None
    if not log.exists():
        raise DataError(f"{log}: no such label log; leave --log out for the first queue")
    if is_log(log):
        return LabelLog(log)
    clips = load_clips(log, allow_missing=True)
    return clips[clips.is_labelled]


def said_of(queue: Queue, table: Path, n_pool: int) -> str:
    """A queue in words, for a terminal."""
    why = Counter(row.why for row in queue)
    kinds = ", ".join(f"{n} {name}" for name, n in why.most_common())
    pool = counted(n_pool, "stretch", "stretches")
    files = counted(len({row.file for row in queue}), "recording")
    where = f"queue: {table}\nto listen: {page_of(table)}"
    return f"{len(queue)} of {pool}, of {files}: {kinds}\n{where}"
