"""The file of a model: one zip that holds no code and cannot run any.

Three members, stored without compression: ``model.json`` (what to build), ``weights.
safetensors`` (its numbers) and ``card.md`` (for people). Everything is checked before use:
names, sizes, checksums, types, shapes, finite values. Nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.base.files import replacing

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
            {"format": FORMAT, "version": VERSION, **settings}, indent=2, ensure_ascii=False,
            allow_nan=False,
        )  # fmt: skip
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


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The description alone, checked; the weights are not read.

    Raises
    ------
    ModelError
        For a file that is missing, damaged, or not a model of ours.
    """
    with _opened(Path(path)) as archive:
        return _settings(Path(path), archive)


def read(path: str | os.PathLike[str]) -> Content:
    """Description and weights, checked; the weights are on the CPU.

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
    found = sorted(archive.namelist())
    if found != sorted(_LIMITS):
        archive.close()
        shown = ", ".join(repr(name) for name in found[:5]) or "nothing"
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
