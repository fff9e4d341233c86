"""How a space is written: ranges, lists, and which of several places counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.errors import OptionError
from semisonic.experiments.options import TuneOptions
from semisonic.experiments.recipe import Setting
from semisonic.experiments.tune import dimension, read_space, values_of, with_values

pytest.importorskip("optuna")
RATE = "setting.fit.learning_rate"


@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0), st.booleans())
def test_a_range_reads_as_it_is_written(a, b, log) -> None:
    low, high = sorted((float(f"{a:.3g}"), float(f"{b:.3g}")))
    found = dimension(Setting(), RATE, f"{low!r}..{high!r}" + " log" * log)
    assert (found.distribution.low, found.distribution.high) == (low, high)
    assert found.distribution.log is log
    again = dimension(Setting(), RATE, found.text)
    assert again == found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("setting.model=small,cnn3", ["small", "cnn3"]),
        ("setting.dropout=0.1,0.5", [0.1, 0.5]),
        ("setting.pool=true,false", [True, False]),
        ('setting.segments.copies=[["pitch"], []]', [["pitch"], []]),
        ("setting.model=(4)3c-2p,(8)3c-2p", ["(4)3c-2p", "(8)3c-2p"]),
    ],
)
def test_lists_on_the_command_line(text, values) -> None:
    (found,) = read_space(TuneOptions(recipe="tune-demo", search=(text,))).dimensions
    assert [*found.values.values()] == values


def test_the_papers_grid_is_the_grid_of_its_recipe() -> None:
    target = read_space(TuneOptions(recipe="cae-pretraining"))
    assert {one.name: [*one.values.values()] for one in target.dimensions} == {
        "setting.batch_size": [16, 32, 64],
        "setting.filters": [16, 32, 64],
    }
    points = target.grid()
    assert len(points) == 9 == len({tuple(point.values()) for point in points})


def test_batch_size_is_that_of_both_trainings() -> None:
    target = read_space(TuneOptions(recipe="cae-pretraining"))
    setting = with_values(target.base, {"setting.batch_size": 64, "setting.filters": 16})
    assert setting.fit.batch_size == setting.pretrain.batch_size == 64
    assert setting.architecture == "(16)5c-2p-(16)3c-2p-(16)3c-2p-128fc"
    assert values_of(target.base)["setting.batch_size"] == 32


def test_what_the_command_line_gives_is_the_whole_space() -> None:
    search = ("setting.dropout=0..0.5",)
    (only,) = read_space(TuneOptions(recipe="tune-demo", search=search)).dimensions
    assert (only.name, only.text) == ("setting.dropout", "0..0.5")


def test_a_recipe_without_a_space_asks_for_one() -> None:
    with pytest.raises(OptionError, match="nothing to search"):
        read_space(TuneOptions(recipe="demo"))


def test_of_several_settings_one_is_named() -> None:
    search = ("setting.dropout=0,0.5",)
    with pytest.raises(OptionError, match="expected one to search around; give it with --setting"):
        read_space(TuneOptions(recipe="mel-or-wave", search=search))
    found = read_space(TuneOptions(recipe="mel-or-wave", search=search, setting="cnn3"))
    assert found.base.model == "cnn3"
