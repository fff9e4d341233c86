"""``semisonic project suggest``: what to listen to next in a project."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import ProjectSuggestOptions


def suggest(options: ProjectSuggestOptions, session: Session) -> Status:
    """Write the table of what to listen to next.

    The first tables hold what is typical of groups without a label; once there is a
    classifier, what it doubts. A part is drawn by chance: it tells how good the classifier is.
    """
    from semisonic.labeling import suggest_in_project

    session.say(suggest_in_project(options).summary())
    session.note(
        f"next: fill in the column 'label', then semisonic project learn {options.project}"
    )
    return Status.OK


command = command_from(
    ProjectSuggestOptions,
    suggest,
    name="suggest",
    arguments=("project",),
    examples=["semisonic project suggest runs/project -n 20"],
)
