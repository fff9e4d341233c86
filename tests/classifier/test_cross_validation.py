"""``cross_validate`` and ``split``: by recording, each sound once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from tiny_sounds import KINDS, MEL, NOTATION, sound

import semisonic
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.cross_validation import CrossValidation, cross_validate
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.training.options import FitOptions

N = 24
LABELS = [KINDS[i % 3] for i in range(N)]
GROUPS = np.array([f"r{i // 6}-{i % 3}" for i in range(N)])


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    return [sound(KINDS[i % 3], i) for i in range(N)]


def classifier() -> SoundClassifier:
    fit = FitOptions(epochs=12, batch_size=6)
    return SoundClassifier(NOTATION, mel=MEL, training=fit, method="supervised", validation=0.0)


@pytest.fixture(scope="module")
def found(waves: list[np.ndarray]) -> CrossValidation:
    return cross_validate(
        classifier(), waves, LABELS, sample_rate=MEL.sample_rate, groups=GROUPS, n_folds=4
    )


def test_every_sound_is_tested_once_and_no_recording_on_both_sides(found: CrossValidation) -> None:
    assert len(found.fold) == N
    for group in np.unique(GROUPS):
        assert len(set(found.fold[found.measurement.clips.group == group])) == 1
    assert sorted(found.by_fold) == [1, 2, 3, 4]


def test_sounds_that_are_easily_told_apart_are(found: CrossValidation) -> None:
    assert found.measurement.metrics["accuracy"] > 0.8
    weights = [(found.fold == fold).mean() for fold in found.by_fold]
    assert np.dot(weights, list(found.by_fold.values())) == pytest.approx(
        found.measurement.metrics["accuracy"]
    )
    assert "accuracy by fold: 1:" in found.summary()


def test_a_fold_is_what_fitting_by_hand_gives(
    waves: list[np.ndarray], found: CrossValidation
) -> None:
    test = np.flatnonzero(found.fold == 2)
    train = np.flatnonzero(found.fold != 2)
    fitted = classifier().fit(
        [waves[i] for i in train],
        [LABELS[i] for i in train],
        sample_rate=MEL.sample_rate,
        groups=GROUPS[train],
    )
    scores = fitted.predict_proba([waves[i] for i in test], sample_rate=MEL.sample_rate)
    np.testing.assert_allclose(found.measurement.scores[test], scores, atol=1e-5)


def test_each_fold_has_a_folder_of_its_own_and_goes_on_in_it(
    waves: list[np.ndarray], tmp_path: Path
) -> None:
    kept = clone(classifier()).set_params(
        folder=tmp_path / "cv", training=FitOptions(epochs=2, batch_size=6)
    )
    scores = [
        cross_validate(
            kept, waves, LABELS, sample_rate=MEL.sample_rate, groups=GROUPS, n_folds=2
        ).measurement.scores
        for _ in range(2)
    ]
    assert sorted(path.name for path in (tmp_path / "cv").iterdir()) == ["fold-1", "fold-2"]
    np.testing.assert_array_equal(*scores)
    assert kept.folder == tmp_path / "cv"


def test_several_labels_are_measured_by_lwlrap(waves: list[np.ndarray]) -> None:
    labels = [[LABELS[i], *(["odd"] if i % 2 else [])] for i in range(N)]
    result = cross_validate(
        classifier(), waves, labels, sample_rate=MEL.sample_rate, groups=GROUPS, n_folds=2
    )
    assert result.measure == "lwlrap"
    assert set(result.measurement.intervals) == {"lwlrap", "mean_average_precision"}


def test_too_few_recordings_are_an_error(waves: list[np.ndarray]) -> None:
    with pytest.raises(DataError, match="expected at least"):
        cross_validate(classifier(), waves[:3], LABELS[:3], sample_rate=MEL.sample_rate)


@given(seed=st.integers(0, 50), share=st.floats(0.1, 0.6))
def test_a_split_shares_no_recording_and_loses_no_clip(seed: int, share: float) -> None:
    rows = [{"file": f"{i}.wav", "labels": LABELS[i], "group": GROUPS[i]} for i in range(N)]
    clips = Clips.from_rows(".", rows)
    train, test = semisonic.split(clips, share, seed=seed)
    assert not set(train.group) & set(test.group)
    assert sorted([*train.ids, *test.ids]) == sorted(clips.ids)
    assert set(LABELS) == {label for labels in train.labels for label in labels}


def test_two_results_are_compared_sound_by_sound_and_fold_by_fold(
    waves: list[np.ndarray], found: CrossValidation
) -> None:
    worse = cross_validate(
        classifier().set_params(training__epochs=1),
        waves,
        LABELS,
        sample_rate=MEL.sample_rate,
        groups=GROUPS,
        n_folds=4,
    )
    compared = worse.compare(found, ("one epoch", "twelve"))
    right = [one.measurement.predicted == one.measurement.target for one in (worse, found)]
    assert compared.a.name == "one epoch"
    assert compared.difference == pytest.approx(right[1].mean() - right[0].mean())
    only = [int((x & ~y).sum()) for x, y in (right, right[::-1])]
    assert compared.draws[["n_only_a", "n_only_b"]].to_numpy().tolist() == [only]
    assert len(compared.folds) == 4
    assert found.compare(found).difference == 0.0


def test_results_of_other_folds_are_not_compared(
    waves: list[np.ndarray], found: CrossValidation
) -> None:
    other = cross_validate(
        classifier(), waves, LABELS, sample_rate=MEL.sample_rate, groups=GROUPS, n_folds=2
    )
    with pytest.raises(DataError, match="folds"):
        found.compare(other)


def test_progress_can_be_shown_in_python(waves: list[np.ndarray], capsys) -> None:
    semisonic.show_progress()
    try:
        cross_validate(
            classifier().set_params(training__epochs=1),
            waves,
            LABELS,
            sample_rate=MEL.sample_rate,
            groups=GROUPS,
            n_folds=2,
        )
    finally:
        semisonic.show_progress(False)
    assert "cross-validation: 100%" in capsys.readouterr().err
