from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN, QUICK_PRETRAIN, sound
from training_rows import pretrain_rows

from semisonic.classifier.config import TrainConfig
from semisonic.classifier.prepare import prepare_waves
from semisonic.classifier.pretraining import PretrainOutcome, choose_decoder, hold_out_recordings
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.training.options import FitOptions

SETTINGS = TrainConfig(
    NOTATION, objective="reconstruction", decoder="upsample", pretrain=QUICK_PRETRAIN
)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    waves = [sound(KINDS[i % 3], i) for i in range(30)]
    clips = Clips.from_rows(".", [{"file": f"{i:02d}"} for i in range(30)])
    return np.asarray(prepare_waves(clips, waves, MEL).features)


def run(features: np.ndarray, fit: FitOptions = QUICK_PRETRAIN, **more: object) -> PretrainOutcome:
    rows = np.arange(30)
    arguments: dict[str, object] = {"mel": MEL, "seed": 0} | more
    return pretrain_rows(
        features, rows[:24], rows[24:], replace(SETTINGS, pretrain=fit), **arguments
    )


def test_a_giant_recording_is_learnt_from() -> None:
    """A night in a pool of short clips must not become the held-out part."""
    group = np.array(["night"] * 80 + [f"clip {i}" for i in range(20)])
    rows = [{"file": f"{i:03d}.wav"} for i in range(100)]
    clips = Clips.from_rows(Path(), rows).with_columns(group=group)
    for seed in range(8):
        held = hold_out_recordings(clips, np.arange(100), 0.1, seed)[1]
        assert set(group[held]) <= set(group[80:])
        assert len(held) == 10
    two = clips[:90].with_columns(group=np.array(["long"] * 60 + ["shorter"] * 30))
    assert set(two.group[hold_out_recordings(two, np.arange(90), 0.1, 0)[1]]) == {"shorter"}


def test_the_error_on_held_out_clips_falls_below_that_of_a_constant(features: np.ndarray) -> None:
    outcome = run(features, FitOptions(epochs=15, learning_rate=5e-3, **PLAIN))
    column = [row["val_loss"] for row in outcome.history]
    assert outcome.error == pytest.approx(min(column), rel=1e-4)
    assert outcome.error < 0.6
    assert outcome.error_db2 == pytest.approx(
        outcome.error * float(outcome.standardize.std.square()), rel=1e-3
    )
    assert {unit.n_units for unit in outcome.dead_units} == {8}


def test_statistics_are_those_of_the_training_rows(features: np.ndarray) -> None:
    outcome = run(features)
    seen = features[:24].astype(np.float64)
    assert float(outcome.standardize.mean) == pytest.approx(seen.mean(), abs=1e-3)
    assert float(outcome.standardize.std) == pytest.approx(seen.std(), rel=1e-4)


def test_the_same_seed_gives_the_same_weights(features: np.ndarray) -> None:
    first, again, other = run(features), run(features), run(features, seed=1)
    a, b, c = (o.network.state_dict() for o in (first, again, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_a_finished_training_is_not_repeated(features: np.ndarray, tmp_path: Path) -> None:
    first = run(features, folder=tmp_path)
    again = run(features, folder=tmp_path)
    assert again.history == first.history
    assert again.error == first.error


def test_without_held_out_clips_all_epochs_are_run(features: np.ndarray) -> None:
    fit = replace(QUICK_PRETRAIN, patience=1)
    outcome = pretrain_rows(
        features, np.arange(30), [], replace(SETTINGS, pretrain=fit), mel=MEL, seed=0
    )
    assert len(outcome.history) == 2
    assert outcome.fit.best_epoch == 2
    assert np.isnan(outcome.error)


def test_nothing_to_learn_from_is_an_error(features: np.ndarray) -> None:
    with pytest.raises(DataError, match="no clips"):
        pretrain_rows(features, [], [0], SETTINGS, mel=MEL, seed=0)


def test_auto_un_pools_where_the_encoder_can() -> None:
    assert choose_decoder("auto", NOTATION, MEL) == "unpool"
    assert choose_decoder("auto", "small", MEL) == "upsample"
    assert choose_decoder("subpixel", NOTATION, MEL) == "subpixel"


@settings(max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.floats(0, 0.5), st.integers(0, 9))
def test_recordings_are_held_out_as_a_whole(groups: list[int], share: float, seed: int) -> None:
    clips = Clips.from_rows(
        ".", [{"file": f"{i:03d}", "group": f"g{g}"} for i, g in enumerate(groups)]
    )
    kept, held = hold_out_recordings(clips, np.arange(len(clips)), share, seed)
    assert sorted([*kept, *held]) == list(range(len(clips)))
    assert not set(clips.group[kept]) & set(clips.group[held])
    assert len(kept)
    if share == 0:
        assert not len(held)


def test_held_out_recordings_do_not_depend_on_the_order_of_rows() -> None:
    clips = Clips.from_rows(".", [{"file": f"{i:03d}", "group": f"g{i // 3}"} for i in range(60)])
    rows = np.arange(60)
    _, held = hold_out_recordings(clips, rows, 0.2, 3)
    _, shuffled = hold_out_recordings(clips, rows[::-1], 0.2, 3)
    assert held.tolist() == shuffled.tolist()
    assert 9 <= len(held) <= 15
