"""Groups of classes are bound by name, whatever the order, in both spellings of ESC."""

from __future__ import annotations

from pathlib import Path

import pytest

from semisonic.core.errors import DataError
from semisonic.data.categories import ESC_50, categories_of, esc_name, read_categories


def test_the_five_groups_of_esc_50() -> None:
    names = [name for names in ESC_50.values() for name in names.split(", ")]
    assert len(names) == len(set(names)) == 50
    assert {len(names.split(", ")) for names in ESC_50.values()} == {10}
    found = categories_of([name.replace(" ", "_") for name in reversed(names)])
    assert found is not None
    assert found["clock_alarm"] == "interior"
    assert found["hand_saw"] == "exterior"
    assert found["thunderstorm"] == "natural and water"
    assert next(iter(found)) == "hand_saw"


def test_the_folders_of_esc_10_are_known() -> None:
    found = categories_of(["Baby cry", "Dog bark", "Fire crackling", "Person sneeze"])
    assert found == {
        "Baby cry": "human, not speech",
        "Dog bark": "animals",
        "Fire crackling": "natural and water",
        "Person sneeze": "human, not speech",
    }
    assert esc_name("Baby cry") == "crying baby"


def test_classes_of_other_data_have_no_groups() -> None:
    assert categories_of(["dog", "nightingale"]) is None


def test_given_groups_must_cover_the_classes() -> None:
    given = {"a": "x", "b": "y"}
    assert categories_of(["b", "a"], given) == {"b": "y", "a": "x"}
    with pytest.raises(DataError, match="'c' has no group"):
        categories_of(["a", "b", "c"], given)
    with pytest.raises(DataError, match="'b' is not a class"):
        categories_of(["a"], given)


def test_a_table_of_groups(tmp_path: Path) -> None:
    file = tmp_path / "groups.tsv"
    file.write_text("class\tgroup\na\tx\nb\ty\n", encoding="utf-8")
    assert read_categories(file) == {"a": "x", "b": "y"}
    file.write_text("class\tgroup\na\tx\na\ty\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 3.*one group per class"):
        read_categories(file)
    file.write_text("name\tgroup\na\tx\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected 'class' and 'group'"):
        read_categories(file)
