"""What ``pretrain``, ``train`` and ``evaluate`` have in common at the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from semisonic.apps.cli.session import Session, Status
from semisonic.audio.remote import url_of
from semisonic.base.members import member_of
from semisonic.base.options import changed
from semisonic.data import describe_layout, synth
from semisonic.data.synth import SynthOptions
from semisonic.inference import TrainOptions

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
    unlabelled recordings. In a dry run it is said how each path would be read.
    """
    output: Path = getattr(options, "output")  # noqa: B009
    session.log = output / "log.txt"
    given = {
        name: (path, part)
        for name, part in ((labelled, "labels.csv"), (pool, "pool"))
        if name and (path := getattr(options, name)) is not None
    }
    made = {name: part for name, (path, part) in given.items() if str(path) == SYNTH}
    if session.dry_run:
        for name in given.keys() - made.keys():
            session.note(describe_layout(given[name][0]))
        return options
    for name in given.keys() - made.keys():
        path = given[name][0]
        if not path.exists() and member_of(path) is None and url_of(path) is None:
            describe_layout(path)  # which says what is wrong, before torch is loaded
    if made:
        session.note(f"the embedded sounds are in {output.parent / SYNTH}")
    return with_synth(options, labelled, pool)


def with_synth(options: T, labelled: str = "", pool: str = "") -> T:
    """The options with the embedded sounds, made beside the run folder, for the word 'synth'."""
    parts = {labelled: "labels.csv", pool: "pool"}
    folder = Path(getattr(options, "output")).parent / SYNTH  # noqa: B009
    paths = {
        name: folder / part
        for name, part in parts.items()
        if name and str(getattr(options, name)) == SYNTH
    }
    if not paths:
        return options
    synth.make(folder, SynthOptions())
    return changed(options, **paths)


def say_plan(options: TrainOptions, session: Session) -> Status:
    """Say the method, its steps, the time and the disk; nothing is written."""
    if SYNTH in map(str, (options.data, options.unlabelled)):
        session.note("the synthetic data set would be made first; what is learned depends on it")
        return Status.OK
    from semisonic.inference.verbs.planning import plan_training

    for line in plan_training(options).lines():
        session.say(f"# {line}")
    return Status.OK


def finish(result: Result, output: Path, session: Session, then: str = "") -> Status:
    """Print the summary and what comes next; the exit status tells whether files failed."""
    session.say(result.summary())
    session.note(f"run folder: {output}")
    if then:
        session.note(f"next: {then}")
    return Status.SOME_FAILED if result.failures else Status.OK
