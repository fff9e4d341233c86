"""The notation: both ways, and errors that point at the place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.errors import ModelError
from semisonic.models.notation import (
    PAPER,
    Architecture,
    Conv,
    Dense,
    GlobalPool,
    Layer,
    MaxPooling,
    parse,
)

sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
convs = st.builds(Conv, st.integers(1, 512), sizes, st.booleans())
pools = st.builds(MaxPooling, sizes, sizes)
denses = st.builds(Dense, st.integers(1, 2000), st.booleans())


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    layers: list[Layer] = draw(st.lists(convs | pools, max_size=6))
    layers.insert(draw(st.integers(0, len(layers))), draw(convs))
    layers += draw(st.sampled_from([[], [GlobalPool()]]))
    layers += draw(st.lists(denses, max_size=3))
    return Architecture(tuple(layers))


@given(architectures())
def test_text_and_architecture_go_both_ways(architecture: Architecture) -> None:
    assert parse(str(architecture)) == architecture


@given(architectures(), st.sampled_from(["-", " - ", "–", " — "]), st.booleans())
def test_loose_writing_means_the_same(
    architecture: Architecture, dash: str, capitals: bool
) -> None:
    text = str(architecture).replace("-", dash)
    assert parse(text.upper() if capitals else text) == architecture


def test_the_paper_is_read_as_it_is_meant() -> None:
    assert parse(PAPER).layers == (
        Conv(64, (5, 5)),
        MaxPooling((2, 2), (2, 2)),
        Conv(64, (3, 3)),
        MaxPooling((2, 2), (2, 2)),
        Conv(64, (3, 3)),
        MaxPooling((2, 2), (2, 2)),
        Dense(128),
    )
    assert str(parse(PAPER)) == PAPER


def test_the_extensions() -> None:
    text = "(8)5x3cbn-2x1p-3p/2-3p/2x1-gp-64fcr-32fc"
    architecture = parse(text)
    assert architecture.layers[:4] == (
        Conv(8, (5, 3), norm=True),
        MaxPooling((2, 1), (2, 1)),
        MaxPooling((3, 3), (2, 2)),
        MaxPooling((3, 3), (2, 1)),
    )
    assert architecture.has_global_pool
    assert architecture.dense == (Dense(64, relu=True), Dense(32))
    assert str(architecture) == text
    assert str(parse("(8)5x5c-2x2p/2")) == "(8)5c-2p"


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 0, "a layer such as"),
        ("(64)5c-", 7, "a layer such as"),
        ("(64)5c--2p", 7, "a layer such as"),
        ("(64)5q-2p", 5, "'c' (convolution)"),
        ("(64 5c", 4, "')'"),
        ("(0)5c", 1, "number of filters from 1 to"),
        ("()5c", 1, "the number of filters"),
        ("(64)5c-5c-2p", 7, "as in '(64)5c'"),
        ("(64)5c-2z", 8, "'p' (max-pool) or 'fc'"),
        ("(64)5c 2p", 7, "'-' and another layer"),
        ("(64)5c-2p/x", 10, "the step of the pool"),
        ("(64)5xc", 6, "along time"),
        ("(64)5c-128fc-2p", 13, "only dense layers"),
        ("(64)5c-gp-2p", 10, "only dense layers"),
        ("(64)5c-gp-gp", 10, "only dense layers"),
        ("2p-128fc", 8, "a convolution"),
        ("(99999999999)5c", 1, "from 1 to 4096"),
        ("(64)5c-0p", 7, "from 1"),
        ("(64)5c-300p", 7, "size of a pool"),
    ],
)
def test_an_error_points_at_the_place(text: str, column: int, expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(text)
    message, shown, mark = str(caught.value).split("\n")
    assert expected in message
    assert shown == f"  {text}"
    assert mark == "  " + " " * column + "^"


def test_a_very_long_text_is_refused() -> None:
    with pytest.raises(ModelError, match="at most"):
        parse("(64)5c-" * 1000)


def test_the_published_class_layer_is_recognised() -> None:
    assert str(parse(PAPER + "-50fc").without_class_layer(50)) == PAPER
    assert str(parse(PAPER).without_class_layer(128)) == PAPER
    hidden = parse("(64)5c-2p-128fcr-64fc")
    assert hidden.without_class_layer(50) == hidden
    with pytest.raises(ModelError, match="there are 10 classes; leave it out"):
        parse(PAPER + "-50fc").without_class_layer(10)


def test_reading_needs_no_torch() -> None:
    code = (
        "import sys; from semisonic.models.notation import parse; parse('(4)3c');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
