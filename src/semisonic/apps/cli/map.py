"""``semisonic map``: recordings as points to listen to."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import MapOptions


def draw(options: MapOptions, session: Session) -> Status:
    """Draw recordings as points to listen to, those that sound alike near each other.

    The page needs no other file and no network, unless its sounds are links.
    """
    from semisonic.labeling import run_map

    result = run_map(options)
    session.say(result.summary())
    return session.failed(result.failures)


command = command_from(
    MapOptions,
    draw,
    name="map",
    examples=[
        "semisonic map runs/index",
        "semisonic map runs/index --clusters auto -o runs/clusters",
        "semisonic map runs/index --projection pca --most 10000 --sounds link -o runs/all",
    ],
)
