"""``semisonic project new``: start from a folder of recordings."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import ProjectOptions


def new(options: ProjectOptions, session: Session) -> Status:
    """Start from a folder of recordings without a label.

    Looks at all recordings, lets an encoder learn from them without labels, makes vectors of
    all stretches and finds groups that sound alike. Takes minutes, once; nothing is asked.
    """
    from semisonic.labeling import start_project

    started = start_project(options)
    session.say(started.summary())
    return session.failed(started.failures, options.output / "scan" / "bad_files.csv")


command = command_from(
    ProjectOptions,
    new,
    name="new",
    arguments=("recordings",),
    examples=[
        "semisonic project new path/to/recordings -o runs/project",
        "semisonic project new path/to/recordings --encoder yamnet.encoder -o runs/project",
    ],
    resumes=True,
)
