"""The verbs about general encoders: encoder list, encoder get."""

from __future__ import annotations

import dataclasses
import sys

import click

from semisonic.cli.parser import Session, verb
from semisonic.core.errors import OptionError
from semisonic.core.options import option


@verb(name="list", examples=["semisonic encoder list"])
def encoder_list(session: Session) -> None:
    """List the general encoders: their purpose, their licence, and whether they are installed.

    They were trained with labels of others, so a training that starts from one is not "from
    scratch".
    """
    from semisonic.classifier.encoders import list_encoders

    session.say(list_encoders().summary())


@verb(
    name="get",
    examples=[
        "semisonic encoder get yamnet",
        "semisonic encoder get yamnet --source yamnet.onnx",
        "semisonic encoder get mine --source tower.onnx --sample-rate 8000",
    ],
    resumes=True,
    plans=True,
)
def encoder_get(
    session: Session,
    name: str = option(
        dataclasses.MISSING,
        "name in 'semisonic encoder list', or a new name for your own ONNX or TFLite file",
    ),
    source: str = option("", "file or address to get it from, instead of its public source"),
    yes: bool = option(False, "accept the licence without being asked"),
    duration: float = option(
        0.0,
        "length of the clips it will be used for; 0: 5 s, or the length of its window; 'train "
        "--duration' may change it",
        unit="s",
        minimum=0,
        maximum=60,
    ),
    sample_rate: int = option(
        0,
        "sample rate that your own file takes; 0: as the file says",
        unit="Hz",
        minimum=0,
        maximum=768_000,
    ),
    window: float = option(
        0.0,
        "length of the window that your own file takes; 0: as the file says",
        unit="s",
        minimum=0,
        maximum=60,
    ),
    tensor: str = option("", "name of the embedding in the file, if it has several outputs"),
) -> None:
    """Get a general encoder by its name, for the option --encoder NAME of other verbs.

    Shows its source and licence, and asks before it downloads anything. The same command continues
    an interrupted download if the file's hash is known. Nothing in the file is run as code.
    Networks of this package can be trained further; ONNX and TFLite files that read samples are
    used unchanged, by onnxruntime and LiteRT.
    """
    from semisonic.classifier.encoders import get_encoder, plan_encoder

    plan = plan_encoder(name, source, sample_rate=sample_rate, window=window, tensor=tensor)
    session.say("\n".join(plan.lines()))
    if session.dry_run:
        return
    if plan.fetches and not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                "nobody can be asked to accept the licence, as the input is not a terminal; "
                "give --yes to accept it"
            )
        if not click.confirm("Download it under this licence?", default=False):
            session.say("nothing was downloaded")
            return
    session.say(get_encoder(plan, duration=duration).summary())
    session.note(f"next: semisonic train LABELLED --encoder {name}")
