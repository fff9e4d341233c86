"""Reading float weights out of ONNX bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx_bytes import field, model, node, tensor

from semisonic.core.errors import ModelError
from semisonic.models.weight_files import open_onnx, read_graph

pytest.importorskip("onnx")

ARRAY = np.arange(300, dtype=np.float32).reshape(3, 100) / 7


def nothing(name: str) -> bytes:
    raise AssertionError(f"no file '{name}' is needed")


@pytest.mark.parametrize("how", ["raw", "floats", "single"])
def test_numbers_are_read_however_they_are_stored(how: str) -> None:
    graph = read_graph(model([], [tensor("w", ARRAY, how=how)]), nothing)
    assert graph.weights["w"].dtype == np.float32
    np.testing.assert_array_equal(graph.weights["w"], ARRAY)


def test_a_scalar_has_no_dimension_and_other_types_are_left_out() -> None:
    scalar = tensor("s", np.array(2.5, np.float32))
    other = tensor("zero", np.zeros(1, np.float32), kind=3)
    graph = read_graph(model([], [scalar, other]), nothing)
    assert graph.weights.keys() == {"s"}
    assert graph.weights["s"].shape == ()
    assert graph.weights["s"] == 2.5


def test_nodes_keep_their_order_and_names() -> None:
    graph = read_graph(
        model([node("Conv", ["x", "w"], ["y"]), node("Relu", ["y"], ["z"])], []), nothing
    )
    assert [(n.op_type, tuple(n.input), tuple(n.output)) for n in graph.nodes] == [
        ("Conv", ("x", "w"), ("y",)),
        ("Relu", ("y",), ("z",)),
    ]


def test_a_weight_is_found_behind_its_quantisation_but_not_when_it_is_computed() -> None:
    nodes = [
        node("QuantizeLinear", ["w", "s"], ["q"]),
        node("DequantizeLinear", ["q", "s"], ["d"]),
        node("Add", ["w", "w"], ["sum"]),
        node("Identity", ["loop"], ["loop"]),
    ]
    graph = read_graph(model(nodes, [tensor("w", ARRAY)]), nothing)
    np.testing.assert_array_equal(graph.weight("d"), ARRAY)
    for name in ("sum", "loop", "nowhere"):
        with pytest.raises(ModelError, match="float32"):
            graph.weight(name)


def external(**entries: str) -> bytes:
    return model([], [tensor("w", ARRAY, how="external", external=entries)])


def test_weights_in_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(b"1234" + ARRAY.tobytes() + b"more")
    file = tmp_path / "net.onnx"
    file.write_bytes(external(location="w.data", offset="4", length=str(ARRAY.nbytes)))
    np.testing.assert_array_equal(open_onnx(file).weights["w"], ARRAY)
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        archive.write(file, "job/net.onnx")
        archive.write(tmp_path / "w.data", "job/w.data")
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.write(tmp_path / "inner.zip", "package/data/inner.zip")
        archive.writestr("package/code.py", "")
    for name in ("inner.zip", "a.whl"):
        np.testing.assert_array_equal(open_onnx(tmp_path / name).weights["w"], ARRAY)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"location": "../w.data"}, "plain file name"),
        ({"location": "w.data", "offset": "4", "length": "99999"}, "lies outside"),
        ({"location": "w.data", "offset": "-4"}, "lies outside"),
        ({"location": "gone.data"}, "gone.data"),
        ({"location": "w.data", "length": "12"}, "12 bytes"),
    ],
)
def test_weights_outside_their_file_are_refused(
    tmp_path: Path, entries: dict[str, str], said: str
) -> None:
    (tmp_path / "w.data").write_bytes(ARRAY.tobytes())
    (tmp_path / "net.onnx").write_bytes(external(**entries))
    with pytest.raises(ModelError, match=said):
        open_onnx(tmp_path / "net.onnx")


WHOLE = model([node("Conv", ["x", "w"], ["y"])], [tensor("w", ARRAY)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a protobuf at all",
        b"\xff" * 40,
        WHOLE[:200],
        field(7, b"\x0a"),  # a graph that ends in the middle
        field(7, 5),
        field(1, 8) + field(7, b"") + field(7, b""),
        model([], [tensor("w", ARRAY)[:-3]]),
    ],
)
def test_damaged_files_are_a_clear_error(data: bytes) -> None:
    with pytest.raises(ModelError, match="damaged"):
        read_graph(data, nothing)


def test_a_zip_without_a_network_is_a_clear_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(ModelError, match="found 0 files"):
        open_onnx(tmp_path / "a.zip")
