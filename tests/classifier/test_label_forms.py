"""Labels in every form that people give, at every door: one and the same classes."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

import semisonic
from calls import cli
from semisonic.classifier.sounds import as_sounds
from semisonic.core.errors import DataError
from sounds import write_sounds

MEL = {"sample_rate": 8000, "duration": 0.5, "n_fft": 256, "hop_length": 128, "n_mels": 16}
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def classifier() -> semisonic.SoundClassifier:
    return semisonic.SoundClassifier(
        "(4)3c-2p-gp",
        mel=MEL,
        training={"epochs": 2},
        method="supervised",
        validation=0,
        calibration="none",
        seed=0,
        device="cpu",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("labels"), 6)


@pytest.fixture(scope="module")
def files(folder) -> list[str]:
    return sorted(map(str, folder.rglob("*.wav")))


def classes(*given: Any) -> tuple[str, ...]:
    return as_sounds(*given).clips.classes


names = st.lists(st.sampled_from(["dog", "cat", "House cat", COMPOSED]), max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=1, max_size=4))
def test_every_form_of_several_labels_is_the_same(several: list[list[str]]) -> None:
    paths = [f"{i}.wav" for i in range(len(several))]
    forms: list[list[Any]] = [
        several,
        [tuple(one) for one in several],
        [np.array(one, dtype=object) for one in several],
        [";".join(one) for one in several],
        [" ; ".join(one) for one in several],
        [str(one) for one in several],
        ["[" + ", ".join(f'"{name}"' for name in one) + "]" for one in several],
        [[unicodedata.normalize("NFD", name) for name in one] for one in several],
        [[f" {name}\u200b " for name in one] for one in several],
        [[name.encode() for name in one] for one in several],
    ]
    expected = as_sounds(paths, several).clips.labels
    assert [set(row) for row in expected] == [set(row) for row in several]
    for form in forms:
        assert as_sounds(paths, form).clips.labels == expected
        frame = pd.DataFrame({"file": paths, "label": pd.Series(form, dtype=object)})
        assert [set(row) for row in as_sounds(frame).clips.labels] == list(map(set, several))


@pytest.mark.parametrize("kind", ["S", "U", object])
def test_bytes_of_hdf5_are_names(files, kind) -> None:
    labels = np.array(["dog", "cat"] * 6).astype(kind)
    assert classes(files, labels) == ("cat", "dog")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(12) % 3, [0, 1, 2]),
        ([10, 9, 8] * 4, [8, 9, 10]),
        (np.arange(12) % 2 == 0, [False, True]),
        ([True, False] * 6, [False, True]),
        ((np.arange(12) % 2).astype(float), [0, 1]),
    ],
)
def test_labels_come_back_as_they_were_given(files, tmp_path, labels, expected) -> None:
    frame = pd.DataFrame({"file": files, "label": labels})
    for fitted in (classifier().fit(files, labels), classifier().fit(frame)):
        fitted.save(tmp_path / "a.zip")
        for one in (fitted, semisonic.SoundClassifier.load(tmp_path / "a.zip")):
            assert one.classes_.tolist() == expected
            assert type(one.classes_.tolist()[0]) is type(expected[0])
            found = one.predict(files)
            assert 0 <= accuracy_score(np.asarray(labels), found) <= 1


def test_unknown_is_answered_only_where_it_was_asked_for(files) -> None:
    waves = [0.1 * np.random.default_rng(i).normal(size=4000) for i in range(12)]
    fitted = classifier().fit(waves, [0, 1] * 6, sample_rate=8000)
    found = fitted.predict([*waves, np.zeros(4000)], sample_rate=8000)
    assert found.dtype.kind == "i"
    assert set(found.tolist()) <= {0, 1}


def test_composed_and_decomposed_names_are_one_class(folder, tmp_path, capsys) -> None:
    rows = [f"{path}," for path in sorted(map(str, folder.rglob("*.wav")))]
    given = [COMPOSED, DECOMPOSED, "dog", "dog "] * 3
    table = tmp_path / "labels.csv"
    lines = ["file,label", *(row + name for row, name in zip(rows, given, strict=True))]
    table.write_text("\n".join(lines), encoding="utf-8")
    assert semisonic.load_clips(table).classes == (COMPOSED, "dog")
    for i, form in enumerate((COMPOSED, DECOMPOSED)):
        (tmp_path / "folders" / f"{form}").mkdir(parents=True, exist_ok=True)
        source = next(iter(sorted(folder.rglob("*.wav"))))
        (tmp_path / "folders" / form / f"{i}.wav").write_bytes(source.read_bytes())
    (tmp_path / "folders" / "dog").mkdir()
    (tmp_path / "folders" / "dog" / "2.wav").write_bytes(source.read_bytes())
    assert semisonic.load_clips(tmp_path / "folders").classes == (COMPOSED, "dog")
    fitted = classifier().fit(table)
    fitted.save(tmp_path / "a.zip")
    found = ["detect", tmp_path / "a.zip", rows[0][:-1], "-o", tmp_path / "out"]
    assert cli(found, ["--classes", DECOMPOSED]) == 0
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text(f"label,threshold\n{DECOMPOSED},0.3\n", encoding="utf-8")
    assert cli(found, ["--threshold", str(thresholds)]) == 0


@pytest.mark.parametrize("name", ["dog\x1b[31m", "do\ng", "dog\x00"])
def test_names_that_nobody_can_read_are_refused(files, tmp_path, name) -> None:
    with pytest.raises(DataError, match="readable characters"):
        as_sounds(files, [name] * 12)
    table = tmp_path / "labels.csv"
    table.write_text(f'file,label\n{files[0]},"{name}"\n{files[6]},cat\n', encoding="utf-8")
    with pytest.raises(DataError):
        semisonic.load_clips(table)


def test_a_separator_is_no_part_of_a_name(tmp_path, folder) -> None:
    source = next(iter(sorted(folder.rglob("*.wav"))))
    for kind in ("a;b", "c"):
        (tmp_path / "sounds" / kind).mkdir(parents=True)
        (tmp_path / "sounds" / kind / f"{kind[0]}.wav").write_bytes(source.read_bytes())
    with pytest.raises(DataError, match="separates labels"):
        semisonic.load_clips(tmp_path / "sounds")


@pytest.mark.parametrize("label", ["['dog', 'cat']", '["dog", "cat"]', "[dog, cat]", "dog;cat"])
def test_lists_as_text_in_tables(folder, tmp_path, label) -> None:
    path = next(iter(sorted(folder.rglob("*.wav"))))
    table = tmp_path / "labels.csv"
    cell = label.replace('"', '""')
    table.write_text(f'file,label\n{path},"{cell}"\n', encoding="utf-8")
    clips = semisonic.load_clips(table)
    assert set(clips.labels[0]) == {"dog", "cat"}
    assert clips.classes == ("cat", "dog")
