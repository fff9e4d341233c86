"""``semisonic data preview``: look at every augmentation of a clip, and listen to it."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session
from semisonic.inference.previewing.options import PreviewOptions


def preview(options: PreviewOptions, session: Session) -> None:
    """Draw each augmentation on a real clip, and write it as a page, as pictures and as audio."""
    from semisonic.inference.verbs.preview import preview as work

    session.say(work(options).summary())


command = command_from(
    PreviewOptions,
    preview,
    name="preview",
    examples=[
        "semisonic data preview bark.wav -o runs/preview",
        "semisonic data preview path/to/recordings --clip 12 --stretch-max 1.5 --pitch 5",
    ],
)
