"""Accuracy from answers that were drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from semisonic.data.clips import Clips
from semisonic.data.events import SegmentKey, segment_key
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.rounds import AccuracyEstimate, accuracy_by_random, random_sample
from semisonic.labeling.sampling import random_order


def pool_of_files(root, n):
    return Clips.from_rows(root, [{"file": f"s/{k:03d}.wav", "end_time": 1.0} for k in range(n)])


def answer(log, pool, rows, why, label="dog"):
    log.extend(
        {"file": str(pool.file[row]), "end_time": 1.0, "labels": label, "source": f"suggest:{why}"}
        for row in rows
    )


def judgements(pool, right):
    return {
        segment_key(file, 0.0, 1.0): (bool(good), group)
        for file, group, good in zip(pool.file.tolist(), pool.group.tolist(), right, strict=True)
    }


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.data())
def test_the_interval_is_that_of_scipy(n, data):
    right = data.draw(st.integers(0, n))
    found = AccuracyEstimate.of([k < right for k in range(n)], [str(k) for k in range(n)])
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.low <= found.accuracy <= found.high
    assert str(AccuracyEstimate.of([], [])) == "unknown"


def test_the_sample_is_the_first_of_the_order_of_chance(tmp_path):
    pool = pool_of_files(tmp_path, 40)
    log = LabelLog(tmp_path / "log" / "labels.jsonl", tmp_path)
    order = random_order(pool, np.arange(40)).tolist()
    # A strategy asked the rows that come third and last at random; then five at random.
    answer(log, pool, [order[2], order[-1]], "uncertain")
    answer(log, pool, [r for r in order if r not in (order[2], order[-1])][:5], "random")
    log.append("s/999.wav", 0, 1, "dog", source="range")
    sample = random_sample(log.answers(), log.root)
    assert sample == {segment_key(str(pool.file[row]), 0.0, 1.0) for row in order[:6]}
    assert random_sample(log.answers()[:2], log.root) == frozenset()


def test_hard_clips_that_were_asked_for_that_reason_do_not_spoil_the_number(tmp_path):
    rng = np.random.default_rng(0)
    pool = pool_of_files(tmp_path, 300)
    right = rng.random(300) < 0.8
    judged = judgements(pool, right)
    log = LabelLog(tmp_path / "labels.jsonl", tmp_path)
    hard = np.flatnonzero(~right)[:40].tolist()
    answer(log, pool, hard, "uncertain")
    free = np.setdiff1d(np.arange(300), hard)
    answer(log, pool, random_order(pool, free)[:100].tolist(), "random")
    found = accuracy_by_random(log, judged)
    assert found.low < right.mean() < found.high
    naive = np.mean([*right[hard], *right[random_order(pool, free)[:100]]])
    assert abs(found.accuracy - right.mean()) < abs(naive - right.mean())


def test_answers_that_are_unsure_or_undone_do_not_count(tmp_path):
    pool = pool_of_files(tmp_path, 10)
    log = LabelLog(tmp_path / "labels.jsonl", tmp_path)
    answer(log, pool, random_order(pool, np.arange(10))[:4].tolist(), "random")
    judged = judgements(pool, [True] * 10)
    assert accuracy_by_random(log, judged) == AccuracyEstimate.of([True] * 4, list("abcd"))
    log.undo(log.entries()[0].id)
    one = log.entries()[1]
    log.append(one.file, 0, 1, "dog", presence="uncertain", source=one.source)
    judged[log.entries()[2].key] = False, "b"
    assert accuracy_by_random(log, judged) == AccuracyEstimate.of([True, False], ["a", "b"])
    assert accuracy_by_random(log, {}).n == 0


def test_segments_of_one_recording_do_not_count_as_many(tmp_path):
    log = LabelLog(tmp_path / "labels.jsonl", tmp_path)
    judged: dict[SegmentKey, tuple[bool, str]] = {}
    for recording in range(10):
        for k in range(12):
            log.append(f"{recording}.wav", k, k + 1.0, "dog", source="suggest:random")
            is_right = recording % 5 > 0  # eight recordings, all segments of each
            judged[segment_key(f"{recording}.wav", k, k + 1.0)] = is_right, f"{recording}"
    found = accuracy_by_random(log, judged)
    assert (found.n, found.n_right, found.n_recordings) == (120, 96, 10)
    alone = AccuracyEstimate.of([True] * 8 + [False] * 2, [str(k) for k in range(10)])
    assert found.low <= alone.low + 0.02
    assert found.high >= alone.high - 0.02
    assert "from 10 recordings" in str(found)
