"""Facts of others: complete, in range, and true to each other."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.evaluation import published


def test_the_paper_s_table_1_and_2() -> None:
    rows = published.STUDIES["cae"].rows
    assert [row.accuracy for row in rows] == [
        *(0.414, 0.502, 0.492, 0.507, 0.474),
        *(0.440, 0.655, 0.507),
        *(0.018, 0.41),
    ]
    assert round((rows[3].accuracy - rows[2].accuracy) * 400) == 6


@pytest.mark.parametrize("row", [r for r in published.ALL if r.folds], ids=lambda r: r.system)
def test_the_mean_of_the_folds_is_the_number_given(row: published.PublishedResult) -> None:
    assert len(row.folds) == (10 if row.data == "UrbanSound8K" else 5)
    assert np.mean(row.folds) == pytest.approx(row.accuracy, abs=0.0006)


def test_every_number_has_a_source_and_a_protocol() -> None:
    for row in (*published.ALL, *published.STUDIES["cae"].rows):
        assert 0 < row.accuracy < 1
        assert row.source in published.SOURCES
        assert row.protocol
    assert len({(r.system, r.data) for r in published.ALL}) == len(published.ALL)


def test_data_sets_are_found_by_any_spelling_lowest_first() -> None:
    rows = published.published_for("esc10")
    assert rows == published.published_for("ESC-10")
    assert [r.accuracy for r in rows] == sorted(r.accuracy for r in rows)
    assert rows[-1].system == "human listeners"
    assert published.published_for("my own birds") == []
