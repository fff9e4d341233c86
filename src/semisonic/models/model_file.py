"""Model files: classifiers and encoders in a zip without code.

Three members, stored without compression: ``model.json`` (what to build), ``weights.
safetensors`` (its numbers) and ``card.md`` (for people). Everything is checked before use:
names, sizes, checksums, types, shapes, finite values. Nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from semisonic.core.errors import ModelError, SemisonicError
from semisonic.core.files import parse_json, replacing
from semisonic.core.options import from_mapping, to_dict
from semisonic.core.text import count_text
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.decision import Decision
from semisonic.models.inspection import count_macs, count_parameters, macs_text
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder
from semisonic.models.registry import create, defined_in, is_registered
from semisonic.models.sound_model import SoundModel, new_event_layer
from semisonic.models.weights import check_values

FORMAT = "semisonic-model"
VERSION = 1

_SETTINGS, _WEIGHTS, _CARD = "model.json", "weights.safetensors", "card.md"
_MEMBERS = sorted((_SETTINGS, _WEIGHTS, _CARD))
_COMMON: dict[str, Any] = {"model": str, "features": dict, "standardize": str, "about": dict}
_TYPES: dict[str, dict[str, Any]] = {
    "classifier": _COMMON | {"classes": list, "multi_label": bool, "dropout": int | float},
    "autoencoder": _COMMON | {"decoder": str},
    "encoder": _COMMON,
}
"""The entries of the description of each kind."""
ENCODERS = ("autoencoder", "encoder")
_EVENTS = "events"
"""Entry of the description of a classifier: whether it has an event layer."""
_ZIP = b"PK\x03\x04"
_ADVICE = "the training diverged, or the file is damaged"
_OF_DECISION = "decision."
"""Prefix of the names of tables that are not weights of the network."""
PUBLISHED_WEIGHTS = "published"
"""The entry of ``about`` with the published weights that a model started from."""
LICENCE = "licence"
"""The entry of ``about`` with the licence of a model."""
M = TypeVar("M", bound=nn.Module)


def write(
    path: str | os.PathLike[str],
    settings: dict[str, Any],
    state: dict[str, Tensor],
    card: str,
    *,
    bf16: bool = False,
) -> None:
    """Write a model file; the same content gives the same bytes.

    Parameters
    ----------
    path : path
    settings : dict
        The description, as values for JSON.
    state : dict of str to Tensor
        The weights by name.
    card : str
        The model card, in Markdown.
    bf16 : bool
        Store the weights as bfloat16, in half the bytes; they are read as float32.

    Raises
    ------
    ModelError
        For weights that are not finite, or settings that JSON cannot hold.
    """
    weights = {name: x.detach().to("cpu", copy=True).contiguous() for name, x in state.items()}
    check_values(path, weights, _ADVICE)
    if bf16:
        weights = {k: x.bfloat16() if x.dtype == torch.float32 else x for k, x in weights.items()}
    whole = {"format": FORMAT, "version": VERSION, **settings}
    try:
        text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: the model's description cannot be written as JSON ({error}); 'about' may "
            "hold text, finite numbers, true, false, none, lists and mappings"
        ) from error
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_SETTINGS), text)
        archive.writestr(zipfile.ZipInfo(_CARD), card)
        archive.writestr(zipfile.ZipInfo(_WEIGHTS), safetensors.torch.save(weights))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read and check description and weights of a model file; the weights are on the CPU.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, hostile, or not a model file.
    """
    settings, data = _members(Path(path), _SETTINGS, _WEIGHTS)
    described = _described(path, settings)
    try:
        weights = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, f"'{_WEIGHTS}' cannot be read ({error})") from error
    weights = {k: x.float() if x.dtype == torch.bfloat16 else x for k, x in weights.items()}
    check_values(path, weights, _ADVICE)
    return described, weights


def read_about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the description of a model file, without its weights.

    Returns
    -------
    dict
        ``kind``, ``model``, ``features``, ``standardize``, ``about``, and ``classes`` (and
        ``decision``, if it has one) of a classifier or ``decoder`` of an auto-encoder.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, or not a model file.
    """
    (settings,) = _members(Path(path), _SETTINGS)
    return _described(path, settings)


def _damaged(path: object, what: object) -> ModelError:
    return ModelError(f"{path}: damaged, or not a model file: {what}. Copy the file again")


def _members(file: Path, *wanted: str) -> list[bytes]:
    """Read some members of a file that has exactly those of a model."""
    if not file.is_file():
        raise ModelError(f"{file}: no such model file")
    with suppress(OSError), file.open("rb") as stream:
        start = stream.read(len(_ZIP))
        if start and start != _ZIP:
            raise ModelError(
                f"{file}: not a model file, as it is no zip archive; expected the file model.zip "
                "of a training or the file of an encoder"
            )
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(archive.namelist())
            if names != _MEMBERS:
                raise ValueError(f"found {names[:5]}, expected exactly {_MEMBERS}")
            for info in map(archive.getinfo, wanted):
                if info.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(
                        f"'{info.filename}' is compressed, expected stored without compression"
                    )
                if info.file_size > file.stat().st_size:
                    raise ValueError(f"'{info.filename}' claims {info.file_size} bytes")
            return [archive.read(name) for name in wanted]  # checks the CRC
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError) as error:
        raise _damaged(file, error) from error


def _described(path: object, data: bytes) -> dict[str, Any]:
    """The description, if it is from this version and every value has its type."""
    try:
        settings = parse_json(data)
    except ValueError as error:
        raise _damaged(path, f"'{_SETTINGS}' is not JSON ({error})") from error
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        raise _damaged(path, f"'{_SETTINGS}' does not describe a model")
    if settings.get("version") != VERSION:
        raise ModelError(
            f"{path}: found a model file of version {settings.get('version')!r}, but this "
            f"release reads {VERSION}; update Semisonic"
        )
    types = _TYPES.get(str(settings.get("kind")), {"kind": ()})
    wrong = [name for name, kind in types.items() if not isinstance(settings.get(name), kind)]
    if wrong or not all(isinstance(name, str) for name in settings.get("classes", [])):
        raise _damaged(path, f"'{_SETTINGS}' has no usable '{(*wrong, 'classes')[0]}'")
    return settings


def write_card(model: SoundModel | PretrainedEncoder, about: Mapping[str, Any]) -> str:
    """The model card as Markdown: what to know before using a model file.

    Parameters
    ----------
    model : SoundModel or PretrainedEncoder
    about : mapping
        Its provenance.
    """
    from jinja2 import Environment

    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    # one line, cut where it is longer than people read (lists of hashes)
    environment.filters["plain"] = lambda x: shorten(str(x), 300, placeholder=" ...")
    template = environment.from_string((files(__package__) / "card.md.j2").read_text("utf-8"))
    is_encoder = type(model) is PretrainedEncoder
    return template.render(
        title="Sound classifier" if isinstance(model, SoundModel) else "Pre-trained encoder",
        model=model,
        n_parameters=count_parameters(model),
        macs=macs_text(count_macs(model.encoder if is_encoder else model, model.mel.shape)),
        mel=model.mel,
        decision=model.decision if isinstance(model, SoundModel) else None,
        licence=about.get(LICENCE, ""),
        published=published_in(about),
        about=dict(_about_texts(about)),
        has_options="options" in about,
    )


def _about_texts(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The provenance in words, without options and hashes."""
    for name, value in about.items():
        if not isinstance(value, Mapping):
            if name != LICENCE and value not in (None, "", []):
                yield name.replace("_", " "), str(value)
        elif {"clips", "data"} <= set(value):
            files = f" in {count_text(n, 'file')}" if (n := value.get("recordings")) else ""
            yield (
                name.replace("_", " "),
                f"{count_text(value['clips'], 'clip')}{files} of '{value['data']}'",
            )
        elif name != "options":
            plain = {key: x for key, x in value.items() if isinstance(x, (int, float, str))}
            text = ", ".join(f"{key.replace('_', ' ')} {x}" for key, x in plain.items() if x != "")
            if text:
                yield name.replace("_", " "), text


def save(
    path: str | os.PathLike[str], model: SoundModel, *, about: Mapping[str, Any] | None = None
) -> None:
    """Write a classifier to one file, atomically.

    Parameters
    ----------
    path : path
    model : SoundModel
    about : mapping or None
        Its provenance: data, seed, commit, accuracy …; text, numbers, lists, mappings.

    Raises
    ------
    ModelError
        For weights that are not finite or an ``about`` that JSON cannot hold.
    """
    settings = {
        **_settings("classifier", model, about),
        "classes": list(model.classes),
        "multi_label": model.multi_label,
        "dropout": model.dropout,
        **({} if model.event_layer is None else {_EVENTS: True}),
    }
    weights = dict(model.state_dict())
    if not model.decision.is_empty:
        settings["decision"] = model.decision.to_dict()
        tables = model.decision.tensors()
        weights |= {_OF_DECISION + name: torch.from_numpy(x) for name, x in tables.items()}
    write(path, settings, weights, write_card(model, settings["about"]))


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> SoundModel:
    """Read a classifier; it gives the scores of the saved one.

    Parameters
    ----------
    path : path
    device : str or torch.device

    Returns
    -------
    SoundModel
        In evaluation mode, on the device.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, hostile, of another kind or another release.
    """
    settings, weights = read(path)
    if settings["kind"] in ENCODERS:
        raise ModelError(
            f"{path}: found an encoder, which cannot name sounds yet, expected a classifier; "
            f"train one from it: semisonic train DATA --encoder {path}"
        )
    names = [name for name in weights if name.startswith(_OF_DECISION)]
    tables = {name.removeprefix(_OF_DECISION): weights.pop(name).numpy() for name in names}
    with _building(path, settings):
        frontend = _frontend(settings)
        model = SoundModel(
            frontend,
            create(settings["model"], frontend.options.shape),
            settings["classes"],
            multi_label=settings["multi_label"],
            dropout=settings["dropout"],
        )
        if settings.get(_EVENTS):
            model.event_layer = new_event_layer(model)
    _fill(path, model, weights)
    if tables or "decision" in settings:
        sizes = model.statistics.out_features, model.neck.out_features
        try:
            model.decision = Decision.from_dict(
                settings.get("decision"), tables, model.classes, *sizes
            )
        except ModelError as error:
            raise ModelError(
                f"{path}: cannot use the calibration and thresholds: {error}"
            ) from error
    return model.to(device)


def save_encoder(
    path: str | os.PathLike[str],
    pretrained: PretrainedEncoder,
    *,
    about: Mapping[str, Any] | None = None,
    bf16: bool = False,
) -> None:
    """Write a pre-trained encoder with its front end to one file, atomically.

    Parameters
    ----------
    path : path
    pretrained : PretrainedEncoder
        An :class:`AutoEncoder` is saved with its decoder.
    about : mapping or None
        Its provenance; published weights that it started from are added.
    bf16 : bool
        Store the weights as bfloat16, see :func:`write`.

    Raises
    ------
    ModelError
        For weights that are not finite.
    """
    if pretrained.published:
        about = {**(about or {}), PUBLISHED_WEIGHTS: dict(pretrained.published)}
    settings = _settings("encoder", pretrained, about)
    if pretrained.neck is not None:
        settings["neck"] = True
    if isinstance(pretrained, AutoEncoder):
        settings |= {"kind": "autoencoder", "decoder": pretrained.decoder_name}
    card = write_card(pretrained, settings["about"])
    write(path, settings, pretrained.state_dict(), card, bf16=bf16)


def load_encoder(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> PretrainedEncoder:
    """Read a pre-trained encoder.

    Parameters
    ----------
    path : path
    device : str or torch.device

    Returns
    -------
    PretrainedEncoder
        In evaluation mode, on the device; an :class:`AutoEncoder` if it was one.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, hostile, of another kind or another release.
    """
    settings, weights = read(path)
    if settings["kind"] not in ENCODERS:
        raise ModelError(f"{path}: found a classifier, expected an encoder")
    with _building(path, settings):
        frontend = _frontend(settings)
        body = create(settings["model"], frontend.options.shape)
        pretrained = PretrainedEncoder(body.encoder, frontend, body.name)
        if settings["kind"] == "autoencoder":
            decoder = settings["decoder"]
            pretrained = AutoEncoder(body.encoder, frontend, body.name, decoder=decoder)
        if settings.get("neck") is True:
            pretrained.neck = body.neck
    pretrained.published = published_in(settings["about"])
    return _fill(path, pretrained, weights).to(device)


def published_in(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """The published weights in a provenance; empty if there are none."""
    origin = about.get(PUBLISHED_WEIGHTS)
    return origin if isinstance(origin, Mapping) else {}


def _settings(
    kind: str, model: SoundModel | PretrainedEncoder, about: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The entries of the description of every kind."""
    place = defined_in(model.name)
    return {
        "kind": kind,
        "model": model.name,
        **({} if place is None else {"defined_in": place}),
        "features": to_dict(model.mel),
        "standardize": model.frontend.standardize.kind,
        "about": dict(about or {}),
    }


@contextmanager
def _building(path: object, settings: Mapping[str, Any]) -> Iterator[None]:
    """Build the model that a file describes, without allocating memory for false claims.

    Nothing is imported either, so a file cannot make code run.
    """
    name, place = settings["model"], settings.get("defined_in")
    if isinstance(place, str) and not is_registered(name):
        raise ModelError(
            f"{path}: its network '{name}' is not from Semisonic; it was registered in "
            f"'{place}'. Import that module first (on the command line: --plugin {place}, or the "
            "path of its file)"
            if place
            else f"{path}: its network '{name}' was given as an object, of which the file keeps "
            "only the weights; give one with the same layers: SoundClassifier.load(path, "
            "model=...)"
        )
    try:
        with torch.device("meta"):
            yield
    except (SemisonicError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path}: cannot build a model from the description: {error}") from error


def _frontend(settings: dict[str, Any]) -> Frontend:
    missing = sorted(to_dict(MelOptions()).keys() - settings["features"].keys())
    if missing:
        raise ModelError(f"'features' lacks {', '.join(missing)}")
    return Frontend(from_mapping(MelOptions, settings["features"]), settings["standardize"])


def _fill(path: object, model: M, weights: dict[str, Tensor]) -> M:
    """Load the file's weights into the model, after comparing names, shapes and types."""
    expected = model.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights:
            raise ModelError(f"{path}: the weight '{name}' is missing")
        if name not in expected:
            raise ModelError(f"{path}: contains a weight '{name}' that the model does not have")
        value, needed = weights[name], expected[name]
        if value.shape != needed.shape or value.dtype != needed.dtype:
            raise ModelError(
                f"{path}: the weight '{name}' has shape {tuple(value.shape)} ({value.dtype}), "
                f"expected {tuple(needed.shape)} ({needed.dtype})"
            )
        if name.endswith("standardize.std") and not (value > 0).all():
            raise ModelError(f"{path}: '{name}' contains deviations that are not positive")
    model.load_state_dict(weights, assign=True)
    return model.eval()
