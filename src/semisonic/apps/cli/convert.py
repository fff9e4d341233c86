"""``semisonic convert``: an encoder out of a published network's weight file."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session
from semisonic.inference import ConvertOptions


def convert(options: ConvertOptions, session: Session) -> None:
    """Make an encoder of a published network's weight file, for 'semisonic train --encoder'.

    Nothing is downloaded, and nothing in the file is run. The encoder says what it was trained
    on, and so does every model that starts from it.
    """
    from semisonic.inference import convert as work

    session.say(work(options).summary())


command = command_from(
    ConvertOptions,
    convert,
    name="convert",
    examples=[
        "semisonic convert yamnet yamnet.onnx -o yamnet.encoder",
        "semisonic convert cnn14 Cnn14_mAP=0.431.pth -o cnn14.encoder --duration 10",
    ],
)
