"""Which network and front end a training uses, when it starts from a pre-trained encoder."""

from __future__ import annotations

import dataclasses

from semisonic.base.errors import OptionError
from semisonic.features import MelOptions
from semisonic.inference.options import DEFAULT_MODEL
from semisonic.inference.pretext_objectives import frontend_of
from semisonic.models import PretrainedEncoder, create
from semisonic.models.notation import looks_like_notation
from semisonic.models.simple.names import SIMPLE


def network_of(
    model: str, mel: MelOptions, start: PretrainedEncoder | None
) -> tuple[str, MelOptions]:
    """Network and front end: the encoder's where there is one, else those asked for.

    What is left at its default is taken from the encoder. The duration of clips is free, since
    encoders take any length.

    Raises
    ------
    OptionError
        When something else than the encoder's is asked for.
    """
    if start is None:
        return model, mel
    if start.name in SIMPLE:
        raise OptionError(
            f"option 'encoder': found the simple classifier '{start.name}', which has no encoder "
            "that learns; give that of a network"
        )
    theirs = frontend_of(start).options
    for field in dataclasses.fields(MelOptions):
        asked, given = getattr(mel, field.name), getattr(theirs, field.name)
        if field.name == "duration" and asked != field.default:
            theirs = dataclasses.replace(theirs, duration=asked)
        elif asked not in (given, field.default):
            raise OptionError(
                f"option '{field.name}': found {asked}, but the encoder was pre-trained with "
                f"{given}; leave the option out, or pre-train another encoder"
            )
    create(start.name, theirs.shape)  # refuses clips that are too short
    if model in (DEFAULT_MODEL, start.name):
        return start.name, theirs
    if not _continues(model, start):
        raise OptionError(
            f"option 'model': found '{model}', but the encoder is '{start.name}'; leave the "
            "option out, or name an architecture that begins with the encoder's"
        )
    return model, theirs


def check_network(model: str, mel: MelOptions, *, learns: bool = False) -> None:
    """See that a network can be made for a front end, before hours of decoding.

    Parameters
    ----------
    model : str
    mel : MelOptions
    learns : bool
        Whether its encoder has to learn something.

    Raises
    ------
    ModelError, OptionError
        For an unknown name, wrong notation, an input too small for it, or a simple classifier
        where something has to learn.
    """
    if learns and model in SIMPLE:
        raise OptionError(
            f"option 'model': found '{model}', a simple classifier, which has no encoder that "
            "learns; choose a network"
        )
    create(model, mel.shape)


def _continues(model: str, start: PretrainedEncoder) -> bool:
    """Whether a notation has the encoder's convolutions and pools (its dense layers are free)."""
    if not looks_like_notation(model):
        return False
    return create(model, frontend_of(start).options.shape).encoder.plan == start.encoder.plan
