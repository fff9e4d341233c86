from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import Pipeline
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN, QUICK, QUICK_PRETRAIN, RATE, sound

import semisonic
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.provenance import DataPart
from semisonic.core.errors import DataError, OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from semisonic.training.options import FitOptions

Y = [KINDS[i % 3] for i in range(24)]
X = [sound(kind, i) for i, kind in enumerate(Y)]


def make(**params: object) -> SoundClassifier:
    arguments: dict[str, object] = {
        "mel": MEL,
        "training": QUICK,
        "pretraining": QUICK_PRETRAIN,
        "device": "cpu",
        "workers": 1,
        "method": "supervised",
    }
    return SoundClassifier(NOTATION, **(arguments | params))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted() -> SoundClassifier:
    return make().fit(X, Y, sample_rate=RATE)


def test_it_learns_from_arrays(fitted: SoundClassifier) -> None:
    test = [sound(kind, 70) for kind in KINDS]
    assert fitted.predict(test, sample_rate=RATE).tolist() == list(KINDS)
    assert fitted.score(test, KINDS, sample_rate=RATE) == 1.0
    assert fitted.classes_.tolist() == sorted(KINDS)
    assert len(fitted.history_) == 12
    scores = fitted.predict_proba(test, sample_rate=RATE)
    assert np.allclose(scores.sum(axis=1), 1)
    assert fitted.embed(test, sample_rate=RATE).shape == (3, 16)


def test_a_class_of_silence_is_named(recwarn: pytest.WarningsRecorder) -> None:
    rng = np.random.default_rng(0)
    faint = [rng.normal(0, 1e-5, RATE // 2) for _ in range(4)]  # -100 dB of full scale
    waves = [*X, *faint, *[np.zeros(RATE // 2)] * 3, X[0] / 2]
    labels = [*Y, *["quiet"] * 4, *["empty"] * 3, "empty"]
    make(near_copies=False, validation=0.0).fit(waves, labels, sample_rate=RATE)
    told = [str(one.message) for one in recwarn if str(one.message).startswith("class ")]
    assert sorted(one.partition(" silent")[0] for one in told) == [
        "class 'empty': 3 of 4 clips are",
        "class 'quiet': 4 of 4 clips are",
    ]
    assert "leave the class out" in told[0]


def test_it_learns_from_a_clip_table_and_scores_it(kinds: Path, others: Path) -> None:
    clf = make().fit(load_clips(kinds))
    assert clf.score(load_clips(others)) == 1.0
    assert clf.score(others) == 1.0
    test = load_clips(others)
    assert clf.predict(test).tolist() == [row[0] for row in test.labels]
    one = clf.predict_proba([others / "hum" / "101.wav"])
    assert np.allclose(one[0], clf.predict_proba(test)[5], atol=1e-6)


def test_classes_without_clips_are_refused_with_the_remedy(kinds: Path) -> None:
    clips = load_clips(kinds)
    rows = [row for row, labels in enumerate(clips.labels) if labels != ("sweep",)]
    with pytest.raises(DataError, match=r"no training clip for sweep.*clips\.keep_classes"):
        make().fit(clips[rows])
    assert make().fit(clips.keep_classes(["hiss", "hum"])).classes_.tolist() == ["hiss", "hum"]


def test_warnings_come_once_and_advice_is_none(
    kinds: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick = {"epochs": 1, **PLAIN}
    with warnings.catch_warnings(record=True) as told, caplog.at_level("INFO", "semisonic"):
        warnings.simplefilter("default")
        for seed in range(2):
            make(training=quick, validation=0.25, seed=seed).fit(kinds)
        make(training=quick).fit(kinds)
    about_recordings = [one for one in told if "No clip names the recording" in str(one.message)]
    assert len(about_recordings) == 2  # once for each line that calls fit
    assert "the option 'group'" in str(about_recordings[0].message)
    (advice,) = (one for one in caplog.records if "none are held out" in one.getMessage())
    assert advice.levelname == "INFO"
    assert "set the option 'validation'" in advice.getMessage()
    assert not [one for one in told if "none are held out" in str(one.message)]


def test_files_and_arrays_give_the_same_classifier(kinds: Path) -> None:
    clips = load_clips(kinds)
    import soundfile as sf

    waves = [sf.read(path, dtype="float32")[0] for path in clips.paths]
    labels = [row[0] for row in clips.labels]
    from_files = make(validation=0).fit(clips)
    from_arrays = make(validation=0).fit(waves, labels, sample_rate=RATE)
    a, b = (clf.predict_proba(waves, sample_rate=RATE) for clf in (from_files, from_arrays))
    assert np.allclose(a, b, atol=1e-5)


def test_unlabelled_sounds_pre_train_the_encoder(kinds: Path, pool: Path) -> None:
    clf = make().fit(kinds, unlabelled=pool)
    assert len(clf.pretraining_history_) == 2
    assert clf.score(kinds) > 0.9
    in_memory = make(validation=0).fit(X[:9], Y[:9], unlabelled=X[9:], sample_rate=RATE)
    assert len(in_memory.pretraining_history_) == 2


def test_by_default_it_is_the_classifier_of_train(kinds: Path, pool: Path, tmp_path: Path) -> None:
    clf = SoundClassifier(seed=0).fit(kinds, unlabelled=pool)
    assert clf.about_["method"] == "probe"  # what 'auto' takes for so few sounds
    semisonic.train(kinds, output=tmp_path / "run", unlabelled=pool)
    theirs = SoundClassifier.load(tmp_path / "run")
    np.testing.assert_array_equal(clf.predict_proba(kinds), theirs.predict_proba(kinds))


def test_one_option_of_a_group_leaves_the_others_to_auto() -> None:
    clf = clone(SoundClassifier()).set_params(training__batch_size=4)
    assert clf.training == {"batch_size": 4}
    assert clf.get_params()["training__epochs"] == SoundClassifier().training.epochs


def test_labelled_files_in_the_pool_are_learnt_from_once(kinds: Path) -> None:
    clf = make().fit(kinds, unlabelled=kinds)
    assert clf.score(kinds) > 0.9
    assert DataPart.from_dict(clf.about_["pretraining"]).n_clips == 0


def test_held_out_sounds_of_a_group_stay_together() -> None:
    four = [f"recording {i // 6}" for i in range(24)]
    held_out = make(validation=0.25).fit(X, Y, sample_rate=RATE, groups=four)
    assert "val_accuracy" in held_out.history_[0]
    whole = make(validation=0.25).fit(X, Y, sample_rate=RATE, groups=["one recording"] * 24)
    assert "val_accuracy" not in whole.history_[0]  # a part of it would be no other recording


def test_validation_sounds_can_be_given(kinds: Path, others: Path) -> None:
    clf = make().fit(load_clips(kinds), validation=load_clips(others))
    assert "val_accuracy" in clf.history_[0]
    pair = make().fit(X[:12], Y[:12], validation=(X[12:], Y[12:]), sample_rate=RATE)
    assert "val_accuracy" in pair.history_[0]
    with pytest.raises(DataError, match="unknown classes bell"):
        make().fit(X, Y, validation=(X[:1], ["bell"]), sample_rate=RATE)


def test_a_clone_is_unfitted_and_equal(fitted: SoundClassifier) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "model_")
    assert is_classifier(copy)
    with pytest.raises(NotFittedError):
        copy.predict(X[:1], sample_rate=RATE)


def test_options_inside_options_have_names() -> None:
    clf = make()
    clf.set_params(mel__n_mels=20, training__epochs=3, dropout=0.1)
    params = clf.get_params()
    assert [params[n] for n in ("mel__n_mels", "training__epochs", "dropout")] == [20, 3, 0.1]
    assert params["mel__sample_rate"] == RATE
    clf.set_params(mel__n_mels=24, mel=MelOptions())
    params = clf.get_params()
    assert (params["mel__n_mels"], params["mel__sample_rate"]) == (24, 22050)
    with pytest.raises(OptionError, match="did you mean 'dropout'"):
        clf.set_params(dropot=0.5)


def test_a_group_of_options_may_be_a_dict_of_those_that_differ() -> None:
    clf = make(
        training={"epochs": 2, "batch_size": 8}, validation=0, method_params={"augment": "weak"}
    )
    params = clone(clf).get_params()
    assert (params["training__epochs"], params["training__patience"]) == (2, 15)
    assert len(clf.fit(X, Y, sample_rate=RATE).history_) == 2
    with pytest.raises(OptionError, match=r"option 'training\.epochs': found 'many'"):
        make(training={"epochs": "many"}).fit(X, Y, sample_rate=RATE)
    with pytest.raises(
        OptionError, match="parameter 'method_params': found 'fixmatch', expected a dict"
    ):
        make(method_params="fixmatch").fit(X, Y, sample_rate=RATE)


def test_scikit_learn_needs_nothing_more_for_sounds_in_arrays() -> None:
    short = FitOptions(epochs=4, learning_rate=5e-3, **PLAIN)
    clf = make(training=short, validation=0, sample_rate=RATE)
    sounds, labels = np.stack(X), np.array(Y)
    groups = np.arange(24) // 3
    scores = cross_val_score(clf, sounds, labels, cv=GroupKFold(2), groups=groups)
    assert scores.shape == (2,)
    assert scores.mean() > 0.5  # NaN where a fit or a score failed
    to_fit = cross_val_score(
        make(training=short, sample_rate=RATE),
        sounds,
        labels,
        cv=GroupKFold(2),
        groups=groups,
        params={"groups": groups},
    )
    assert not np.isnan(to_fit).any()
    pipeline = Pipeline([("classifier", clf)])
    search = GridSearchCV(pipeline, {"classifier__training__epochs": [1, 4]}, cv=2)
    assert search.fit(sounds, labels).predict(sounds).shape == (24,)
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_a_frame_of_somebody_elses_table_is_learned_from(kinds: Path) -> None:
    paths = load_clips(kinds).paths
    frame = pd.DataFrame({"path": paths, "species": [path.parent.name for path in paths]})
    whole = make().fit(frame)
    columns = make().fit(frame.path, frame.species)
    assert whole.classes_.tolist() == columns.classes_.tolist() == sorted(KINDS)
    assert [row["loss"] for row in whole.history_] == [row["loss"] for row in columns.history_]
    assert whole.predict(frame).tolist() == whole.predict(frame.path).tolist()


def test_one_sound_as_it_was_loaded_is_answered(fitted: SoundClassifier) -> None:
    wave = sound("hum", 71)
    assert fitted.predict(wave, sample_rate=RATE).tolist() == ["hum"]
    whole = (wave * 32767).astype(np.int16)
    assert fitted.predict(np.stack([whole, whole], axis=1), sample_rate=RATE).tolist() == ["hum"]
    assert fitted.embed(torch.from_numpy(wave), sample_rate=RATE).shape == (1, 16)
    with pytest.raises(DataError, match="expected the sample rate"):
        fitted.predict(wave)


def test_labels_that_are_numbers_stay_numbers() -> None:
    numbers = [KINDS.index(kind) * 10 for kind in Y]
    clf = make(validation=0).fit(X, numbers, sample_rate=RATE)
    assert clf.predict(X, sample_rate=RATE).tolist() == numbers
    assert clf.classes_.tolist() == [0, 10, 20]


def test_several_labels_a_sound() -> None:
    mixed = [X[i] + X[i + 1] for i in range(12)]
    labels = [(kind,) for kind in Y] + [(Y[i], Y[i + 1]) for i in range(12)]
    clf = make(validation=0).fit(X + mixed, labels, sample_rate=RATE)
    found = clf.predict(X + mixed, sample_rate=RATE)
    assert found.shape == (36, 3)
    assert set(np.unique(found)) <= {0, 1}
    assert clf.score(X + mixed, labels, sample_rate=RATE) > 0.9


def test_a_saved_classifier_answers_the_same(fitted: SoundClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model.zip")
    again = SoundClassifier.load(tmp_path / "model.zip")
    assert np.array_equal(
        fitted.predict_proba(X, sample_rate=RATE), again.predict_proba(X, sample_rate=RATE)
    )
    assert again.predict(X[:3], sample_rate=RATE).tolist() == Y[:3]
    assert clone(again).get_params() == again.get_params()


def test_a_saved_classifier_still_knows_what_it_was_made_from(kinds: Path, tmp_path: Path) -> None:
    make().fit(kinds).save(tmp_path / "a.zip")
    SoundClassifier.load(tmp_path / "a.zip").save(tmp_path / "b.zip")
    first, second = (read_about(tmp_path / name)["about"] for name in ("a.zip", "b.zip"))
    assert first == second
    assert first["training"]["clips"] + first["validation"]["clips"] == 24


def test_long_sounds_are_averaged_over_windows(fitted: SoundClassifier) -> None:
    long = np.concatenate([X[0], X[1]])
    parts = fitted.predict_proba([X[0], X[1]], sample_rate=RATE)
    whole = fitted.predict_proba([long], sample_rate=RATE)
    assert np.allclose(whole[0], parts.mean(axis=0), atol=1e-6)


def test_a_kept_folder_lets_fit_go_on(kinds: Path, tmp_path: Path) -> None:
    first = make(folder=tmp_path).fit(kinds)
    assert (tmp_path / "training" / "checkpoint.pt").is_file()
    again = make(folder=tmp_path).fit(kinds)
    assert again.history_ == first.history_


def test_a_sound_that_cannot_be_read_is_named(fitted: SoundClassifier, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.wav: not audio"):
        fitted.predict([tmp_path / "a.wav"])


def test_wrong_use_is_explained(fitted: SoundClassifier, kinds: Path) -> None:
    with pytest.raises(DataError, match="needs labels"):
        make().fit(X, sample_rate=RATE)
    with pytest.raises(DataError, match="found bell, expected a class of the model"):
        fitted.score(X[:1], ["bell"], sample_rate=RATE)
    file = kinds / "hum" / "00.wav"
    with pytest.raises(DataError, match="twice, expected once"):
        make().fit([file, file], ["a", "b"])
