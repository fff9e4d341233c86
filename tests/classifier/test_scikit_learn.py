"""scikit-learn's own checks of an estimator, as far as sounds allow."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import Tags
from sklearn.utils.estimator_checks import check_estimator
from tiny_sounds import KINDS, MEL, NOTATION, QUICK, RATE, sound

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.options import TrainOptions
from semisonic.core.errors import DataError

NUMBER_OF_SAMPLES = "sounds have no fixed number of samples"
SAMPLES = "`int64` samples have no known scale"
OTHER_WORDS = "the `ValueError` has other words"
CANNOT_HOLD = {
    "check_n_features_in_after_fitting": NUMBER_OF_SAMPLES,
    "check_n_features_in": NUMBER_OF_SAMPLES,
    "check_classifiers_train": NUMBER_OF_SAMPLES,
    "check_fit2d_predict1d": "an array of one dimension is one sound",
    "check_estimators_dtypes": SAMPLES,
    "check_classifier_data_not_an_array": SAMPLES,
    "check_dtype_object": "an array of objects holds paths or sounds of different lengths",
    "check_classifiers_multilabel_representation_invariance": "a list has the names of the labels "
    "of each sound, not a row of 0 and 1",
    "check_complex_data": OTHER_WORDS,
    "check_estimators_empty_data_messages": OTHER_WORDS,
    "check_requires_y_none": OTHER_WORDS,
    "check_parameters_default_constructible": "the defaults of groups of options are objects, "
    "which cannot be changed",
}
GUIDE = Path(__file__).parents[2] / "docs/guides/python.md"


def widened(x: Any) -> Any:
    """The checks also give rows of two samples, but an array of two columns is a stereo sound."""
    if isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == 2 and x.dtype.kind in "fi":
        return np.hstack([x, x[:, :1]])
    return x


class OfRows(SoundClassifier):
    """A classifier of the checks' numbers, which are no sounds: it need not be right."""

    def fit(self, clips: Any, y: Any = None, **options: Any) -> OfRows:  # type: ignore[override]
        return super().fit(widened(clips), y, **options)

    def _unlabelled(self, x: Any, sample_rate: int | None) -> Any:
        return super()._unlabelled(widened(x), sample_rate)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


def test_scikit_learns_checks_hold_but_for_those_that_cannot() -> None:
    clf = OfRows(
        "(2)3c-2p",
        mel={"sample_rate": 8000, "duration": 0.02, "n_fft": 64, "hop_length": 32, "n_mels": 4},
        training={"epochs": 1, "batch_size": 64},
        method="supervised",
        sample_rate=8000,
        validation=0,
        calibration="none",
        device="cpu",
        workers=1,
    )
    results = check_estimator(clf, on_fail=None, on_skip=None)
    failed = {one["check_name"]: one["exception"] for one in results if one["status"] == "failed"}
    assert {name: why for name, why in failed.items() if name not in CANNOT_HOLD} == {}
    run = {one["check_name"] for one in results}
    assert CANNOT_HOLD.keys() & run == failed.keys()
    assert len(run) > 40


def test_the_guide_names_the_checks_that_cannot_hold() -> None:
    rows = re.findall(r"^\| (`check_.*`) \| (.*) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    named = {name: why for names, why in rows for name in re.findall(r"\w+", names)}
    assert named == CANNOT_HOLD


def choices_of(options: type, name: str) -> tuple[str, ...]:
    (field,) = (field for field in dataclasses.fields(options) if field.name == name)
    return tuple(field.metadata["choices"])


def test_signature_and_documentation_name_the_choices_of_each_parameter() -> None:
    kinds = get_type_hints(SoundClassifier.__init__)
    for name in ("method", "objective", "decoder", "standardize", "calibration", "in_batch"):
        choices = choices_of(TrainOptions, name)
        assert get_args(kinds[name]) == choices
        listed = ", ".join(f'"{one}"' for one in choices)
        assert f"    {name} : {{{listed}}}\n" in (SoundClassifier.__doc__ or "")


def make(**params: Any) -> SoundClassifier:
    given: dict[str, Any] = {"mel": MEL, "training": QUICK, "method": "supervised", **params}
    return SoundClassifier(NOTATION, sample_rate=RATE, device="cpu", workers=1, **given)


Y = [KINDS[i % 3] for i in range(12)]
X = [sound(kind, i) for i, kind in enumerate(Y)]


def test_a_table_of_0_and_1_says_which_classes_a_sound_has() -> None:
    sounds = [*X, *(X[i] + X[i + 1] for i in range(11))]
    labels = [(kind,) for kind in Y] + [(Y[i], Y[i + 1]) for i in range(11)]
    frame = pd.DataFrame({kind: [int(kind in names) for names in labels] for kind in KINDS})
    clf = make(validation=0).fit(sounds, frame)
    assert clf.classes_.tolist() == list(KINDS)
    assert clf.score(sounds, frame) > 0.9
    assert (clf.predict(sounds) == frame.to_numpy()).mean() > 0.8
    same = make(validation=0).fit(sounds, labels)
    assert np.array_equal(same.predict_proba(X), clf.predict_proba(X))
    numbered = make(validation=0, training={"epochs": 1}).fit(sounds, frame.to_numpy())
    assert numbered.classes_.tolist() == [0, 1, 2]
    one_each = make(validation=0, training={"epochs": 1}).fit(X, frame[:12])
    assert one_each.predict(X).shape == (12,)
    with pytest.raises(DataError, match="other than 0 and 1"):
        make().fit(X, frame * 2)


def test_labels_keep_their_kind() -> None:
    kept = {
        "truth": [kind == "hum" for kind in Y],
        "numbers": [KINDS.index(kind) + 10 for kind in Y],
        "names": np.array(Y),
    }
    for labels in kept.values():
        found = make(validation=0, training={"epochs": 1}).fit(X, labels)
        assert found.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    gaps = pd.Series([1.0, 2.0, np.nan, 1.0] * 3)  # pandas has no gaps in whole numbers
    some = make(validation=0, training={"epochs": 1}).fit(X, gaps)
    assert some.classes_.tolist() == [1, 2]
    with pytest.warns(DataConversionWarning, match="column-vector"):
        make(validation=0, training={"epochs": 1}).fit(X, np.array([0, 1] * 6)[:, None])
    with pytest.raises(DataError, match=r"row 1: found 0\.5 .*expected a name, a whole number"):
        make().fit(X, [1.0, 0.5, *Y[2:]])
