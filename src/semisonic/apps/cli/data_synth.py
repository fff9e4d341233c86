"""``semisonic data synth``: make the synthetic data set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session
from semisonic.base.options import option
from semisonic.base.wording import counted
from semisonic.data import synth
from semisonic.data.synth import SynthOptions


@dataclass(frozen=True)
class SynthVerbOptions:
    """Make the synthetic data set."""

    folder: Path = option(dataclasses.MISSING, "where to write it")
    synth: SynthOptions = field(default_factory=SynthOptions)


def make_synth(options: SynthVerbOptions, session: Session) -> None:
    """Make a data set of synthetic environmental sounds, with and without labels.

    The same options give the same sounds on any machine. A folder that holds them already is
    left as it is.
    """
    synth.make(options.folder, options.synth)
    labelled, pool = synth.load(options.folder)
    session.say(
        f"{options.folder}: {counted(len(labelled), 'clip')} of "
        f"{counted(len(labelled.classes), 'class', 'classes')} "
        f"({counted(len(set(labelled.group.tolist())), 'recording')}, "
        f"{counted(len(labelled.folds), 'fold')}) "
        f"and {counted(len(pool), 'clip')} without labels"
    )


command = command_from(
    SynthVerbOptions,
    make_synth,
    name="synth",
    examples=[
        "semisonic data synth sounds",
        "semisonic data synth small --n-classes 4 --clips-per-class 10 --n-pool 50 --seed 1",
    ],
    resumes=True,
)
