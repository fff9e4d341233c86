"""The pass over all files: each is decoded once, in threads, and written down when finished.

The journal knows a file by its name, size and time of change, and by the options that the
numbers depend on. A pass that was killed goes on; a later one decodes only what is new or changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from semisonic.base.errors import AudioError
from semisonic.base.files import digest
from semisonic.base.progress import bar
from semisonic.data.journal import Journal
from semisonic.data.scan.measure import Measured, measure
from semisonic.data.workers import count_workers, in_threads

VERSION = 1
"""To be raised when the same file would be measured differently."""

MOST_IN_TASK, BYTES_IN_TASK = 8, 1 << 25
"""Files that a thread takes at once, and their bytes together (one file may be larger)."""


@dataclass
class Pass:
    """What a pass found.

    Attributes
    ----------
    measured : dict of str to Measured
        By file.
    failures : dict of str to str
        Files of which nothing can be decoded, with the reason. They are tried again next time.
    sizes : dict of str to int
        Bytes of each file that is there.
    n_decoded, n_reused : int
        Files decoded now, and known from an earlier pass.
    decoded_duration : float
        Seconds of sound decoded now.
    seconds : float
        Time that the pass took.
    """

    measured: dict[str, Measured] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    n_decoded: int = 0
    n_reused: int = 0
    decoded_duration: float = 0.0
    seconds: float = 0.0


def run_pass(
    root: Path,
    files: Sequence[str],
    journal: Path,
    *,
    silence_db: float,
    workers: int | None = None,
) -> Pass:
    """Measure files, going on where an earlier pass stopped.

    Parameters
    ----------
    root : Path
    files : sequence of str
        Relative to ``root``.
    journal : Path
        The file that finished work is written to; made if missing.
    silence_db : float
        See :func:`~semisonic.data.scan.measure.measure`.
    workers : int, optional
        Threads; by default as many as there are processors.
    """
    started = time.perf_counter()
    result, options = Pass(), digest(VERSION, silence_db)
    stamps = {file: stamp for file in files if (stamp := _stamp(root / file)) is not None}
    result.sizes = {file: size for file, (size, _) in stamps.items()}
    result.failures = dict.fromkeys(set(files) - stamps.keys(), "no such file")
    with Journal(journal, before=lambda: None) as known:
        for file, measured in _known(known, options, stamps):
            result.measured[file] = measured
        result.n_reused = len(result.measured)
        rest = [file for file in files if file in stamps and file not in result.measured]
        _decode(root, rest, result, known, options, stamps, silence_db, count_workers(workers))
    result.seconds = time.perf_counter() - started
    return result


def _known(
    journal: Journal, options: str, stamps: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, Measured]]:
    """What the journal tells about the files as they are now."""
    for record in journal.records():
        if len(record) == 5 and record[0] == options:
            _, file, size, changed, values = record
            if stamps.get(file) == (size, changed):
                yield file, Measured.from_dict(values)


def _decode(
    root: Path,
    files: Sequence[str],
    result: Pass,
    journal: Journal,
    options: str,
    stamps: dict[str, tuple[int, int]],
    silence_db: float,
    workers: int,
) -> None:
    stop = Event()  # a day of sound need not be finished when somebody interrupts

    def work(names: list[str]) -> list[tuple[str, Measured | str]]:
        return [(name, _one(root / name, silence_db, stop)) for name in names]

    total = sum(result.sizes.values())
    done = total - sum(result.sizes[file] for file in files)
    with bar(total, "decode", "B", initial=done, scaled=True) as shown:
        for found in in_threads(work, _tasks(files, result.sizes, workers), workers, stop=stop):
            for file, one in found:
                shown.update(result.sizes[file])
                if isinstance(one, str):
                    result.failures[file] = one
                    continue
                result.measured[file] = one
                result.n_decoded += 1
                result.decoded_duration += one.duration
                record: list[Any] = [options, file, *stamps[file], one.to_dict()]
                journal.append(record)


def _one(path: Path, silence_db: float, stop: Event) -> Measured | str:
    """What was measured, or the reason why nothing could be."""
    try:
        return measure(path, silence_db=silence_db, stopped=stop.is_set)
    except AudioError as error:
        return error.reason
    except OSError as error:  # a bad sector, a disk that was pulled out
        return f"cannot be read ({error.strerror or type(error).__name__})"


def _tasks(files: Sequence[str], sizes: dict[str, int], workers: int) -> Iterator[list[str]]:
    """Files in bundles: small ones together, so that threads need not wait for each other."""
    most = max(1, min(MOST_IN_TASK, len(files) // (4 * workers)))
    task: list[str] = []
    size = 0
    for file in files:
        if task and (len(task) == most or size + sizes[file] > BYTES_IN_TASK):
            yield task
            task, size = [], 0
        task.append(file)
        size += sizes[file]
    if task:
        yield task


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change; None if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
