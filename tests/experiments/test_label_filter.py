"""Which unchecked labels a model's answers keep."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from semisonic.experiments.stages import filter_labels, read_decisions

CLASSES = tuple("abcdefgh")


def decide(n: int = 40, **rule: float):
    rng = np.random.default_rng(0)
    scores = rng.random((n, 8))
    labels = [tuple(rng.choice(CLASSES, 1 + i % 2, replace=False)) for i in range(n)]
    clips = [f'{i}, "x"\n.wav' for i in range(n)]  # names that a careless table would break
    return clips, labels, scores, filter_labels(clips, labels, scores, CLASSES, **rule)


@pytest.mark.parametrize("k", [1, 5, 8])
def test_a_label_is_kept_when_it_is_among_the_best(k) -> None:
    """With k = 5 the published rule."""
    clips, labels, scores, found = decide(top_k=k)
    assert len(found) == sum(map(len, labels))
    kept = found[found["kept"]].groupby("clip")["label"].agg(set)
    for clip, names, row in zip(clips, labels, scores, strict=True):
        best = {CLASSES[i] for i in np.argsort(-row)[:k]}
        assert kept.get(clip, set()) == set(names) & best
    assert (k == 8) == found["kept"].all()


def test_the_threshold_keeps_fewer_labels_the_higher_it_is() -> None:
    kept = []
    for threshold in (0.01, 0.3, 0.6, 0.9, 1.0):
        *_, found = decide(top_k=0, threshold=threshold)
        kept.append({(one.clip, one.label) for one in found.itertuples() if one.kept})
        assert (found["kept"] == (found["score"] >= threshold)).all()
    for more, fewer in itertools.pairwise(kept):
        assert more > fewer


def test_both_rules_must_agree_and_every_decision_reads_back_equal(tmp_path) -> None:
    *_, found = decide(top_k=3, threshold=0.8)
    assert set(found["kept"]) == {True, False}
    assert (found["kept"] == ((found["rank"] <= 3) & (found["score"] >= 0.8))).all()
    assert found["reason"].all()
    found.to_csv(tmp_path / "decisions.csv", index=False)
    pd.testing.assert_frame_equal(read_decisions(tmp_path / "decisions.csv"), found)


def test_equal_scores_are_ranked_by_class_number() -> None:
    found = filter_labels(["x"], [("a", "h")], np.full((1, 8), 0.5), CLASSES, top_k=1)
    assert found["kept"].tolist() == [True, False]
