"""Splits by recording and label budgets: disjoint, complete, even, blind to the order of files."""

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
from semisonic.data.duplicates import straddling_groups
from semisonic.data.splits import fold_splits, hold_out, label_budget, make_folds

# A recording: its classes, how many clips of it, and its official fold.
Recording = tuple[tuple[str, ...], int, int]


def table(recordings, classes=None):
    rows = [
        {"file": f"r{i:03d}_{k}.wav", "labels": labels, "group": f"r{i:03d}", "fold": fold}
        for i, (labels, n, fold) in enumerate(recordings)
        for k in range(n)
    ]
    return Clips.from_rows("/nowhere", rows, classes)


def even(n_classes, n_recordings, n_clips=1, n_folds=0):
    return table(
        [
            ((f"class {c}",), n_clips, r % n_folds + 1 if n_folds else 0)
            for c in range(n_classes)
            for r in range(n_recordings)
        ]
    )


def names(clips, rows):
    return {clips.ids[row] for row in rows}


def groups(clips, rows):
    return set(clips.group[rows].tolist())


def check_split(clips, split):
    parts = [split.train, split.validation, split.test, split.dropped]
    for part in parts:
        assert (np.diff(part) > 0).all()
    assert sum(map(len, parts)) == len(np.unique(np.concatenate(parts)))
    assert not groups(clips, split.train) & groups(clips, split.validation)
    assert not groups(clips, split.train) & groups(clips, split.test)
    assert not groups(clips, split.validation) & groups(clips, split.test)
    assert clips.is_labelled[np.concatenate(parts)].all()


recordings_strategy = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcd"), min_size=0, max_size=2, unique=True).map(tuple),
        st.integers(1, 4),
        st.just(0),
    ),
    min_size=8,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(recordings_strategy, st.integers(0, 3), st.sampled_from([0.0, 0.15, 0.4]), st.randoms())
def test_splits_do_not_depend_on_order(recordings, seed, share, random):
    clips = table(recordings)
    order = list(range(len(clips)))
    random.shuffle(order)
    mixed = clips[np.array(order)]
    try:
        splits = fold_splits(clips, validation=share, seed=seed, n_folds=3)
    except DataError:
        with pytest.raises(DataError):
            fold_splits(mixed, validation=share, seed=seed, n_folds=3)
        return
    again = fold_splits(mixed, validation=share, seed=seed, n_folds=3)
    assert [s.fold for s in splits] == [s.fold for s in again]
    for one, two in zip(splits, again, strict=True):
        check_split(clips, one)
        for part in ("train", "validation", "test", "dropped"):
            assert names(clips, getattr(one, part)) == names(mixed, getattr(two, part))
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested.tolist()) == np.flatnonzero(clips.is_labelled).tolist()


@settings(max_examples=60, deadline=None)
@given(recordings_strategy, st.integers(0, 3), st.floats(0, 0.9))
def test_hold_out_keeps_a_recording_of_every_class(recordings, seed, share):
    clips = table(recordings)
    rows = np.flatnonzero(clips.is_labelled)
    kept, held = hold_out(clips, rows, share, seed)
    assert sorted([*kept, *held]) == rows.tolist()
    assert not groups(clips, kept) & groups(clips, held)
    before = {label for row in rows for label in clips.labels[row]}
    assert {label for row in kept for label in clips.labels[row]} == before


@pytest.mark.parametrize("share", [0.1, 0.15, 0.25, 0.5])
def test_hold_out_is_stratified_and_of_the_size_asked_for(share):
    clips = even(10, 32)
    kept, held = hold_out(clips, np.arange(320), share, seed=0)
    assert len(held) == round(320 * share)
    counts = np.bincount(clips.target()[held], minlength=10)
    assert counts.max() - counts.min() <= 1
    assert len(kept) + len(held) == 320


def test_hold_out_of_few_clips_spreads_over_classes():
    # 0.15 of 4 clips is less than one clip a class, yet 6 of 40 have to go.
    clips = even(10, 4)
    chosen = []
    for seed in range(8):
        _, held = hold_out(clips, np.arange(40), 0.15, seed)
        counts = np.bincount(clips.target()[held], minlength=10)
        assert len(held) == 6
        assert counts.max() == 1
        chosen.append(tuple(counts))
    assert len(set(chosen)) > 1  # not always the first classes


def test_seed_and_purpose_choose():
    clips = even(4, 20)
    rows = np.arange(80)
    first = hold_out(clips, rows, 0.2, 0)[1].tolist()
    assert first == hold_out(clips, rows, 0.2, 0)[1].tolist()
    assert first != hold_out(clips, rows, 0.2, 1)[1].tolist()
    assert first != hold_out(clips, rows, 0.2, 0, "another purpose")[1].tolist()


def test_official_folds_are_kept():
    clips = even(3, 10, n_clips=2, n_folds=5)
    splits = fold_splits(clips, validation=0.25)
    assert [split.fold for split in splits] == [1, 2, 3, 4, 5]
    for split in splits:
        check_split(clips, split)
        assert set(clips.fold[split.test].tolist()) == {split.fold}
        assert len(split.test) == 12
        assert len(split.validation) == 12
        assert len(split.dropped) == 0


def test_previous_fold_is_cyclic_and_there_may_be_no_validation():
    clips = even(3, 10, n_folds=5)
    for split in fold_splits(clips, validation=0.0):
        assert (len(split.validation), len(split.train)) == (0, 24)
    for split in fold_splits(clips, validation_fold="previous"):
        previous = 5 if split.fold == 1 else split.fold - 1
        assert set(clips.fold[split.validation].tolist()) == {previous}
        assert set(clips.fold[split.train].tolist()) == {1, 2, 3, 4, 5} - {split.fold, previous}
        check_split(clips, split)


def test_straddling_recordings_are_dropped_from_training():
    """Recording "x" has two clips in fold 1 and one in fold 2."""
    rows = [
        {"file": f"{c}{f}{i}.wav", "labels": c, "group": f"{c}{f}{i}", "fold": f}
        for c in "ab"
        for f in (1, 2, 3)
        for i in range(4)
    ]
    rows += [
        {"file": f"x{i}.wav", "labels": "a", "group": "x", "fold": f}
        for i, f in enumerate([1, 1, 2])
    ]
    clips = Clips.from_rows("/nowhere", rows)
    assert straddling_groups(clips) == ["x"]
    splits = {split.fold: split for split in fold_splits(clips, validation=0.2)}
    assert names(clips, splits[1].dropped) == {"x2.wav"}
    assert names(clips, splits[2].dropped) == {"x0.wav", "x1.wav"}
    assert len(splits[3].dropped) == 0
    for split in splits.values():
        check_split(clips, split)
        assert names(clips, split.test) == names(clips, np.flatnonzero(clips.fold == split.fold))
    splits = {s.fold: s for s in fold_splits(clips, validation_fold="previous")}
    for split in splits.values():
        check_split(clips, split)
    # Test 3, validate 2, train 1: x is in 1 and 2.
    assert names(clips, splits[3].dropped) == {"x0.wav", "x1.wav"}


def test_unlabelled_and_foldless_rows():
    rows = [{"file": f"{c}{i}.wav", "labels": c, "fold": i % 2 + 1} for c in "ab" for i in range(6)]
    rows += [{"file": "extra.wav", "labels": "a"}, {"file": "pool.wav"}]
    clips = Clips.from_rows("/nowhere", rows)
    for split in fold_splits(clips, validation=0.0):
        assert "extra.wav" in names(clips, split.train)
        used = np.concatenate([split.train, split.validation, split.test])
        assert "pool.wav" not in names(clips, used)


def test_made_folds_are_balanced_and_keep_recordings_together():
    rng = np.random.default_rng(0)
    clips = table([((f"c{c}",), int(rng.integers(1, 6)), 0) for c in range(6) for _ in range(20)])
    fold = make_folds(clips, 5, seed=0)
    for group in set(clips.group.tolist()):
        assert len(set(fold[clips.group == group].tolist())) == 1
    size = np.bincount(fold)[1:]
    assert size.max() / size.min() < 1.15
    for c in range(6):
        per_fold = np.bincount(fold[clips.target() == c], minlength=6)[1:]
        assert per_fold.max() - per_fold.min() <= 5
    assert make_folds(clips, 5, seed=1).tolist() != fold.tolist()


def test_too_few_recordings():
    clips = table([(("a",), 5, 0), (("b",), 5, 0), (("b",), 5, 0), (("c",), 1, 0)])
    with pytest.raises(DataError, match=r"4 labelled recordings, expected at least 5"):
        fold_splits(clips)
    with pytest.raises(
        DataError, match=r"2 classes have only one recording: a, c\. .*keep_classes"
    ):
        fold_splits(clips, n_folds=2)
    splits = fold_splits(clips.keep_classes(["b"]), n_folds=2)
    assert [len(split.test) for split in splits] == [5, 5]


def test_a_class_in_one_official_fold_is_an_error():
    clips = table([(("a",), 1, 1), (("a",), 1, 2), (("b",), 1, 1), (("b",), 1, 1)])
    with pytest.raises(DataError, match="fold 1: b would be tested, but no training clip is left"):
        fold_splits(clips)


def test_wrong_options():
    clips = even(2, 10, n_folds=5)
    for options, message in [
        ({"validation": 1.0}, "found 1.0"),
        ({"validation": -0.1}, "found -0.1"),
        ({"validation_fold": "preceding"}, "validation_fold: found 'preceding'"),
    ]:
        with pytest.raises(OptionError, match=message):
            fold_splits(clips, **options)
    with pytest.raises(DataError, match="expected at least 3"):
        fold_splits(even(2, 10, n_folds=2), validation_fold="previous")
    with pytest.raises(DataError, match="expected at least 2"):
        fold_splits(even(2, 10, n_folds=1))
    with pytest.raises(OptionError, match="share"):
        hold_out(clips, np.arange(20), 1.5, 0)


def test_keep_classes():
    rows = [
        {"file": "a.wav", "labels": ("x", "y")},
        {"file": "b.wav", "labels": "z"},
        {"file": "c.wav"},
    ]
    clips = Clips.from_rows("/nowhere", rows, classes=("z", "y", "x"))
    kept = clips.keep_classes(["x", "z"])
    assert kept.classes == ("z", "x")
    assert kept.labels == (("x",), ("z",), ())
    assert clips.keep_classes(["y"]).file.tolist() == ["a.wav", "c.wav"]
    with pytest.raises(DataError, match="no class 'w'"):
        clips.keep_classes(["w"])


def test_real_esc50(shared_data):
    clips = load_clips(shared_data / "esc50-meta")
    assert straddling_groups(clips) == ["131943", "134049", "209698", "234879"]
    n_dropped = 0
    for split in fold_splits(clips):
        check_split(clips, split)
        assert len(split.test) == 400
        assert len(split.validation) == 240
        counts = np.bincount(clips.target()[split.validation], minlength=50)
        assert counts.min() >= 3
        assert counts.max() <= 7
        n_dropped += len(split.dropped)
    assert n_dropped == 9


def test_large_recordings_are_taken_only_when_a_class_has_no_smaller_ones():
    clips = table([(("big",), 10, 0)] * 4 + [(("mixed",), 11, 0)] * 2 + [(("mixed",), 2, 0)] * 11)
    for seed in range(5):
        _, held = hold_out(clips, np.arange(len(clips)), 0.15, seed)
        counts = dict(zip(*np.unique(clips.target()[held], return_counts=True), strict=True))
        assert counts[0] == 10
        assert counts[1] == 6


def of_sizes(sizes: dict[str, list[int]]) -> Clips:
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
    clips = of_sizes(sizes)
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


def test_every_recording_is_equally_likely() -> None:
    clips = of_sizes({"a": [8, 1, 1, 1]})
    first = Counter(
        clips.group[label_budget(clips, np.arange(11), 1, seed)[0]] for seed in range(400)
    )
    assert all(60 < first[f"a{r}"] < 145 for r in range(4))


def test_a_draw_does_not_change_with_other_classes_or_rows() -> None:
    clips = of_sizes({"a": [1] * 10, "b": [1] * 10})
    both = label_budget(clips, np.arange(20), 3, seed=0)
    only_a = np.flatnonzero(clips.target() == 0)
    alone = label_budget(clips[only_a].with_columns(classes=("a",)), np.arange(10), 3, seed=0)
    assert {i for i in clips[both].ids if i.startswith("a/")} == set(clips[only_a][alone].ids)


def test_one_recording_more_takes_the_place_of_one_at_most() -> None:
    clips = of_sizes({"a": [1] * 20})
    for seed in range(5):
        whole = label_budget(clips, np.arange(20), 6, seed)
        for left_out in range(20):
            rest = np.delete(np.arange(20), left_out)
            assert len({*label_budget(clips, rest, 6, seed)} - {*whole}) == (left_out in whole)


def unverified(n: int) -> Clips:
    """Recordings of two clips each; of every second one the second clip is not verified."""
    rows = [
        {
            "file": f"{i}_{k}.wav",
            "labels": "ab"[i % 4 // 2],
            "group": str(i),
            "label_type": "uncertain" if i % 2 and k else "positive",
        }
        for i in range(n)
        for k in range(2)
    ]
    return Clips.from_rows("/nowhere", rows)


def test_recordings_with_unverified_labels_validate_nothing() -> None:
    clips = unverified(40)
    for seed in range(5):
        _, held = hold_out(clips, np.arange(80), 0.4, seed)
        assert len(held)
        assert all(int(name) % 2 == 0 for name in groups(clips, held))


def test_verified_labels_are_taken_before_others() -> None:
    clips = unverified(20)
    for seed in range(5):
        assert clips.is_verified[label_budget(clips, np.arange(40), 15, seed)].all()
        more = label_budget(clips, np.arange(40), 17, seed)
        assert (~clips.is_verified[more]).sum() == 4


def test_too_few_for_a_budget() -> None:
    clips = of_sizes({"a": [1] * 3, "b": [1] * 9})
    rows = np.arange(12)
    with pytest.raises(
        DataError, match=r"found labelled clips: a 3; expected at least 4.*allow fewer"
    ):
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


def test_budgets_of_esc10(shared_data: Path) -> None:
    clips = load_clips(shared_data / "esc10")
    for split in fold_splits(clips):
        chosen = label_budget(clips, split.train, 4, seed=0)
        assert np.bincount(clips.target()[chosen]).tolist() == [4] * 10
        assert set(chosen) <= set(split.train)
        assert len(set(clips.group[chosen].tolist())) == 40
