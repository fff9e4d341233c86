"""What a verb may use while it runs: how to speak, and how to end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

import click

FAILURES_SHOWN = 10


class Status(IntEnum):
    """The exit status of the command."""

    OK = 0
    OUR_BUG = 1
    WRONG_USE = 2
    SOME_FAILED = 3
    INTERRUPTED = 130


class Session:
    """How one call of the command speaks and ends.

    Attributes
    ----------
    quiet, verbose, traceback, dry_run : bool
        As given on the command line.
    resumes : bool
        Whether the same command goes on after an interruption.
    log : Path or None
        Where the run's log lies, once a verb has a run folder; errors point there.
    plugins : list of str
        Modules to import before anything is done.
    """

    def __init__(self) -> None:
        self.quiet = self.verbose = self.dry_run = self.traceback = self.resumes = False
        self.log: Path | None = None
        self.plugins: list[str] = []

    def start(self, *, resumes: bool) -> None:
        """Turn on progress bars and messages as asked for, and what makes long work faster."""
        if self.quiet and self.verbose:
            raise click.UsageError("-q and -v contradict each other: give one of them")
        from semisonic.core import plugins, progress
        from semisonic.core.parallel import allow_processes, keep_freed_memory

        self.resumes = resumes
        progress.show(not self.quiet)
        keep_freed_memory()
        allow_processes()
        level = logging.INFO if self.verbose else logging.WARNING
        _speak(logging.ERROR if self.quiet else level)
        for name in self.plugins:
            plugins.load(name)

    def say(self, text: str = "") -> None:
        """Print a line of the answer."""
        click.echo(text)

    def note(self, text: str) -> None:
        """Print a remark beside the answer, on standard error; not with ``-q``."""
        if not self.quiet:
            click.echo(text, err=True)

    def tell_cache(self) -> None:
        """Say how much the run folder keeps that can be made again, where there is something."""
        folder = self.log.parent / "cache" if self.log is not None else None
        if folder is not None and not self.dry_run and folder.is_dir():
            from semisonic.core.text import bytes_text
            from semisonic.core.user_cache import disk_size

            size = bytes_text(disk_size(folder))
            self.note(f"cache: {size} in {folder}, may be deleted; it is made again when needed")

    def failed(
        self,
        failures: Sequence[tuple[str, str]],
        listed_in: Path | None = None,
        what: str = "file",
    ) -> Status:
        """Name what failed, the first few in full, and give the exit status.

        Parameters
        ----------
        failures : sequence of (file, reason)
        listed_in : Path, optional
            The file that holds the whole list.
        what : str
            What one failure is, in the singular.
        """
        if not failures:
            return Status.OK
        things = what if len(failures) == 1 else f"{what}s"
        click.echo(f"{len(failures)} {things} could not be used:", err=True)
        for file, reason in failures[:FAILURES_SHOWN]:
            # Some reasons repeat the file's name in front.
            click.echo(f"  {file}: {reason.removeprefix(f'{file}: ')}", err=True)
        if len(failures) > FAILURES_SHOWN:
            rest = f"  and {len(failures) - FAILURES_SHOWN} more"
            click.echo(f"{rest}, all in {listed_in}" if listed_in else rest, err=True)
        return Status.SOME_FAILED


def _speak(level: int) -> None:
    """Send the package's log messages to standard error, in a calm form."""
    logger = logging.getLogger("semisonic")
    logger.handlers = [h for h in logger.handlers if not getattr(h, "of_command", False)]
    handler = logging.StreamHandler(sys.stderr)
    handler.of_command = True  # type: ignore[attr-defined]
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(message)s"))
    # The run folder logs what ended a run, with the way there. The command says it itself.
    handler.addFilter(lambda record: not (record.name == "semisonic" and record.levelno >= 40))
    logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.level or logging.INFO))
