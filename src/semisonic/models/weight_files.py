"""Opening weight files that other people published, without running anything in them.

ONNX files are read with the package ``onnx`` (extra ``export``), files of ``torch.save`` as data
only.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semisonic.core.errors import ModelError

MOST_BYTES = 2 << 30
ONNX = ".onnx"
_QUANTISED = {"QuantizeLinear", "DequantizeLinear", "Identity"}
"""Operations whose first input is the weight that their output stands for."""
Array = NDArray[np.float32]


@dataclass(frozen=True)
class OnnxGraph:
    """The operations of an ONNX file in the order they are run, and its float weights by name."""

    nodes: Sequence[Any]
    weights: dict[str, Array]

    def weight(self, name: str) -> Array:
        """The float weight behind a name, through what merely quantises it.

        Raises
        ------
        ModelError
            When there is none.
        """
        makers = {output: node for node in self.nodes for output in node.output}
        asked, seen = name, {name}
        while name not in self.weights:
            node = makers.get(name)
            if node is None or node.op_type not in _QUANTISED or node.input[0] in seen:
                raise ModelError(
                    f"'{asked}' is no float weight of the file; take a file whose weights are "
                    "float32, also if activations are quantised"
                )
            name = node.input[0]
            seen.add(name)
        return self.weights[name]


def read_graph(data: bytes, beside: Callable[[str], bytes]) -> OnnxGraph:
    """Operations and float weights of an ONNX file.

    Parameters
    ----------
    data : bytes
        The whole file.
    beside : callable
        Gives the bytes of a file beside it by its name, for weights that are stored there.

    Raises
    ------
    ModelError
        For bytes that are no ONNX file, are cut off, or point outside a file, or where the
        package ``onnx`` is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ModelError(
            "ONNX files are read with the package onnx, which is missing; install it: "
            "pip install 'semisonic[export]'"
        ) from error
    try:
        graph = onnx.load_model_from_string(data).graph
        if not graph.node and not graph.initializer:
            raise ValueError("found no graph")
        floats = [one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
        for one in floats:
            _bring_inside(one, beside)
        weights = {one.name: onnx.numpy_helper.to_array(one).copy() for one in floats}
    except (ValueError, TypeError, OverflowError, DecodeError) as error:
        raise ModelError(f"no ONNX file, or a damaged one: {error}") from error
    return OnnxGraph(graph.node, weights)


def _bring_inside(tensor: Any, beside: Callable[[str], bytes]) -> None:
    """Give a tensor the numbers that lie in another file, and see that none is missing."""
    if tensor.data_location == tensor.EXTERNAL:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name = entries.get("location", "")
        whole, start = beside(name), int(entries.get("offset", "0"))
        size = int(entries.get("length", str(len(whole) - start)))
        if min(start, size) < 0 or start + size > len(whole):
            raise ValueError(f"'{tensor.name}' lies outside '{name}'")
        tensor.raw_data = whole[start : start + size]
        tensor.data_location = tensor.DEFAULT
    n_bytes = len(tensor.raw_data) or 4 * len(tensor.float_data)
    if n_bytes != 4 * int(np.prod(tensor.dims, dtype=np.int64)):
        raise ValueError(f"'{tensor.name}' has {n_bytes} bytes for {list(tensor.dims)} numbers")


class WeightTensors:
    """Tensors by the names that their authors gave them.

    Parameters
    ----------
    path : object
        For messages.
    tensors : mapping of str to Tensor
    """

    def __init__(self, path: object, tensors: Mapping[str, Tensor]) -> None:
        self.path = path
        self._left = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor as float32, which is then used up.

        Raises
        ------
        ModelError
            When there is none, or it has another shape.
        """
        if name not in self._left:
            raise ModelError(
                f"{self.path}: the tensor '{name}' is missing; is it the file of another network?"
            )
        tensor = self._left.pop(name)
        if tuple(tensor.shape) != shape:
            raise ModelError(
                f"{self.path}: the tensor '{name}' has shape {tuple(tensor.shape)}, expected "
                f"{shape}; is it the file of another network?"
            )
        return tensor.detach().float()

    def count(self, name: str) -> Tensor:
        """A counter of batches, zero where the file has none."""
        return self._left.pop(name, torch.tensor(0)).long().reshape(())

    def finish(self) -> None:
        """See that nothing is left.

        Raises
        ------
        ModelError
            With the names of what was not used.
        """
        if self._left:
            names = sorted(self._left)
            shown = ", ".join(f"'{name}'" for name in names[:4])
            raise ModelError(
                f"{self.path}: {len(names)} tensors have no place in this network ({shown}"
                f"{', ...' if len(names) > 4 else ''}); is it the file of another one?"
            )


def open_onnx(path: Path) -> OnnxGraph:
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


def _in_zip(path: Path, archive: zipfile.ZipFile, *, deeper: bool) -> OnnxGraph:
    names = [info.filename for info in archive.infolist() if info.file_size <= MOST_BYTES]
    onnx_files = [name for name in names if name.endswith(ONNX)]
    inner = [name for name in names if name.endswith(".zip")]
    if deeper and not onnx_files and len(inner) == 1:
        with zipfile.ZipFile(io.BytesIO(archive.read(inner[0]))) as nested:
            return _in_zip(path, nested, deeper=False)
    if len(onnx_files) != 1:
        raise ModelError(f"found {len(onnx_files)} files *{ONNX} in it, expected one")

    @cache
    def beside(name: str) -> bytes:
        place = onnx_files[0].rpartition("/")[0]
        full = f"{place}/{_plain(name)}" if place else _plain(name)
        if full not in names:
            raise ModelError(f"the weights are in '{full}', which is missing")
        return archive.read(full)

    return read_graph(archive.read(onnx_files[0]), beside)


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
