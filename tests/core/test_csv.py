"""CSV of ours: no cell is a formula to a spreadsheet, and every cell is read back."""

from __future__ import annotations

import csv

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisonic.core.files import read_csv, write_csv
from semisonic.data.tables import read_table

CELLS = st.text(
    st.one_of(
        st.sampled_from("=+-@'\t;,\"1. "), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cells=st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_every_text_comes_back_and_none_is_a_formula(tmp_path, cells) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["a", "b"], cells)
    assert [(row["a"], row["b"]) for row in read_csv(path)] == cells
    with path.open(newline="", encoding="utf-8") as stream:
        _, *raw = csv.reader(stream)
    for cell in (cell for row in raw for cell in row):
        if cell[:1] in ("=", "@", "\t", "\r"):
            raise AssertionError(cell)
        if cell[:1] in ("+", "-"):
            float(cell)


def test_numbers_stay_numbers(tmp_path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["a"], [[-1.5], ["-1.500"], [-3], ["+2e-05"], ["-.5"]])
    assert path.read_text() == "a\n-1.5\n-1.500\n-3\n+2e-05\n-.5\n"


def test_headings_and_cells_come_back_through_the_reader_of_tables(tmp_path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["file", "=label"], [["-a.wav", "@b"], ["'c.wav", "-0.5"]])
    table = read_table(path)
    assert table.names == ("file", "=label")
    assert [row.cells for row in table.rows] == [("-a.wav", "@b"), ("'c.wav", "-0.5")]
