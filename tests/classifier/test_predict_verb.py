from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny_sounds import KINDS, RATE, sound

import semisonic
from semisonic.classifier.model_file import open_model
from semisonic.classifier.predict import PredictResult, predict_files
from semisonic.core.errors import DataError, ModelError
from semisonic.data.datasets.load import gather, load_clips

Predict = Callable[..., PredictResult]


@pytest.fixture
def predict(trained: Path, others: Path) -> Predict:
    """The verb on four recordings of each kind, unless other files are given."""
    return partial(semisonic.predict, trained, files=others, device="cpu", workers=1)


def test_one_row_a_file(predict: Predict, others: Path) -> None:
    result = predict()
    assert len(result.rows) == result.n_rows == result.n_clips == 12
    for file, start_time, end_time, *best in result.rows:
        assert best[0] == Path(file).parent.name
        assert set(best[::2]) == set(KINDS)
        assert best[1::2] == sorted(best[1::2], reverse=True)
        assert (start_time, end_time) == (0.0, 0.5)
        assert Path(file).is_file()
    assert "hum" in result.summary()
    assert result.audio_seconds == pytest.approx(6.0)


def test_the_table_goes_to_a_file(predict: Predict, tmp_path: Path) -> None:
    output = tmp_path / "answers" / "table.csv"
    result = predict(output=output, top=2)
    with output.open() as stream:
        rows = list(csv.DictReader(stream))
    columns = ("file", "start_time", "end_time", "label", "score", "label_2", "score_2")
    assert tuple(rows[0]) == result.columns == columns
    assert len(rows) == result.n_rows == 12
    assert rows[0]["label"] == result.rows[0][3]
    assert float(rows[0]["score"]) == pytest.approx(result.rows[0][4], abs=1e-4)


def test_names_that_a_spreadsheet_takes_for_formulas_are_read_back_as_they_were(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sf.write("=a.wav", sound("hum", 1), RATE)
    predict = partial(predict, files="=a.wav")
    written = predict(output="table.csv")
    assert "\n'=a.wav," in Path("table.csv").read_text(encoding="utf-8")
    assert predict().to_frame()["file"].tolist() == ["=a.wav"]
    assert written.to_frame()["file"].tolist() == ["=a.wav"]


def test_one_row_a_window(predict: Predict, tmp_path: Path) -> None:
    wave = np.concatenate([sound(kind, 60) for kind in KINDS])
    sf.write(tmp_path / "a.wav", wave, RATE)
    result = predict(files=(tmp_path / "a.wav",), windows=True)
    assert [row[3] for row in result.rows] == list(KINDS)
    assert [row[1] for row in result.rows] == [0.0, 0.5, 1.0]
    finer = predict(files=(tmp_path / "a.wav",), windows=True, hop=0.25)
    assert len(finer.rows) == 5
    whole = predict(files=(tmp_path / "a.wav",), top=3)
    by_label, *each = [
        dict(zip(row[3::2], row[4::2], strict=True)) for row in (*whole.rows, *result.rows)
    ]
    assert by_label["hum"] == pytest.approx(np.mean([row["hum"] for row in each]), abs=1e-6)


def test_failures_are_isolated(predict: Predict, others: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    files = (
        tmp_path / "bad.wav",
        others / "hum",
        tmp_path / "missing.wav",
        tmp_path / "empty",
    )
    result = predict(files=files)
    assert result.n_clips == 4
    assert {Path(name).name for name, _ in result.failures} == {"bad.wav", "missing.wav", "empty"}
    assert "missing.wav" in result.summary()
    with pytest.raises(DataError, match=r"nothing to read: .*missing\.wav: no such file or folder"):
        predict(files=(tmp_path / "missing.wav",))


def test_a_recording_that_was_cut_off_is_scored_and_listed(
    predict: Predict, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.wav"
    sf.write(cut, np.concatenate([sound("hum", 60 + i) for i in range(3)]), RATE)
    cut.write_bytes(cut.read_bytes()[: 44 + 2 * RATE])  # a second of 1.5 s
    (tmp_path / "clips.csv").write_text(
        "file,start_time,end_time\ncut.wav,0,0.5\ncut.wav,0.5,1.0\n", encoding="utf-8"
    )
    for options in ({}, {"output": tmp_path / "table.csv"}, {"workers": 2}):
        result = predict(files=(cut,), **options)
        assert (result.n_clips, result.audio_seconds) == (1, pytest.approx(1.0))
        ((name, reason),) = result.failures
        assert Path(name).name == "cut.wav"
        assert reason == "truncated: the header promises 1.50 s, found 1.00 s"
        assert "1 file could not be read completely:" in result.summary()
    parts = predict(files=(tmp_path / "clips.csv",))
    assert (parts.n_clips, len(parts.failures)) == (2, 1)  # the first part is whole


def test_an_unfinished_table_is_not_left_behind(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semisonic.classifier import predict as module

    def broken(*_: object, **__: object) -> object:
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "score_clips", broken)
    with pytest.raises(KeyboardInterrupt):
        predict(output=tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_clips_is_predicted_clip_by_clip(predict: Predict, tmp_path: Path) -> None:
    wave = np.concatenate([sound(kind, 60) for kind in KINDS])
    sf.write(tmp_path / "a.wav", wave, RATE)
    (tmp_path / "clips.csv").write_text(
        "file,start_time,end_time\na.wav,0.5,1.0\na.wav,1.0,1.5\n", encoding="utf-8"
    )
    result = predict(files=(tmp_path / "clips.csv",))
    assert [row[3] for row in result.rows] == ["hum", "sweep"]
    assert [row[1] for row in result.rows] == [0.5, 1.0]


def test_a_file_named_twice_is_scored_once(others: Path) -> None:
    clips, failures = gather([others, others / "hum" / "100.wav", others])
    assert len(clips) == 12
    assert not failures


def test_upper_case_names_and_folders_within_folders(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    sf.write(tmp_path / "x" / "y" / "A.WAV", sound("hum", 1), RATE)
    clips, _ = gather([tmp_path])
    assert clips.file.tolist() == [(tmp_path / "x" / "y" / "A.WAV").as_posix()]


def test_predict_files_takes_a_clip_table(trained: Path, others: Path) -> None:
    clips = load_clips(others)
    result = predict_files(open_model(trained), clips, top=1)
    assert [row[3] for row in result.rows] == [labels[0] for labels in clips.labels]


def test_a_file_that_is_no_model_is_refused(others: Path) -> None:
    with pytest.raises(ModelError):
        semisonic.predict(others / "hum" / "100.wav", others)
