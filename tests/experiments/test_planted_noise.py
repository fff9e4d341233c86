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


def test_noise_goes_where_its_kind_says() -> None:
    def moves(clips: Clips, **how: object) -> Counter[tuple[str, str]]:
        noisy = plant_label_noise(clips, 0.5, **how)
        return Counter((clips.labels[i][0], noisy.clips.labels[i][0]) for i in noisy.changed)

    anywhere = moves(table(300, 1), seed=3)
    assert len(anywhere) == 12
    assert all(30 <= n <= 70 for n in anywhere.values())  # 50 on average
    next_ones = {("bell", "dog"), ("dog", "rain"), ("rain", "wind"), ("wind", "bell")}
    assert set(moves(table(), kind="pair")) == next_ones
    assert moves(table(), kind="pair", confused={"rain": "wind"}) == {("rain", "wind"): 10}


def test_by_recording_whole_recordings_get_one_wrong_label() -> None:
    clips = table(10, 3)
    noisy = plant_label_noise(clips, 0.2, by="recording", seed=1)
    assert len(noisy.changed) == 24
    touched = set(clips.group[noisy.changed].tolist())
    assert len(touched) == 8
    for group in touched:
        assert len({noisy.clips.labels[i] for i in np.flatnonzero(clips.group == group)}) == 1


def test_only_the_rows_given_are_changed_and_seeds_repeat() -> None:
    clips, rows = table(), np.arange(0, 80, 2)
    noisy = plant_label_noise(clips, 0.5, rows=rows)
    assert len(noisy.changed) == 20
    assert set(noisy.changed.tolist()) <= set(rows.tolist())
    again, other = (plant_label_noise(clips, 0.5, rows=rows, seed=seed) for seed in (0, 1))
    assert noisy.clips.labels == again.clips.labels != other.clips.labels


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (OptionError, {"share": 1.5}),
        (OptionError, {"share": 0.2, "kind": "symetric"}),
        (OptionError, {"share": 0.2, "confused": {"dog": "rain"}}),
        (DataError, {"share": 0.2, "kind": "pair", "confused": {"dgo": "rain"}}),
    ],
)
def test_wrong_options_are_named(error, arguments) -> None:
    with pytest.raises(error, match=r"found|has no class"):
        plant_label_noise(table(), **arguments)
