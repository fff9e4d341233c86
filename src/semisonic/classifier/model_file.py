"""Models and encoders by the path that a user gives: a file or its run folder."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Protocol

from semisonic.core.errors import ModelError
from semisonic.core.files import digest
from semisonic.core.options import to_dict
from semisonic.models.encoder_table import named_encoder
from semisonic.models.model_file import load, load_encoder, published_in, read_about
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.published import PUBLISHED
from semisonic.models.sound_model import SoundModel
from semisonic.models.weights import weights_digest

MODEL, ENCODER = "model.zip", "encoder.zip"


class Fitted(Protocol):
    """A fitted classifier, such as :class:`semisonic.SoundClassifier`."""

    model_: SoundModel


def find_file(path: str | PathLike[str], name: str) -> Path:
    """The file itself, or the one of that name in a folder.

    Parameters
    ----------
    path : path
    name : str
        Such as :data:`MODEL`.

    Raises
    ------
    ModelError
        If there is none.
    """
    place = Path(path)
    if place.is_dir():
        if not (place / name).is_file():
            raise ModelError(
                f"{place}: found no {name} in it, expected the folder of a finished run, or a "
                "model file"
            )
        return place / name
    if not place.is_file():
        raise ModelError(f"{place}: no such file; expected a model file or a run folder")
    return place


def open_model(model: str | PathLike[str] | SoundModel | Fitted) -> SoundModel:
    """Load a model for use: on the CPU, in evaluation mode.

    Parameters
    ----------
    model : path, SoundModel or SoundClassifier
        A model file or its run folder. A model in memory is returned unchanged.

    Raises
    ------
    ModelError
        If there is none, or it is damaged.
    """
    if not isinstance(model, (str, PathLike)):
        if isinstance(model, SoundModel):
            return model
        if not hasattr(model, "model_"):
            raise ModelError(
                f"found {type(model).__name__}, not fitted; expected a model, a model file, a run "
                "folder or a fitted classifier"
            )
        return model.model_
    loaded = load(find_file(model, MODEL))
    loaded.eval()
    return loaded


def open_encoder(path: str | PathLike[str]) -> PretrainedEncoder:
    """Load a pre-trained encoder, or take that of a classifier.

    A run folder of ``train`` gives the encoder of its classifier, which was trained further than
    the one it started from. Published networks keep their neck, which was trained with them.

    Parameters
    ----------
    path : path
        The file of an encoder or a classifier, a run folder with one of them, or the name of an
        installed general encoder.

    Raises
    ------
    ModelError
        If there is none, or it is damaged.
    """
    file = encoder_file(path)
    if read_about(file)["kind"] != "classifier":
        return load_encoder(file)
    model = load(file)
    neck = model.neck if model.name in PUBLISHED or not model.encoder.trainable else None
    encoder = PretrainedEncoder(model.encoder, model.frontend, model.name, neck=neck)
    encoder.published = published_in(read_about(file)["about"])
    return encoder.eval()


def encoder_file(path: str | PathLike[str]) -> Path:
    """The file that :func:`open_encoder` reads: a path, or the name of a general encoder.

    Raises
    ------
    ModelError
        If there is none; for a general encoder that is not installed, with the command to get it.
    """
    place = Path(path)
    if not place.exists() and (named := named_encoder(str(path))) is not None:
        return named
    if place.is_dir() and (place / MODEL).is_file():
        return place / MODEL
    return find_file(place, ENCODER)


def model_key(model: SoundModel) -> str:
    """A hash of everything that affects the scores of a model: network, front end, weights,
    decision.

    Two files written from the same model have the same key. It identifies the caches of scores and
    embeddings.
    """
    return digest(
        model.name,
        model.classes,
        model.multi_label,
        to_dict(model.mel),
        model.decision.key,
        weights_digest(model),
    )
