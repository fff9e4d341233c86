"""``semisonic search``: what sounds like an example."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import SearchOptions


def search(options: SearchOptions, session: Session) -> Status:
    """Find the recordings that sound like an example.

    Every row of the index is compared, block by block. Windows of a recording that follow each
    other are one hit.
    """
    from semisonic.labeling import run_search

    session.say(run_search(options).summary())
    return Status.OK


command = command_from(
    SearchOptions,
    search,
    name="search",
    optional=("query",),
    examples=[
        "semisonic search runs/index example.wav",
        "semisonic search runs/index long.wav --start 12.5 --end 14 -k 20 -o runs/search",
        "semisonic search runs/index --row 17 --row 42 --other-files",
    ],
)
