"""``semisonic info``: what a model or a run is, and what this machine has."""

from __future__ import annotations

import json

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session
from semisonic.inference import InfoOptions


def info(options: InfoOptions, session: Session) -> None:
    """Say what a model, an encoder, a run folder or an architecture is.

    Without a path: what this machine has, and the versions in use.
    """
    from semisonic.inference import info as work

    found = work(options)
    if options.json:
        session.say(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, default=str))
    else:
        session.say(found.summary())


command = command_from(
    InfoOptions,
    info,
    name="info",
    optional=("path",),
    examples=[
        "semisonic info",
        "semisonic info runs/model --json",
        'semisonic info "(64)5c-2p-(64)3c-2p-128fc" --n-mels 28',
    ],
)
