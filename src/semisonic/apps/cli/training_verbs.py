"""What ``pretrain``, ``train`` and ``evaluate`` have in common at the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol, TypeVar

from semisonic.apps.cli.session import Session, Status

T = TypeVar("T")
SYNTH = "synth"


class Result(Protocol):
    """What a function behind a verb gives back."""

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Files that could not be used, with reasons."""

    def summary(self) -> str:
        """What a person wants to know."""


def begin(options: T, session: Session, *, labelled: str = "", pool: str = "") -> T:
    """Point errors to the run's log, and put the path of the set for the word 'synth'.

    ``labelled`` and ``pool`` are the names of the options that take a path of labelled and of
    unlabelled recordings.
    """
    output = Path(getattr(options, "output"))  # noqa: B009
    session.log = output / "log.txt"
    wanted = {
        name: part
        for name, part in ((labelled, "labels.csv"), (pool, "pool"))
        if name and str(getattr(options, name)) == SYNTH
    }
    if not wanted or session.dry_run:
        return options
    from semisonic.data import synth
    from semisonic.data.synth import SynthOptions

    folder = output.parent / SYNTH
    synth.make(folder, SynthOptions())
    return dataclasses.replace(  # type: ignore[type-var]
        options, **{name: folder / part for name, part in wanted.items()}
    )


def finish(result: Result, output: Path, session: Session) -> Status:
    """Print the summary; the exit status tells whether files failed."""
    session.say(result.summary())
    session.note(f"run folder: {output}")
    return Status.SOME_FAILED if result.failures else Status.OK
