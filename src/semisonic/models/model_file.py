"""Model files: classifiers and encoders saved as a zip that holds no code and cannot run any.

Three members, stored without compression: ``model.json`` (what to build), ``weights.
safetensors`` (its numbers) and ``card.md`` (for people). Everything is checked before use:
names, sizes, checksums, types, shapes, finite values. Nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from semisonic.core.errors import ModelError, SemisonicError
from semisonic.core.files import replacing
from semisonic.core.options import from_mapping, to_dict
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.decision import Decision
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder
from semisonic.models.registry import create, defined_in, is_registered
from semisonic.models.simple import SimpleHead
from semisonic.models.sound_model import SoundModel

FORMAT = "semisonic-model"
VERSION = 1
DECISION = "decision"

_SETTINGS, _WEIGHTS, _CARD = "model.json", "weights.safetensors", "card.md"
_LIMITS = {_SETTINGS: 8 << 20, _WEIGHTS: 2 << 30, _CARD: 8 << 20}  # bytes
_DTYPES = {torch.float32, torch.float64, torch.int64, torch.bool}
"""Double precision is for simple classifiers, which were fitted in it."""


@dataclass(frozen=True)
class Content:
    """What a model file holds."""

    settings: dict[str, Any]
    weights: dict[str, Tensor]


def write(
    path: str | os.PathLike[str], settings: dict[str, Any], state: dict[str, Tensor], card: str
) -> None:
    """Write a model file; the same content gives the same bytes.

    Parameters
    ----------
    path : path
    settings : dict
        The description, what JSON can hold.
    state : dict of str to Tensor
        The weights by name.
    card : str
        Markdown for people.

    Raises
    ------
    ModelError
        For weights that are not finite, or settings that JSON cannot hold.
    """
    weights = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()
    }
    _check_values(Path(path), weights)
    try:
        text = json.dumps(
            {"format": FORMAT, "version": VERSION, **settings},
            indent=2,
            ensure_ascii=False,
            allow_nan=False,
        )
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: the model's description cannot be written as JSON ({error}); 'about' may "
            "hold text, finite numbers, true, false, none, lists and mappings"
        ) from error
    members = {
        _SETTINGS: text.encode(),
        _CARD: card.encode(),
        _WEIGHTS: safetensors.torch.save(weights),
    }
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The description alone, checked; the weights are not read.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, or not a model of ours.
    """
    with _opened(Path(path)) as archive:
        return _settings(Path(path), archive)


def read(path: str | os.PathLike[str]) -> Content:
    """Description and weights of a model file, checked.

    Parameters
    ----------
    path : path

    Returns
    -------
    Content
        The weights are on the CPU.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, hostile, or not a model of ours.
    """
    file = Path(path)
    with _opened(file) as archive:
        settings = _settings(file, archive)
        try:
            weights = safetensors.torch.load(_member(file, archive, _WEIGHTS))
        except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
            _damaged(file, f"'{_WEIGHTS}' cannot be read ({error})")
    _check_values(file, weights)
    return Content(settings, weights)


def _damaged(file: Path, what: str) -> NoReturn:
    raise ModelError(f"{file}: damaged or not a model file: {what}. Take a new copy of the file")


def _opened(file: Path) -> zipfile.ZipFile:
    if not file.is_file():
        raise ModelError(f"{file}: no such model file")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        _damaged(file, str(error))
    names = sorted(archive.namelist())
    if names != sorted(_LIMITS):
        archive.close()
        shown = ", ".join(repr(name) for name in names[:5]) or "nothing"
        _damaged(file, f"found {shown}, expected exactly {', '.join(_LIMITS)}")
    return archive


def _member(file: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        _damaged(file, f"'{name}' is compressed, expected stored as it is")
    if info.file_size > _LIMITS[name] or info.file_size > file.stat().st_size:
        _damaged(file, f"'{name}' claims {info.file_size} bytes")
    try:
        return archive.read(name)  # checks the CRC
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        _damaged(file, f"'{name}' cannot be read ({error})")


def _settings(file: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        settings = json.loads(_member(file, archive, _SETTINGS))
    except (ValueError, RecursionError) as error:
        _damaged(file, f"'{_SETTINGS}' is not JSON ({error})")
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        _damaged(file, f"'{_SETTINGS}' does not describe a model of this package")
    version = settings.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ModelError(
            f"{file}: found a model file of version {version!r}, this release reads {VERSION}; "
            "update semisonic"
        )
    return settings


def _check_values(file: Path, weights: dict[str, Tensor]) -> None:
    for name, value in weights.items():
        if value.dtype not in _DTYPES:
            raise ModelError(f"{file}: '{name}' has type {value.dtype}, expected float32")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(
                f"{file}: '{name}' holds values that are not finite; the training must have "
                "diverged, or the file is damaged"
            )


_LONGEST = 300
LICENCE = "licence"
"""The entry of ``about`` that says on what terms a model is given away."""


def write_card(model: SoundModel | PretrainedEncoder, about: Mapping[str, Any]) -> str:
    """The model card: what a person should know before using a model file.

    Parameters
    ----------
    model : SoundModel or PretrainedEncoder
    about : mapping
        What is recorded of where it comes from.

    Returns
    -------
    str
        Markdown.
    """
    frontend = model.frontend
    lines = [f"# {_title(model)}", ""]
    lines += [f"- Network: `{model.name}`"]
    if isinstance(model, AutoEncoder):
        lines += [f"- Decoder: `{model.decoder_name}`"]
    lines += [f"- Parameters: {count_parameters(model):,}"]
    if frontend is not None:
        options = frontend.options
        whole = not isinstance(model, PretrainedEncoder) or isinstance(model, AutoEncoder)
        macs = count_macs(model if whole else model.encoder, options.shape) / 1e6
        lines += [
            f"- Multiply-adds for {options.duration:g} s: {macs:.1f} million",
            f"- Input: mono at {options.sample_rate} Hz, {options.duration:g} s; {options.input} "
            f"{' x '.join(map(str, options.shape))} (channel x mel x frame)",
            f"- Standardisation: {frontend.standardize.kind}"
            + ("" if frontend.standardize.is_fitted else ", **not fitted**"),
        ]
    if isinstance(model, SoundModel):
        kind = "any number per clip" if model.multi_label else "one per clip"
        lines += ["", f"## Classes ({len(model.classes)}, {kind})", ""]
        lines += [", ".join(_plain(name) for name in model.classes)]
        lines += ["", "## Scores", "", *_scores(model)]
    lines += ["", "## Licence", "", *_licence(about)]
    lines += ["", "## About", ""]
    told = {key: value for key, value in about.items() if key != LICENCE}
    lines += [f"- {_plain(key)}: {_plain(value)}" for key, value in told.items()] or [
        "Nothing was recorded."
    ]
    lines += ["", "## Limits", ""]
    if isinstance(model, SoundModel):
        says = (
            "says of a sound that is like none of them that it is unknown, which it cannot always "
            "tell"
            if model.decision.unknown
            else "always ranks them, also for a sound that is none of them"
        )
        lines += [
            f"It knows only the classes above and {says}. Measure it on recordings of the place "
            "where it will be used: other microphones, distances and backgrounds change the "
            "result."
        ]
    else:
        lines += [
            "It does not classify. Its encoder is a start for training a classifier on features "
            "of the same front end."
        ]
    return "\n".join(lines) + "\n"


def _scores(model: SoundModel) -> list[str]:
    """What has become of the scores, and from which on a class is named."""
    decision = model.decision
    if decision.is_empty:
        return ["As the network learned to give them: not calibrated, no thresholds."]
    lines = [f"- Calibration: {decision.calibration.text()}"]
    share = f"{100 * decision.unknown.kept:g}" if decision.unknown else ""
    rules = f"energy, noise ({share} % of known sounds should pass)" if share else "none"
    lines += [f"- Rules for unknown sounds: {rules}"]
    if decision.thresholds:
        lines += ["- Named from a score of:"]
        lines += [f"    - {_plain(k)}: {v:.3f}" for k, v in decision.thresholds.items()]
    lines += [f"- {_plain(k)}: {_plain(v)}" for k, v in decision.note.items()]
    return lines


def _licence(about: Mapping[str, Any]) -> list[str]:
    """The terms of the model, and of what it started from."""
    given = _plain(about.get(LICENCE, ""))
    lines = [given or "None was stated: ask whoever made the model before you pass it on."]
    published = about.get("published_weights")
    if isinstance(published, Mapping) and published.get("licence"):
        lines += ["", f"It starts from published weights: {_plain(published['licence'])}"]
    return lines


def _title(model: SoundModel | PretrainedEncoder) -> str:
    if isinstance(model, SoundModel):
        return "Sound classifier"
    return "Pre-trained auto-encoder" if isinstance(model, AutoEncoder) else "Pre-trained encoder"


def _plain(value: object) -> str:
    """One line of text, cut where it is longer than people read (lists of hashes)."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


M = TypeVar("M", bound=nn.Module)
AUTOENCODER = "autoencoder"
ENCODERS = (AUTOENCODER, "encoder")
_OF_DECISION = f"{DECISION}."
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
        settings[DECISION] = model.decision.to_dict()
        for name, table in model.decision.tensors().items():
            weights[_OF_DECISION + name] = torch.from_numpy(table)
    write(path, settings, weights, write_card(model, about or {}))


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> SoundModel:
    """Read a classifier; its scores are those of the saved one.

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
    content = read(path)
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
    if DECISION in settings:
        model.decision = _decision(path, model, settings[DECISION], tables)
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

    Parameters
    ----------
    path : path
    pretrained : PretrainedEncoder
        An :class:`AutoEncoder` is kept with its decoder.
    about : mapping or None
        Where it comes from; that it began with published weights is added.

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
    write(path, settings, pretrained.state_dict(), card)


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
    content = read(path)
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
    origin = about.get(PUBLISHED_WEIGHTS)
    return origin if isinstance(origin, Mapping) else {}


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
    settings = _read_settings(path)
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
    if not isinstance(place, str) or is_registered(name):
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
    found_kind = settings.get("kind")
    if found_kind != kind:
        if isinstance(found_kind, str) and found_kind in _OTHER_KINDS:
            raise ModelError(f"{path}: {_OTHER_KINDS[found_kind].format(path)}")
        raise ModelError(f"{path}: found a model of unknown kind {found_kind!r}")
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
        return Decision.from_dict(table, arrays, model.classes, model.statistics.out_features)
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
        value, needed = weights[name], expected[name]
        if value.shape != needed.shape or value.dtype != needed.dtype:
            raise ModelError(
                f"{path}: the weight '{name}' has shape {tuple(value.shape)} ({value.dtype}), "
                f"expected {tuple(needed.shape)} ({needed.dtype})"
            )
        if name.endswith("standardize.std") and not (value > 0).all():
            raise ModelError(f"{path}: '{name}' holds deviations that are not positive")
    model.load_state_dict(weights, assign=True)
    return model.eval()
