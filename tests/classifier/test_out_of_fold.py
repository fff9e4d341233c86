"""Out-of-fold scores: no clip is judged by what learned from its recording, and none is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semisonic.classifier.prepare import Prepared
from semisonic.classifier.suspects import out_of_fold
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.features.options import MelOptions


def table(n_groups: int = 12, fold: bool = True) -> Clips:
    """Two clips per recording, two classes, three folds."""
    return Clips.from_rows(
        "/nowhere",
        [
            {
                "file": f"{g:02d}{k}.wav",
                "labels": "ab"[g % 2],
                "group": f"g{g}",
                "fold": 1 + g // 2 % 3 if fold else 0,
            }
            for g in range(n_groups)
            for k in range(2)
        ],
    )


def windows_of(clips: Clips, source: np.ndarray) -> Prepared:
    features = np.zeros((len(source), 1, 2, 3), np.float16)
    return Prepared(clips[source], features, MelOptions(), (), source, len(clips))


class Recorder:
    """A judge that notes what it is given, and scores a clip by its window's number."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self.calls = prepared, list[Any]()

    def __call__(self, train: Any, test: Any, seed: int) -> Any:
        self.calls.append((train, test, seed))
        return np.stack([test, 1.0 - test], axis=1).astype(float)


def test_recordings_are_apart_and_every_clip_is_judged_once_a_repeat() -> None:
    clips = table()
    prepared = windows_of(clips, np.arange(len(clips)))
    judge = Recorder(prepared)
    _, scores, n_folds = out_of_fold(clips, prepared, judge, repeats=2)
    assert n_folds == 3
    assert len(judge.calls) == 6
    for train, test, _ in judge.calls:
        assert not set(clips.group[train].tolist()) & set(clips.group[test].tolist())
    judged = np.sort(np.concatenate([test for _, test, _ in judge.calls]))
    assert judged.tolist() == sorted([*range(24), *range(24)])
    np.testing.assert_allclose(scores[:, 0], np.arange(24))
    assert len({seed for *_, seed in judge.calls}) == 6


def test_windows_are_put_together_and_unreadable_clips_left_out() -> None:
    clips = table()
    source = np.array([0, 0, 0, *range(1, 5), *range(6, 24)])  # clip 5 could not be read
    prepared = windows_of(clips, source)
    rows, scores, _ = out_of_fold(clips, prepared, Recorder(prepared))
    assert rows.tolist() == [i for i in range(24) if i != 5]
    assert scores[0, 0] == pytest.approx(1.0)  # the mean of windows 0, 1 and 2
    assert scores[5, 0] == 7  # clip 6 is window 7
    assert scores[-1, 0] == len(source) - 1


def test_folds_are_made_where_there_are_none_or_others_are_asked_for() -> None:
    part = table().with_columns(fold=np.where(np.arange(24) < 2, 0, table().fold))
    for clips, folds, expected in ((table(fold=False), 0, 5), (table(), 4, 4), (part, 0, 5)):
        prepared = windows_of(clips, np.arange(len(clips)))
        judge = Recorder(prepared)
        assert out_of_fold(clips, prepared, judge, folds=folds)[2] == expected
        for train, test, _ in judge.calls:
            assert not set(clips.group[train].tolist()) & set(clips.group[test].tolist())


def test_it_goes_on_after_an_interruption(tmp_path: Path) -> None:
    clips = table()
    prepared = windows_of(clips, np.arange(24))
    whole = out_of_fold(clips, prepared, Recorder(prepared))[1]

    class Stopped(Recorder):
        def __call__(self, *arguments: Any) -> Any:
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().__call__(*arguments)

    with pytest.raises(KeyboardInterrupt):
        out_of_fold(clips, prepared, Stopped(prepared), keep=tmp_path)
    rest = Recorder(prepared)
    again = out_of_fold(clips, prepared, rest, keep=tmp_path)
    assert len(rest.calls) == 1
    np.testing.assert_array_equal(again[1], whole)
    done = Recorder(prepared)
    out_of_fold(clips, prepared, done, keep=tmp_path)
    assert not done.calls


def test_a_class_of_one_recording_is_named() -> None:
    clips = table(fold=False)
    labels = tuple(
        ("c",) if group == "g0" else row
        for group, row in zip(clips.group, clips.labels, strict=True)
    )
    clips = clips.with_columns(labels=labels, classes=("a", "b", "c"))
    prepared = windows_of(clips, np.arange(24))
    with pytest.raises(DataError, match="only one recording: c"):
        out_of_fold(clips, prepared, Recorder(prepared))
