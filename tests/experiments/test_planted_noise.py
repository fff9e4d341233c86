"""Planted label noise: exact, seeded, of the kind asked for, blind to order."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips

_SPEC = importlib.util.spec_from_file_location(
    "planted_noise", Path(__file__).parents[2] / "benchmarks" / "planted_noise.py"
)
assert _SPEC
assert _SPEC.loader
sys.modules["planted_noise"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["planted_noise"])
plant_label_noise = sys.modules["planted_noise"].plant_label_noise

CLASSES = ("bell", "dog", "rain", "wind")


def table(n_recordings: int = 10, clips_each: int = 2) -> Clips:
    """The same number of recordings of each class."""
    rows = [
        {"file": f"{label}/{r:02d}_{k}.wav", "labels": label, "group": f"{label}{r}"}
        for label in CLASSES
        for r in range(n_recordings)
        for k in range(clips_each)
    ]
    return Clips.from_rows("/nowhere", rows)


def differing(a: Clips, b: Clips) -> list[int]:
    return [i for i, (x, y) in enumerate(zip(a.labels, b.labels, strict=True)) if x != y]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 1),
    st.sampled_from(["symmetric", "pair"]),
    st.integers(1, 9),
    st.integers(0, 4),
    st.randoms(),
)
def test_the_share_is_exact_and_the_order_of_rows_does_not_matter(
    share, kind, n, seed, random
) -> None:
    clips = table(n, 1)
    noisy = plant_label_noise(clips, share, kind=kind, seed=seed)
    assert len(noisy.changed) == round(share * len(clips))
    assert differing(clips, noisy.clips) == noisy.changed.tolist()
    assert noisy.is_changed.sum() == len(noisy.changed)
    per_class = Counter(clips.labels[row][0] for row in noisy.changed)
    assert all(abs(per_class[label] - share * n) < 1.01 for label in CLASSES)
    order = list(range(len(clips)))
    random.shuffle(order)
    again = plant_label_noise(clips[order], share, kind=kind, seed=seed)
    assert [again.clips.labels[order.index(i)] for i in range(len(clips))] == list(
        noisy.clips.labels
    )


def test_symmetric_noise_goes_to_every_other_class_alike() -> None:
    clips = table(300, 1)
    noisy = plant_label_noise(clips, 0.5, seed=3)
    moves = Counter((clips.labels[i][0], noisy.clips.labels[i][0]) for i in noisy.changed)
    assert len(moves) == 12
    assert all(30 <= n <= 70 for n in moves.values())  # 50 on average


def test_pair_noise_goes_to_the_next_class_or_where_it_is_told() -> None:
    clips = table()
    noisy = plant_label_noise(clips, 0.3, kind="pair")
    moves = {(clips.labels[i][0], noisy.clips.labels[i][0]) for i in noisy.changed}
    assert moves == {("bell", "dog"), ("dog", "rain"), ("rain", "wind"), ("wind", "bell")}
    told = plant_label_noise(clips, 0.5, kind="pair", confused={"rain": "wind"})
    moves = {(clips.labels[i][0], told.clips.labels[i][0]) for i in told.changed}
    assert moves == {("rain", "wind")}
    assert len(told.changed) == 10


def test_by_recording_whole_recordings_get_one_wrong_label() -> None:
    clips = table(10, 3)
    noisy = plant_label_noise(clips, 0.2, by="recording", seed=1)
    assert len(noisy.changed) == 24
    touched = set(clips.group[noisy.changed].tolist())
    assert len(touched) == 8
    for group in touched:
        labels = {noisy.clips.labels[i] for i in np.flatnonzero(clips.group == group)}
        assert len(labels) == 1
    uneven = plant_label_noise(clips, 25 / 120, by="recording", seed=1)
    assert len(uneven.changed) == 24  # 25 would need a third of a recording


def test_only_the_rows_given_are_changed() -> None:
    clips = table()
    rows = np.arange(0, len(clips), 2)
    noisy = plant_label_noise(clips, 0.5, rows=rows)
    assert len(noisy.changed) == 20
    assert set(noisy.changed.tolist()) <= set(rows.tolist())


def test_seeds_differ_and_repeat() -> None:
    clips = table()
    first = plant_label_noise(clips, 0.4, seed=0)
    assert first.clips.labels == plant_label_noise(clips, 0.4, seed=0).clips.labels
    assert first.clips.labels != plant_label_noise(clips, 0.4, seed=1).clips.labels


def test_several_labels_and_none() -> None:
    rows = [
        {"file": "a.wav", "labels": ["bell", "dog"]},
        {"file": "b.wav", "labels": list(CLASSES)},
        {"file": "c.wav", "labels": "wind"},
        {"file": "d.wav"},
    ]
    clips = Clips.from_rows("/nowhere", rows)
    noisy = plant_label_noise(clips, 1.0, seed=2)
    assert noisy.changed.tolist() == [0, 2]  # all classes at once cannot be wrong
    changed = noisy.clips.labels[0]
    assert len(set(changed)) == 2
    assert len(set(changed) & {"bell", "dog"}) == 1
    assert noisy.clips.labels[3] == ()
    pair = plant_label_noise(clips, 1.0, kind="pair")
    assert set(pair.clips.labels[0]) == {"bell", "rain"}


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (OptionError, {"share": -0.1}),
        (OptionError, {"share": 1.5}),
        (OptionError, {"share": 0.2, "kind": "symetric"}),
        (OptionError, {"share": 0.2, "by": "fold"}),
        (OptionError, {"share": 0.2, "confused": {"dog": "rain"}}),
        (DataError, {"share": 0.2, "kind": "pair", "confused": {"dgo": "rain"}}),
        (DataError, {"share": 0.2, "kind": "pair", "confused": {"dog": "dog"}}),
    ],
)
def test_wrong_options_are_named(error, arguments) -> None:
    with pytest.raises(error, match=r"found|has no class"):
        plant_label_noise(table(), **arguments)


def test_tables_without_labels_or_with_one_class_are_refused() -> None:
    with pytest.raises(DataError):
        plant_label_noise(table().without_labels(), 0.2)
    with pytest.raises(DataError, match="one class"):
        plant_label_noise(Clips.from_rows("/x", [{"file": "a.wav", "labels": "dog"}]), 0.2)
