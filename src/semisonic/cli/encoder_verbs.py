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
    """List the general encoders: what they are for, their licences, and which are here.

    They were trained with other people's labels, so what starts from them is not "from scratch".
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
        "one of 'semisonic encoder list', or a name for an ONNX or TFLite file of yours",
    ),
    source: str = option("", "file or address to take it from, in place of its public home"),
    yes: bool = option(False, "do not ask: the licence has been read"),
    duration: float = option(
        0.0,
        "length of the clips it will be used for; by default 5 s, or the length of a window; "
        "'train --duration' may say otherwise",
        unit="s",
        minimum=0,
        maximum=60,
    ),
    sample_rate: int = option(
        0, "of the samples that a file of yours takes", unit="Hz", minimum=0, maximum=768_000
    ),
    window: float = option(
        0.0,
        "length that a file of yours takes at once; what the file says if not given",
        unit="s",
        minimum=0,
        maximum=60,
    ),
    tensor: str = option("", "name of the embedding in the graph, where it has several"),
) -> None:
    """Get a general encoder by its name, for --encoder NAME of other verbs.

    Shows its source and licence and asks before it fetches anything. An interrupted download goes
    on where it stopped if the file's hash is known. Nothing in the file is run as code. Networks of
    this package can be trained further; ONNX and TFLite files of
    samples are run as they are, by onnxruntime and LiteRT.
    """
    from semisonic.classifier.encoders import get_encoder, plan_encoder

    plan = plan_encoder(name, source, sample_rate=sample_rate, window=window, tensor=tensor)
    session.say("\n".join(plan.lines()))
    if session.dry_run:
        return
    if plan.fetches and not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                "nobody can be asked whether to fetch it under this licence; give --yes if so"
            )
        if not click.confirm("Fetch it under this licence?", default=False):
            session.say("nothing was fetched")
            return
    session.say(get_encoder(plan, duration=duration).summary())
    session.note(f"next: semisonic train LABELLED --encoder {name}")
