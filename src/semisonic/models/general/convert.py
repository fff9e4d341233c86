"""From a published weight file to an encoder of ours, with its front end and its story."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semisonic.base.errors import ModelError, OptionError
from semisonic.base.files import content_hash
from semisonic.base.options import nearest
from semisonic.features import Frontend
from semisonic.models.catalogue import create
from semisonic.models.general.found import Found
from semisonic.models.general.published import PUBLISHED, Published
from semisonic.models.pretrained import PretrainedEncoder


def convert_published(
    name: str, path: str | os.PathLike[str], *, duration: float = 5.0
) -> PretrainedEncoder:
    """Read published weights.

    Parameters
    ----------
    name : str
        One of :data:`PUBLISHED`.
    path : path
        The weight file; nothing in it is run.
    duration : float
        Length of the clips that models made from it will take, seconds.

    Returns
    -------
    PretrainedEncoder
        In evaluation mode, with front end and neck, so that its embeddings are the published
        ones. Its ``published`` says where it is from, and so will its file.

    Raises
    ------
    OptionError
        For an unknown name, or a duration that is too short.
    ModelError
        For a file that is missing, damaged, needs code to be run, or holds other weights: each
        tensor must be used once or be one of the published class layer.
    """
    if name not in PUBLISHED:
        raise OptionError(f"unknown published network '{name}': {nearest(name, PUBLISHED)}")
    one, file = PUBLISHED[name], Path(path)
    if not file.is_file():
        raise ModelError(
            f"{file}: no such file; expected the weights of {one.title} ({one.source})"
        )
    encoder = _empty(one, duration)
    wanted = {
        key: tuple(value.shape)
        for key, value in encoder.state_dict().items()
        if not key.startswith("frontend.")
    }
    found = Found(file, one.read(file))
    state = one.layout(found, wanted)
    for key, shape in one.class_layers.items():
        found.take(key, shape)
    found.finish()
    _set_statistics(encoder, one, state)
    encoder.load_state_dict(state, strict=False)
    _check_finite(file, state)
    encoder.published = _story(one, file)
    return encoder.eval()


def _story(one: Published, file: Path) -> dict[str, Any]:
    """Where weights are from, in plain values."""
    return {
        "name": one.name,
        "title": one.title,
        "trained_on": one.trained_on,
        "source": one.source,
        "licence": one.licence,
        "file": file.name,
        "sha256": content_hash(file),
    }


def _empty(one: Published, duration: float) -> PretrainedEncoder:
    mel = replace(one.mel, duration=duration)
    body = create(one.name, mel.shape)
    frontend = Frontend(mel, "mel" if one.statistics is None else "global")
    return PretrainedEncoder(body.encoder, frontend=frontend, name=body.name, neck=body.neck)


def _set_statistics(encoder: PretrainedEncoder, one: Published, state: dict[str, Tensor]) -> None:
    """The standardisation, taken out of ``state`` where the file holds it."""
    if encoder.frontend is None:
        raise ModelError("an encoder without a front end has no statistics to set")
    if one.statistics is None:
        mean, std = state.pop("mean"), state.pop("std")
    else:
        mean, std = (torch.tensor([value]) for value in one.statistics)
    standardize = encoder.frontend.standardize
    standardize.mean.copy_(mean[None, :, None])
    standardize.std.copy_(std[None, :, None])
    standardize.fitted.fill_(True)


def _check_finite(file: Path, state: dict[str, Tensor]) -> None:
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"{file}: the weights for '{key}' are not finite; take a new copy")
