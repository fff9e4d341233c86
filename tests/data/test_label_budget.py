"""Label budgets: seeded, nested, by recording, blind to order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import fold_splits, label_budget


def table(sizes: dict[str, list[int]]) -> Clips:
    """For each class, the number of clips of each of its recordings."""
    rows = [
        {"file": f"{label}/{r}_{k}.wav", "labels": label, "group": f"{label}{r}"}
        for label, recordings in sizes.items()
        for r, n in enumerate(recordings)
        for k in range(n)
    ]
    return Clips.from_rows("/nowhere", rows)


sizes_strategy = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(1, 4), min_size=2, max_size=8), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(sizes_strategy, st.integers(0, 5), st.integers(1, 6), st.randoms())
def test_nested_by_recording_and_blind_to_order(
    sizes: dict[str, list[int]], seed: int, n: int, random: object
) -> None:
    clips = table(sizes)
    rows = np.arange(len(clips))
    chosen = label_budget(clips, rows, n, seed, allow_fewer=True)
    more = label_budget(clips, rows, n + 1, seed, allow_fewer=True)
    assert set(chosen) <= set(more)
    for label, recordings in sizes.items():
        mine = [row for row in chosen if clips.labels[row] == (label,)]
        assert len(mine) == min(n, sum(recordings))
        # Distinct recordings first: as many as there are, before any gives a second clip.
        assert len({clips.group[row] for row in mine}) == min(n, len(recordings))
    order = list(rows)
    random.shuffle(order)  # type: ignore[attr-defined]
    mixed = clips[np.array(order)]
    again = label_budget(mixed, rows, n, seed, allow_fewer=True)
    assert set(clips[chosen].ids) == set(mixed[again].ids)


def test_draws_differ_and_repeat() -> None:
    clips = table({"a": [1] * 30, "b": [1] * 30})
    rows = np.arange(60)
    draws = [tuple(label_budget(clips, rows, 4, seed)) for seed in range(5)]
    assert len(set(draws)) == 5
    assert draws[0] == tuple(label_budget(clips, rows, 4, 0))


def test_every_recording_is_equally_likely() -> None:
    clips = table({"a": [8, 1, 1, 1]})
    first = Counter(
        clips.group[label_budget(clips, np.arange(11), 1, seed)[0]] for seed in range(400)
    )
    assert all(60 < first[f"a{r}"] < 145 for r in range(4))


def test_a_draw_does_not_change_with_other_classes_or_rows() -> None:
    clips = table({"a": [1] * 10, "b": [1] * 10})
    both = label_budget(clips, np.arange(20), 3, seed=0)
    only_a = np.flatnonzero(clips.target() == 0)
    alone = label_budget(clips[only_a].with_columns(classes=("a",)), np.arange(10), 3, seed=0)
    assert {i for i in clips[both].ids if i.startswith("a/")} == set(clips[only_a][alone].ids)


def test_too_few() -> None:
    clips = table({"a": [1] * 3, "b": [1] * 9})
    rows = np.arange(12)
    with pytest.raises(DataError, match=r"to choose from: a 3; expected at least 4.*allow fewer"):
        label_budget(clips, rows, 4, 0)
    chosen = label_budget(clips, rows, 4, 0, allow_fewer=True)
    assert np.bincount(clips.target()[chosen]).tolist() == [3, 4]
    none_of_a = np.flatnonzero(clips.target() == 1)
    for allow in (False, True):
        with pytest.raises(DataError, match="a 0"):
            label_budget(clips, none_of_a, 1, 0, allow_fewer=allow)
    with pytest.raises(OptionError, match="labels_per_class: found 0"):
        label_budget(clips, rows, 0, 0)


def test_unlabelled_rows_are_passed_over() -> None:
    rows = [{"file": f"{i}.wav", "labels": "a" if i % 2 else ()} for i in range(10)]
    clips = Clips.from_rows("/nowhere", rows)
    chosen = label_budget(clips, np.arange(10), 5, 0)
    assert clips.is_labelled[chosen].all()
    with pytest.raises(DataError, match="needs labels"):
        label_budget(clips.without_labels(), np.arange(10), 1, 0)


def test_clips_with_several_labels_count_for_each() -> None:
    rows = [{"file": f"{i}.wav", "labels": ("a", "b")} for i in range(4)]
    rows += [{"file": f"x{i}.wav", "labels": "a"} for i in range(4)]
    clips = Clips.from_rows("/nowhere", rows)
    chosen = label_budget(clips, np.arange(8), 3, 0)
    assert (clips.targets()[chosen].sum(axis=0) >= 3).all()
    assert set(chosen) <= set(label_budget(clips, np.arange(8), 4, 0))


def test_real_esc10(shared_data: Path) -> None:
    clips = load_clips(shared_data / "esc10")
    for split in fold_splits(clips):
        chosen = label_budget(clips, split.train, 4, seed=0)
        assert np.bincount(clips.target()[chosen]).tolist() == [4] * 10
        assert set(chosen) <= set(split.train)
        assert len(set(clips.group[chosen].tolist())) == 40
