"""Clips with several labels: their table, and the comparison of two ways to score them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import compare_tags, tag_arm
from semisonic.evaluation.metrics import label_precisions
from semisonic.evaluation.predictions import TagScores

CLASSES = ("a", "b,c", 'd"e', "f", "g")


def table(seed: int = 0, skill: float = 0.0, *, n: int = 60, fold: int = 1, draw: int = 0):
    rng = np.random.default_rng(fold)  # the clips are those of the fold, whatever the seed
    targets = rng.random((n, 5)) < 0.3
    targets[np.arange(n), rng.integers(5, size=n)] = True
    scores = np.random.default_rng(seed).random((n, 5)) + skill * targets
    names = [f"{fold}-{i:02d}.wav" for i in rng.permutation(n)]
    groups = [name[:3] for name in names]
    return TagScores.of(names, targets, scores, CLASSES, group=groups, fold=fold, draw=draw)


def tables(skill: float, n_draws: int = 3) -> list[TagScores]:
    return [
        table(100 * draw + fold, skill, fold=fold, draw=draw)
        for draw in range(n_draws)
        for fold in (1, 2)
    ]


def test_lwlrap_is_the_mean_of_its_parts_and_that_of_scikit_learn() -> None:
    one = table(3, 0.2)
    expected = label_ranking_average_precision_score(
        one.targets, one.scores, sample_weight=one.targets.sum(axis=1)
    )
    assert one.lwlrap == pytest.approx(expected, abs=1e-9)
    parts = label_precisions(one.targets, one.scores)
    assert parts.shape == (one.targets.sum(),)
    first = label_precisions(one.targets[:1], one.scores[:1])
    np.testing.assert_array_equal(parts[: len(first)], first)


def test_a_table_reads_back_equal(tmp_path: Path) -> None:
    one = table(1, 0.1, fold=4, draw=2)
    again = TagScores.read(one.write(tmp_path / "x.csv.gz"), fold=4, draw=2)
    for name in ("clip", "group", "targets", "scores"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
    assert (again.classes, again.fold, again.draw) == (CLASSES, 4, 2)


def test_another_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_text("clip,group")
    with pytest.raises(DataError, match=r"x\.csv\.gz"):
        TagScores.read(tmp_path / "x.csv.gz")


def test_a_large_gain_is_shown_and_none_is_not() -> None:
    weak, strong, same = tables(0.2), tables(0.9), tables(0.2)
    gain = compare_tags("weak", weak, "strong", strong)
    by_hand = np.mean([np.mean([b.values.mean() for b in strong[i : i + 2]]) for i in (0, 2, 4)])
    assert gain.b.mean == pytest.approx(by_hand, abs=0.01), "folds have nearly as many labels"
    assert gain.difference == pytest.approx(gain.b.mean - gain.a.mean)
    assert gain.is_shown
    assert gain.outcome == "better"
    assert "points" in gain.verdict()
    nothing = compare_tags("weak", weak, "same", same)
    assert nothing.difference == 0
    assert nothing.outcome == "open"
    assert nothing.to_dict()["p_mcnemar"] is None


def test_the_sign_follows_the_order() -> None:
    one = compare_tags("strong", tables(0.9), "weak", tables(0.2))
    assert one.outcome == "worse"
    assert one.interval.high < 0


def test_clips_of_one_recording_count_together() -> None:
    """The interval is wider when whole recordings are drawn."""
    together = tables(0.4, 1)
    alone = [TagScores(t.clip, t.clip, t.targets, t.scores, CLASSES, t.fold) for t in together]
    # All clips of a recording alike: copies of the first.
    for group in np.unique(together[0].group):
        rows = np.flatnonzero(together[0].group == group)
        for one in (together[0], alone[0]):
            one.targets[rows], one.scores[rows] = one.targets[rows[0]], one.scores[rows[0]]
    wide, narrow = tag_arm("x", together[:1]).interval, tag_arm("x", alone[:1]).interval
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_other_clips_are_not_compared() -> None:
    with pytest.raises(DataError, match="same clips"):
        compare_tags("a", tables(0.1), "b", [table(fold=k) for k in (1, 3)])
    with pytest.raises(DataError, match="same clips"):
        compare_tags("a", tables(0.1), "b", tables(0.1, 2))


def test_a_clip_in_two_folds_of_a_draw_is_refused() -> None:
    again = table(5, fold=1)
    twice = [again, TagScores(again.clip, again.group, again.targets, again.scores, CLASSES, 2)]
    with pytest.raises(DataError, match="two folds"):
        tag_arm("x", twice)


def test_a_clip_without_a_label_or_twice_is_refused() -> None:
    with pytest.raises(DataError, match="no label"):
        TagScores.of(["x"], [[0, 0]], [[0.1, 0.2]], "ab", group=["x"])
    with pytest.raises(DataError, match="twice"):
        TagScores.of(["x", "x"], [[0, 1]] * 2, [[0.1, 0.2]] * 2, "ab", group=["x"] * 2)
