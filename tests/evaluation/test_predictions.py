"""The table of predictions: whole, once each, and the same after writing and reading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.evaluation.predictions import Predictions, top_errors

Maker = Callable[..., Predictions]
ARMS = {"control": 0.5, "treated": 0.7}
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00;"), max_size=12)
"""Labels hold no semicolon: it joins several."""


def same(a: Predictions, b: Predictions) -> bool:
    return (
        a.classes == b.classes
        and a.frame.equals(b.frame)
        and np.array_equal(a.target, b.target)
        and np.array_equal(a.probabilities, b.probabilities)
    )


@pytest.mark.parametrize("name", ["predictions.csv", "deep/predictions.csv.gz"])
def test_reading_gives_back_what_was_written(
    predictions_of: Maker, tmp_path: Path, name: str
) -> None:
    table = predictions_of(ARMS, n_draws=2, settings=("a", "b"))
    again = Predictions.read(table.write(tmp_path / name))
    assert same(table, again)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    classes=st.lists(NAMES, min_size=2, max_size=5, unique=True),
    clips=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    setting=NAMES,
    seed=st.integers(0, 999),
    several=st.booleans(),
)
def test_odd_names_survive_the_file(
    tmp_path: Path, classes: list[str], clips: list[str], setting: str, seed: int, several: bool
) -> None:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, len(classes), len(clips))
    if several:
        target = np.eye(len(classes), dtype=bool)[target]
        target[0] = True
    table = Predictions.of(
        clips,
        target,
        rng.dirichlet(np.ones(len(classes)), len(clips)),
        classes,
        setting=setting,
    )
    assert same(table, Predictions.read(table.write(tmp_path / "p.csv")))


def test_a_file_name_that_is_no_utf_8_survives(tmp_path: Path) -> None:
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    table = Predictions.of([name], [0], [[0.6, 0.4]], ["x", "y"])
    for file in ("p.csv", "p.csv.gz"):
        assert Predictions.read(table.write(tmp_path / file)).clip.tolist() == [name]


def test_a_clip_that_is_not_scored_once_is_named(predictions_of: Maker) -> None:
    table = predictions_of(ARMS, n_draws=3, settings=("a", "b"))
    assert table.check() is table
    table = predictions_of(ARMS)
    with pytest.raises(DataError, match=r"clip-007\.wav' is scored 2 times .*'control'"):
        Predictions.concat([table, table.select(clip="clip-007.wav", arm="control")]).check()
    gone = (table.clip == "clip-003.wav") & (table.arm == "treated")
    with pytest.raises(DataError, match=r"clip-003\.wav' is scored 0 times .*'treated'"):
        table[~gone].check()
    everywhere = table[table.clip != "clip-003.wav"]
    assert everywhere.check() is everywhere


def test_a_clip_whose_target_changes_between_arms_is_named(predictions_of: Maker) -> None:
    table = predictions_of(ARMS)
    table.target[table.arm == "treated"] = 0
    with pytest.raises(DataError, match="expected the same"):
        table.check()


def test_choosing_rows(predictions_of: Maker) -> None:
    table = predictions_of(ARMS, n_draws=2)
    part = table.select(arm="treated", draw=1)
    assert set(part.arm.tolist()) == {"treated"}
    assert len(part) == 80
    with pytest.raises(DataError, match="no row"):
        table.select(arm="nobody")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a table"),
        ("clip,target\n", "not a table"),
        ("HEAD\na,g,1,0,0,s,m,cat,x,1.0\n", "found 'cat'"),
        ("HEAD\na,g,1,0,0,s,m,x,x\n", "not a table"),
        ("HEAD\na,g,one,0,0,s,m,x,x,1.0\n", "'one'"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path, text: str, word: str) -> None:
    head = "clip,group,fold,draw,seed,setting,arm,target,predicted,p:x"
    (tmp_path / "p.csv").write_text(text.replace("HEAD", head), encoding="utf-8")
    with pytest.raises(DataError, match=word):
        Predictions.read(tmp_path / "p.csv")


def test_a_cut_off_zipped_file_is_refused(predictions_of: Maker, tmp_path: Path) -> None:
    path = predictions_of(ARMS).write(tmp_path / "p.csv.gz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read"):
        Predictions.read(path)


@pytest.mark.parametrize(
    ("scores", "target", "word"),
    [
        ([[0.5, np.nan]], [0], "not finite"),
        ([[0.5, 0.2, 0.3]], [0], "shape"),
        ([[0.5, 0.5]], [2], "class 2"),
        ([[0.5, 0.5]], [-1], "the clip has no label"),
        ([[0.5, 0.5]], [0, 1], "rows"),
        ([[0.5, 0.5]], [[0, 0]], "no label"),
    ],
)
def test_rows_that_make_no_sense_are_refused(scores: list, target: list, word: str) -> None:
    with pytest.raises(DataError, match=word):
        Predictions.of(["a"], target, scores, ["x", "y"])


def test_the_surest_mistake_comes_first_and_each_clip_once() -> None:
    first = Predictions.of(
        ["a", "b", "c", "d"],
        [0, 0, 1, 1],
        [[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.7, 0.3]],
        ["x", "y"],
    )
    second = Predictions.of(
        ["d", "c", "b", "a"],
        [1, 1, 0, 0],
        [[0.1, 0.9], [0.8, 0.2], [0.2, 0.8], [0.8, 0.2]],
        ["x", "y"],
        draw=1,
    )
    found = top_errors(Predictions.concat([first, second]))
    assert found["clip"].tolist() == ["b", "c"]
    assert found[["target", "predicted"]].iloc[0].tolist() == ["x", "y"]
    np.testing.assert_allclose(found[["score", "true_score"]].iloc[0], [0.85, 0.15], atol=1e-6)
    assert found[["n_wrong", "n_scored"]].iloc[1].tolist() == [2, 2]
    assert len(top_errors(first, n=1)) == 1
