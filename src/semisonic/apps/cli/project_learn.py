"""``semisonic project learn``: a classifier from the answers so far."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import ProjectLearnOptions


def learn(options: ProjectLearnOptions, session: Session) -> Status:
    """Learn from all answers so far, and measure.

    Takes a second or two. Writes model.zip, and a row of history.csv with the accuracy on
    stretches that were drawn by chance.
    """
    from semisonic.labeling import learn_in_project

    result = learn_in_project(options)
    session.say(result.summary())
    return session.failed(result.problems, what="line")


command = command_from(
    ProjectLearnOptions,
    learn,
    name="learn",
    arguments=("project",),
    examples=[
        "semisonic project learn runs/project",
        "semisonic project learn runs/project --answers runs/project/queue.csv",
    ],
)
