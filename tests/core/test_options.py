"""Options are built from mappings and checked: type, choice, range; errors name the place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.errors import OptionError
from semisonic.core.options import check, from_mapping, nearest, option, to_dict, toml_text


@dataclass(frozen=True)
class Inner:
    size: int = option(3, "size", minimum=1, maximum=9)


@dataclass(frozen=True)
class Outer:
    rate: float = option(0.5, "rate", unit="Hz", minimum=0.0)
    kind: str = option("plain", "kind", choices=("plain", "fancy"))
    names: tuple[str, ...] = option((), "names")
    limit: int | None = option(None, "limit", minimum=1)
    flag: bool = option(False, "flag")
    inner: Inner = field(default_factory=Inner)


def test_a_mapping_becomes_options_and_back() -> None:
    options = from_mapping(
        Outer, {"rate": 2, "names": ["a", "b"], "limit": None, "inner": {"size": 4}}
    )
    assert options == Outer(2.0, names=("a", "b"), inner=Inner(4))
    assert from_mapping(Outer, to_dict(options)) == options
    assert isinstance(options.rate, float)


def test_hyphens_are_underscores() -> None:
    @dataclass(frozen=True)
    class Hyphened:
        n_mels: int = option(3, "bands")

    assert from_mapping(Hyphened, {"n-mels": 5}).n_mels == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"raet": 1.0}, "unknown option 'raet': did you mean 'rate'"),
        ({"inner": {"siez": 1}}, r"unknown option 'inner\.siez': did you mean 'size'"),
        ({"inner": {"size": 10}}, r"option 'inner\.size': found 10, expected at most 9"),
        ({"rate": -1.0}, "found -1.0 Hz, expected at least 0.0 Hz"),
        ({"rate": float("nan")}, "found nan"),
        ({"rate": "fast"}, "found 'fast', expected a number"),
        ({"rate": True}, "found True, expected a number"),
        ({"limit": True}, "found True"),
        ({"flag": 1}, "expected true or false"),
        ({"kind": "fance"}, "found 'fance'; did you mean 'fancy'"),
        ({"names": ["a", 1]}, "expected a list of values, each text"),
        ({"inner": 3}, "option 'inner': found 3"),
    ],
)
def test_wrong_values_are_named(values, message) -> None:
    with pytest.raises(OptionError, match=message):
        from_mapping(Outer, values)


def test_the_file_stands_before_the_sentence() -> None:
    with pytest.raises(OptionError, match=r"^r\.toml: unknown option 'setting\.raet'"):
        from_mapping(Outer, {"raet": 1}, "r.toml: setting.")
    with pytest.raises(OptionError, match=r"^r\.toml: option 'setting\.inner\.size': found 0"):
        from_mapping(Outer, {"inner": {"size": 0}}, "r.toml: setting.")


def test_options_made_in_python_are_checked_too() -> None:
    assert check(Outer()) == Outer()
    with pytest.raises(OptionError, match=r"inner\.size"):
        check(Outer(inner=Inner(0)))


def test_nothing_near_lists_all() -> None:
    assert nearest("zzz", ["small", "base"]) == "expected one of: base, small"


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False),
    st.lists(st.integers(0, 9), max_size=3),
    st.lists(TEXT, max_size=3),
)
TABLES = st.recursive(
    st.dictionaries(TEXT, VALUES, max_size=3),
    lambda inner: st.dictionaries(
        TEXT, VALUES | inner | st.lists(inner, min_size=1, max_size=2), max_size=3
    ),
    max_leaves=8,
)


@given(TABLES)
def test_tables_read_back(table) -> None:
    assert tomllib.loads(toml_text(table)) == table
