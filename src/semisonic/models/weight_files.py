"""Opening weight files that other people published, without running anything in them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semisonic.core.errors import ModelError

# Float weights out of an ONNX file, without the package onnx.
#
# Reads as much of the protobuf as that takes: the graph's nodes (operation, inputs, outputs) and
# its float initialisers, inside the file or in a file beside it. See onnx.proto3 of the ONNX
# project.


FLOAT, EXTERNAL = 1, 1
_PASSES_ON = {"QuantizeLinear", "DequantizeLinear", "Identity"}
Value = int | bytes
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Node:
    """An operation with the names of its inputs and outputs."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in the order they are run, and float initialisers by name."""

    nodes: tuple[Node, ...]
    floats: dict[str, Array]

    def weight(self, name: str) -> Array:
        """The initialiser behind a name, through what merely quantises it.

        Raises
        ------
        ModelError
            When there is no float one.
        """
        makers = {output: node for node in self.nodes for output in node.outputs}
        asked, seen = name, {name}
        while name not in self.floats:
            node = makers.get(name)
            if node is None or node.op not in _PASSES_ON or node.inputs[0] in seen:
                raise ModelError(
                    f"'{asked}' is no float weight of the file; take a file whose weights are "
                    "float32, also if activations are quantised"
                )
            name = node.inputs[0]
            seen.add(name)
        return self.floats[name]


def read_graph(data: bytes, beside: Callable[[str], bytes]) -> Graph:
    """Nodes and float initialisers of an ONNX file.

    Parameters
    ----------
    data : bytes
        The whole file.
    beside : callable
        Gives the bytes of a file beside it by its name, for weights that are stored there.

    Raises
    ------
    ModelError
        For bytes that are no ONNX file, are cut off, or point outside a file.
    """
    try:
        graphs = [value for field, value in _fields(data) if field == 7]
        if len(graphs) != 1:
            raise ValueError(f"found {len(graphs)} graphs, expected one")
        parts = list(_fields(_bytes(graphs[0])))
        nodes = tuple(_node(_bytes(value)) for field, value in parts if field == 1)
        found = (_tensor(_bytes(value), beside) for field, value in parts if field == 5)
        return Graph(nodes, {name: array for name, array in found if array is not None})
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ModelError(f"no ONNX file, or a damaged one: {error}") from error


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Numbers and values of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of wire type {kind}")
        if at + size > len(data):
            raise ValueError(f"a field of {size} bytes where {len(data) - at} are left")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]  # IndexError where the file ends
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value


def _numbers(value: Value) -> list[int]:
    """One number, or several packed together."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _node(data: bytes) -> Node:
    names: dict[int, list[str]] = {1: [], 2: [], 4: []}
    for field, value in _fields(data):
        if field in names:
            names[field].append(_bytes(value).decode())
    return Node("".join(names[4]), tuple(names[1]), tuple(names[2]))


def _tensor(data: bytes, beside: Callable[[str], bytes]) -> tuple[str, Array | None]:
    """Name and values of an initialiser; None for another type than float."""
    dims: list[int] = []
    content, name, kind, where = b"", "", 0, 0
    external: dict[str, str] = {}
    for field, value in _fields(data):
        if field == 1:
            dims += _numbers(value)
        elif field == 2 and isinstance(value, int):
            kind = value
        elif field == 8:
            name = _bytes(value).decode()
        elif field in (4, 9):  # float_data, packed or one by one, or raw_data
            content += _bytes(value)
        elif field == 13:
            entry = {f: _bytes(v).decode() for f, v in _fields(_bytes(value))}
            external[entry.get(1, "")] = entry.get(2, "")
        elif field == 14 and isinstance(value, int):
            where = value
    if kind != FLOAT:
        return name, None
    if where == EXTERNAL:
        whole, start = beside(external.get("location", "")), int(external.get("offset", "0"))
        size = int(external.get("length", str(len(whole) - start)))
        if min(start, size) < 0 or start + size > len(whole):
            raise ValueError(f"'{name}' lies outside '{external.get('location')}'")
        content = whole[start : start + size]
    if len(content) != 4 * int(np.prod(dims, dtype=np.int64)):
        raise ValueError(f"'{name}' has {len(content)} bytes for {dims} numbers")
    return name, np.frombuffer(content, "<f4").reshape(dims).astype(np.float32)


# The tensors of a weight file, each of which is used once or set aside by name.


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


# Opening weight files that other people published, without running anything in them.


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
