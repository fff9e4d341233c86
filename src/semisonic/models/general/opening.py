"""Opening weight files that other people published, without running anything in them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.models.general.onnx import Graph, read_graph

MOST_BYTES = 2 << 30
ONNX = ".onnx"


def open_onnx(path: Path) -> Graph:
    """The graph of an ONNX file, or of the only one inside a zip or a wheel.

    A zip inside the zip is looked into as well.

    Raises
    ------
    ModelError
        When there is none, or it is damaged.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _in_zip(path, archive, deeper=True)

        @cache
        def beside(name: str) -> bytes:
            return (path.parent / _plain(name)).read_bytes()

        return read_graph(path.read_bytes(), beside)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error


def _in_zip(path: Path, archive: zipfile.ZipFile, *, deeper: bool) -> Graph:
    names = [info.filename for info in archive.infolist() if info.file_size <= MOST_BYTES]
    found = [name for name in names if name.endswith(ONNX)]
    inner = [name for name in names if name.endswith(".zip")]
    if deeper and not found and len(inner) == 1:
        with zipfile.ZipFile(io.BytesIO(archive.read(inner[0]))) as nested:
            return _in_zip(path, nested, deeper=False)
    if len(found) != 1:
        raise ModelError(f"found {len(found)} files *{ONNX} in it, expected one")

    @cache
    def beside(name: str) -> bytes:
        place = found[0].rpartition("/")[0]
        full = f"{place}/{_plain(name)}" if place else _plain(name)
        if full not in names:
            raise ModelError(f"the weights are in '{full}', which is missing")
        return archive.read(full)

    return read_graph(archive.read(found[0]), beside)


def _plain(name: str) -> str:
    """The name of a file in the same folder; anything else is refused."""
    if not name or "/" in name or "\\" in name or name in (".", ".."):
        raise ModelError(f"the weights are said to be in '{name}', which is no plain file name")
    return name


def open_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights in a file of ``torch.save``, read as data only.

    They may be alone or under "model" or "state_dict". Arrays of numpy, such as the state of a
    sampler beside the weights, are data and understood; any other object is refused, since
    making it would run code that the file names.

    Raises
    ------
    ModelError
        When the file is damaged, needs other objects than tensors, or holds no weights.
    """
    try:
        with torch.serialization.safe_globals(_arrays()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).partition("WeightsUnpickler error:")[2] or str(error)
        raise ModelError(
            f"{path}: damaged, or holds objects other than tensors, which are not made since that "
            f"could run code of whoever wrote the file ({' '.join(first.split())[:160]}). Take "
            "the published file of weights, or save its state_dict alone"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: no checkpoint of torch, or a damaged one: {error}") from error
    for name in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path}: found {type(content).__name__}, expected names and tensors")
    odd = [str(k) for k, v in content.items() if not isinstance(v, Tensor)]
    if odd:
        raise ModelError(f"{path}: '{odd[0]}' is no tensor; expected names and tensors")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _arrays() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What arrays of numpy are made by, under the names of numpy 1 and 2."""
    rebuild: Any = np.empty(0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = (np.bool_, np.int32, np.int64, np.uint32, np.float32, np.float64)
    plain: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [np.ndarray, np.dtype]
    plain += [type(np.dtype(kind)) for kind in kinds]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        plain += [(rebuild, f"{module}._reconstruct"), (scalar, f"{module}.scalar")]
    return plain
