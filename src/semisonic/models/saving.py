"""Saving and loading of classifiers and pre-trained encoders, with a decoder or without."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError, SemisonicError
from semisonic.base.options import from_mapping, to_dict
from semisonic.features import Frontend, MelOptions
from semisonic.models import container
from semisonic.models.autoencoder import AutoEncoder
from semisonic.models.card import write_card
from semisonic.models.catalogue import create
from semisonic.models.decision import Decision
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import defined_in, find
from semisonic.models.simple.heads import SimpleHead
from semisonic.models.sound_model import SoundModel

M = TypeVar("M", bound=nn.Module)
AUTOENCODER = "autoencoder"
ENCODERS = (AUTOENCODER, "encoder")
_OF_DECISION = f"{container.DECISION}."
"""Begins the names of tables that are no weights of the network."""
PUBLISHED_WEIGHTS = "published"
"""The entry of ``about`` that says which published weights a model began with."""
DEFINED_IN = "defined_in"
"""The entry that says where a network is defined that is not from this package."""
_OF_ENCODERS = (
    "holds an encoder, which names no sounds yet, expected a classifier; train one from it: "
    "semisonic train DATA --encoder {}"
)
_OTHER_KINDS = {
    "classifier": "holds a classifier, expected an encoder",
    **dict.fromkeys(ENCODERS, _OF_ENCODERS),
}


def save(
    path: str | os.PathLike[str], model: SoundModel, *, about: Mapping[str, Any] | None = None
) -> None:
    """Write a classifier to one file, atomically.

    Parameters
    ----------
    path : path
    model : SoundModel
    about : mapping or None
        Where it comes from: data, seed, commit, accuracy …; text, numbers, lists, mappings.

    Raises
    ------
    ModelError
        For weights that are not finite or an ``about`` that JSON cannot hold.
    """
    settings = {
        "kind": "classifier",
        **_common(model.name, model.frontend, about),
        "classes": list(model.classes),
        "multi_label": model.multi_label,
        "dropout": model.dropout,
    }
    weights = dict(model.state_dict())
    if not model.decision.is_empty:
        settings[container.DECISION] = model.decision.to_dict()
        for name, table in model.decision.tensors().items():
            weights[_OF_DECISION + name] = torch.from_numpy(table)
    container.write(path, settings, weights, write_card(model, about or {}))


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> SoundModel:
    """Read a classifier, in evaluation mode; its scores are those of the saved one.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, hostile, of another kind or another release.
    """
    content = container.read(path)
    settings = _checked(path, content.settings, "classifier")
    _require_network(path, settings)
    tables = {k: v for k, v in content.weights.items() if k.startswith(_OF_DECISION)}
    weights = {k: v for k, v in content.weights.items() if k not in tables}
    try:
        with torch.device("meta"):  # nothing is allocated for what a file merely claims
            frontend = _frontend(settings)
            classes = settings["classes"]
            body = create(settings["model"], frontend.options.shape)
            model = SoundModel(
                frontend,
                body,
                classes,
                multi_label=settings["multi_label"],
                dropout=settings["dropout"],
            )
            _make_room(model, weights)
    except (SemisonicError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path}: the description does not give a model: {error}") from error
    _filled(path, model, weights)
    _check_head(path, model)
    if container.DECISION in settings:
        model.decision = _decision(path, model, settings[container.DECISION], tables)
    elif tables:
        raise ModelError(f"{path}: holds '{sorted(tables)[0]}', but no decision")
    return model.to(device)


def save_encoder(
    path: str | os.PathLike[str],
    pretrained: PretrainedEncoder,
    *,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a pre-trained encoder with its front end to one file, atomically.

    An :class:`AutoEncoder` is kept with its decoder. Where the encoder began with published
    weights, that is written into ``about``.

    Raises
    ------
    ModelError
        For an encoder without front end or name (use :func:`build_encoder` or
        :func:`build_autoencoder`), or weights that are not finite.
    """
    if pretrained.frontend is None or not pretrained.name:
        raise ModelError(
            "an encoder is saved with its front end and name; make it with build_encoder or "
            "build_autoencoder"
        )
    if pretrained.published:
        about = {**(about or {}), PUBLISHED_WEIGHTS: dict(pretrained.published)}
    settings = {"kind": "encoder", **_common(pretrained.name, pretrained.frontend, about)}
    if pretrained.neck is not None:
        settings["neck"] = True
    if isinstance(pretrained, AutoEncoder):
        settings |= {
            "kind": "autoencoder",
            "decoder": pretrained.decoder_name,
            "skip_dropout": pretrained.skip_dropout,
        }
    card = write_card(pretrained, about or {})
    container.write(path, settings, pretrained.state_dict(), card)


def load_encoder(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> PretrainedEncoder:
    """Read a pre-trained encoder, in evaluation mode; an :class:`AutoEncoder` if it was one.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, hostile, of another kind or another release.
    """
    content = container.read(path)
    kind = "encoder" if content.settings.get("kind") == "encoder" else "autoencoder"
    settings = _checked(path, content.settings, kind)
    _require_network(path, settings)
    try:
        with torch.device("meta"):
            frontend = _frontend(settings)
            body = create(settings["model"], frontend.options.shape)
            pretrained = PretrainedEncoder(body.encoder, frontend=frontend, name=body.name)
            if kind == "autoencoder":
                pretrained = AutoEncoder(
                    body.encoder,
                    settings["decoder"],
                    skip_dropout=settings["skip_dropout"],
                    frontend=frontend,
                    name=body.name,
                )
            if settings.get("neck") is True:
                pretrained.neck = body.neck
    except (SemisonicError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path}: the description does not give a model: {error}") from error
    pretrained.published = published_in(settings["about"])
    return _filled(path, pretrained, content.weights).to(device)


def published_in(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a provenance says of published weights at the beginning; empty if there were none."""
    found = about.get(PUBLISHED_WEIGHTS)
    return found if isinstance(found, Mapping) else {}


def read_about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model file says about itself, without reading its weights.

    Returns
    -------
    dict
        ``kind``, ``model``, ``features``, ``standardize``, ``about``, and ``classes`` (and
        ``decision``, if it has one) of a classifier or ``decoder`` of an auto-encoder.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, or not a model of ours.
    """
    settings = container.read_settings(path)
    kind = settings.get("kind")
    return _checked(path, settings, kind if kind in ENCODERS else "classifier")


def _common(name: str, frontend: Frontend, about: Mapping[str, Any] | None) -> dict[str, Any]:
    place = defined_in(name)
    return {
        "model": name,
        **({} if place is None else {DEFINED_IN: place}),
        "features": to_dict(frontend.options),
        "standardize": frontend.standardize.kind,
        "about": dict(about or {}),
    }


def _require_network(path: object, settings: Mapping[str, Any]) -> None:
    """See that the code of a network is there that is not from this package.

    Nothing is imported: a file cannot bring code to be run.
    """
    name, place = settings["model"], settings.get(DEFINED_IN)
    if not isinstance(place, str) or find(name) is not None:
        return
    if not place:
        raise ModelError(
            f"{path}: its network '{name}' was given as an object, of which a file keeps the "
            "weights alone; give one of the same layers: SoundClassifier.load(path, model=...)"
        )
    raise ModelError(
        f"{path}: its network '{name}' is not from Semisonic; it was registered in '{place}'. "
        f"Import that before (on the command line: --plugin {place}, or the path of its file)"
    )


_TYPES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "classifier": {"classes": list, "multi_label": bool, "dropout": (int, float)},
    "autoencoder": {"decoder": str, "skip_dropout": (int, float)},
    "encoder": {},
}


def _checked(path: object, settings: dict[str, Any], kind: str) -> dict[str, Any]:
    """The settings, if they are of this kind and every value has its type."""
    found = settings.get("kind")
    if found != kind:
        if isinstance(found, str) and found in _OTHER_KINDS:
            raise ModelError(f"{path}: {_OTHER_KINDS[found].format(path)}")
        raise ModelError(f"{path}: found a model of unknown kind {found!r}")
    expected = {"model": str, "features": dict, "standardize": str, "about": dict, **_TYPES[kind]}
    for name, types in expected.items():
        if not isinstance(settings.get(name), types):
            raise ModelError(f"{path}: 'model.json' has no usable '{name}'; the file is damaged")
    classes = settings.get("classes", [])
    if not all(isinstance(name, str) for name in classes):
        raise ModelError(f"{path}: 'model.json' has a class name that is not text")
    return settings


def _frontend(settings: dict[str, Any]) -> Frontend:
    expected = {field.name for field in fields(MelOptions)}
    missing = expected - set(settings["features"])
    if missing:
        raise ModelError(f"'features' lacks {', '.join(sorted(missing))}")
    return Frontend(from_mapping(MelOptions, settings["features"]), settings["standardize"])


def _decision(
    path: object, model: SoundModel, table: Any, tensors: Mapping[str, Tensor]
) -> Decision:
    arrays = {name.removeprefix(_OF_DECISION): value.numpy() for name, value in tensors.items()}
    try:
        return Decision.from_dict(
            table, arrays, model.classes, model.neck.out_features, model.statistics.out_features
        )
    except ModelError as error:
        raise ModelError(f"{path}: the decision cannot be used: {error}") from error


def _make_room(model: SoundModel, weights: Mapping[str, Tensor]) -> None:
    """Give the head of a simple classifier tables as large as the file's."""
    head = model.head[-1]
    if isinstance(head, SimpleHead):
        begin = f"head.{len(model.head) - 1}."
        head.take_shapes(
            {k.removeprefix(begin): tuple(v.shape) for k, v in weights.items() if begin in k}
        )


def _check_head(path: object, model: SoundModel) -> None:
    head = model.head[-1]
    if isinstance(head, SimpleHead):
        try:
            head.check()
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error


def _filled(path: object, model: M, weights: dict[str, Tensor]) -> M:
    """The model with the file's weights, after comparing names, shapes and types."""
    expected = model.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights:
            raise ModelError(f"{path}: the weight '{name}' is missing")
        if name not in expected:
            raise ModelError(f"{path}: holds a weight '{name}' that the model does not have")
        found, needed = weights[name], expected[name]
        if found.shape != needed.shape or found.dtype != needed.dtype:
            raise ModelError(
                f"{path}: the weight '{name}' has shape {tuple(found.shape)} ({found.dtype}), "
                f"expected {tuple(needed.shape)} ({needed.dtype})"
            )
        if name.endswith("standardize.std") and not (found > 0).all():
            raise ModelError(f"{path}: '{name}' holds deviations that are not positive")
    model.load_state_dict(weights, assign=True)
    return model.eval()
