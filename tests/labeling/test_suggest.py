"""Queues from a pool: what is asked, in which order, and how they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from labeling_sounds import KINDS, MEL

import semisonic
from semisonic.core.errors import DataError, OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.labeling.embed import embed
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.queue import Queue
from semisonic.labeling.suggest import candidate_pool, choose, suggest
from semisonic.models.model_file import save
from semisonic.models.sound_model import build


@pytest.fixture
def pool(model, kinds, tmp_path):
    """18 recordings with the scores of a model that nobody trained."""
    return candidate_pool(model, embed(model, kinds, tmp_path / "index"), tmp_path / "more")


def test_a_queue_asks_nothing_twice_and_names_real_segments(pool, kinds):
    for strategy in ("mix", "random", "uncertain", "typical"):
        queue = choose(pool, 10, strategy)
        assert len({(row.file, row.start_time) for row in queue}) == len(queue) == 10
        for row in queue:
            assert queue.path_of(row).resolve().is_relative_to(kinds.resolve())
            assert row.end_time == pytest.approx(0.5)
            assert [name for name, _ in row.predictions] != []
            scores = [score for _, score in row.predictions]
            assert scores == sorted(scores, reverse=True)
            assert sum(scores) == pytest.approx(1.0)
    assert len(choose(pool, 100, "mix")) == 18


def test_reasons_and_the_random_part(pool):
    queue = choose(pool, 10, "mix", random_share=0.3)
    why = [row.why for row in queue]
    assert (why.count("random"), why.count("uncertain")) == (3, 7)
    drawn = [row.file for row in queue if row.why == "random"]
    at_random = [row.file for row in choose(pool, 18, "random")]
    assert set(drawn) == set(at_random[:3])
    assert [row.source for row in queue if row.why == "random"] == ["suggest:random"] * 3


def test_the_queue_is_a_result_with_a_frame(model, kinds, tmp_path):
    queue = semisonic.suggest(model, load_clips(kinds, labels="none"), 5)
    frame = queue.to_frame()
    assert frame.file.tolist() == [row.file for row in queue]
    assert frame.end_time.tolist() == pytest.approx([0.5] * 5)
    assert frame.score_1.between(0, 1).all()
    assert frame.uncertainty.tolist() == [row.uncertainty for row in queue]
    assert repr(queue) == f"<Queue: {queue.summary()}>"
    assert queue.summary().startswith("5 segments of 5 recordings: ")
    written = pd.read_csv(queue.write(tmp_path / "queue.csv"))
    assert list(written) == ["order", *frame]
    assert written.score_1.to_numpy() == pytest.approx(frame.score_1.to_numpy(), abs=1e-4)


def test_uncertain_asks_the_largest_doubts(pool):
    assert pool.scores is not None
    queue = choose(pool, 4, "uncertain")
    best = np.sort(pool.scores, axis=1)
    doubts = 1 - (best[:, -1] - best[:, -2])
    assert sorted((row.uncertainty for row in queue), reverse=True) == pytest.approx(
        np.sort(doubts)[::-1][:4]
    )


def test_without_a_classifier_typical_segments_of_all_kinds_are_asked(model, kinds, tmp_path):
    index = embed(model, kinds, tmp_path / "index")
    queue = suggest(None, index, 3)
    assert {row.why for row in queue} == {"typical"}
    assert {Path(row.file).parent.name for row in queue} == set(KINDS)
    assert all(row.predictions == () and np.isnan(row.uncertainty) for row in queue)
    with pytest.raises(OptionError, match="needs the scores of a classifier"):
        suggest(None, index, 3, strategy="uncertain")


def test_what_is_answered_or_passed_over_is_not_asked_again(pool, tmp_path):
    log = LabelLog(tmp_path / "labels.jsonl")
    first = choose(pool, 6, "mix").seen_from(log.root)
    for number, row in enumerate(first):
        skipped = number == 0
        log.append(
            row.file,
            row.start_time,
            row.end_time,
            () if skipped else "hum",
            presence="uncertain" if skipped else "positive",
            source=row.source,
        )
    asked = {row.file for row in first}
    for strategy in ("mix", "random", "typical"):
        then = choose(pool, 18, strategy, exclude=log).seen_from(log.root)
        assert len(then) == 12
        assert not asked & {row.file for row in then}
    for row in then:
        log.append(row.file, row.start_time, row.end_time, "hum")
    with pytest.raises(DataError, match="all 18 segments are answered"):
        choose(pool, 5, exclude=log)


def test_windows_of_one_recording_are_spread(model, long, kinds):
    queue = suggest(model, load_clips(kinds, labels="none"), 6, strategy="uncertain")
    assert len({row.file for row in queue}) == 6
    alone = suggest(model, long, 6, strategy="uncertain")
    assert len({row.start_time for row in alone}) == 6


def test_a_queue_is_read_as_it_was_written(pool, tmp_path):
    queue = choose(pool, 8, "mix")
    path = queue.write(tmp_path / "deep" / "queue.csv")
    again = Queue.read(path)
    assert [again.path_of(row).resolve() for row in again] == [
        queue.path_of(row).resolve() for row in queue
    ]
    for one, other in zip(again, queue, strict=True):
        assert (one.why, one.cluster) == (other.why, other.cluster)
        assert one.predictions[0][0] == other.predictions[0][0]
        assert one.predictions[0][1] == pytest.approx(other.predictions[0][1], abs=1e-4)
    assert again.write(tmp_path / "again.csv").read_text(encoding="utf-8").count("\n") == 9
    # Filled in, it is a table to train from.
    text = path.read_text(encoding="utf-8").replace(",,uncertain", ",hum,uncertain")
    path.write_text(text, encoding="utf-8")
    clips = load_clips(path)
    assert clips.is_labelled.sum() == sum(row.why == "uncertain" for row in queue)
    (tmp_path / "other.csv").write_text("file,label\na.wav,dog\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'start_time'; expected a table"):
        Queue.read(tmp_path / "other.csv")


@pytest.mark.parametrize(
    "wrong", [{"strategy": "mixed"}, {"n": 0}, {"random_share": 1.5}, {"strategy": ""}]
)
def test_wrong_options_are_refused(pool, wrong):
    with pytest.raises(OptionError):
        suggest(None, pool, **wrong)


def test_an_index_of_another_model_is_made_anew(model, kinds, tmp_path):
    other = build("(4)3c-2p-gp", MEL, ("x", "y"), standardize="none", seed=5)
    save(tmp_path / "other.zip", other, about={"seed": 5})
    index = embed(model, kinds, tmp_path / "index")
    pool = candidate_pool(tmp_path / "other.zip", index, tmp_path / "cache")
    assert pool.classes == ("x", "y")
    assert pool.vectors.shape == (18, 4)
