"""What is written as TOML reads back as it was."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.options import toml_text

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
