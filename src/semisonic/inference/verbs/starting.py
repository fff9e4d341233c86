"""What ``pretrain`` and ``train`` start from: an encoder's file, or made-up sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.files import content_hash
from semisonic.inference.methods.advice import NO_OBJECTIVE
from semisonic.inference.methods.options import SOLVED
from semisonic.inference.modelfile import encoder_file, open_encoder
from semisonic.inference.options import PretrainOptions, TrainOptions
from semisonic.inference.pretext_objectives import frontend_of
from semisonic.inference.provenance import chained
from semisonic.inference.published import origin_of
from semisonic.inference.synthetic import SYNTH, synthetic_encoder
from semisonic.models import PretrainedEncoder, SoundModel, in_order, load, read_about
from semisonic.models.saving import PUBLISHED_WEIGHTS, published_in
from semisonic.training import RunFolder


def is_synth(encoder: Path | None) -> bool:
    """Whether an option ``encoder`` asks for a start from made-up sounds."""
    return str(encoder) == SYNTH


def start_of(options: PretrainOptions | TrainOptions, run: RunFolder) -> PretrainedEncoder | None:
    """The encoder that the options name, if they name one; that of made-up sounds is made."""
    if options.encoder is None:
        return None
    if not is_synth(options.encoder):
        return open_encoder(options.encoder)
    return synthetic_encoder(
        options.model, options.mel, standardize=options.standardize, device=options.device,
        workers=options.workers,
    )  # fmt: skip


def starting_note(encoder: Path | None) -> tuple[str, ...]:
    """What a summary must say of the start: published weights are other people's labels."""
    if encoder is None or is_synth(encoder):
        return ()
    origin = origin_of(encoder)
    return () if origin is None else (f"note: {origin.text()}",)


def whole_of(options: TrainOptions, classes: Sequence[str]) -> SoundModel | None:
    """The classifier that is trained further with its class layer, where one is.

    Raises
    ------
    OptionError
        When there is no classifier to keep it of, or something else would overwrite it.
    ModelError
        When it is one of other classes.
    """
    if not options.keep_head:
        return None
    why = ""
    if options.encoder is None or is_synth(options.encoder):
        why = "no earlier classifier is given as encoder"
    elif options.method in SOLVED:
        why = f"the method '{options.method}' learns a class layer of its own"
    elif options.objective != NO_OBJECTIVE:
        why = "pre-training would change the encoder beneath it"
    elif read_about(encoder_file(options.encoder))["kind"] != "classifier":
        why = f"{options.encoder} is an encoder and has no class layer"
    if why or options.encoder is None:
        raise OptionError(f"option 'keep_head': {why}; leave the option out")
    return in_order(load(encoder_file(options.encoder)), classes)


def standardize_of(options: PretrainOptions | TrainOptions, start: PretrainedEncoder | None) -> str:
    """How features are standardised: as the encoder's are, where there is one."""
    return options.standardize if start is None else frontend_of(start).standardize.kind


def with_start(parts: Mapping[str, Any], encoder: Path | None, run: RunFolder) -> dict[str, Any]:
    """The parts of a making and those of the encoder's it starts from, as its file tells them.

    What the encoder heard without labels counts as this run's pre-training where it has none of
    its own. The file's content goes into the run's record. Made-up sounds add nothing; published
    weights at its beginning are told on.
    """
    if encoder is None or is_synth(encoder):
        return dict(parts)
    file = encoder_file(encoder)
    run.add_data("encoder", content_hash(file)[:16])
    said = read_about(file)["about"]
    found = chained(parts, said)
    if published_in(said):
        found[PUBLISHED_WEIGHTS] = published_in(said)
    return found
