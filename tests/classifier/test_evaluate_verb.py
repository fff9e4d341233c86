from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny_sounds import KINDS, MEL, NOTATION, QUICK, RATE, sound, write_kinds

import semisonic
from semisonic.classifier.evaluate import EvaluateResult
from semisonic.core.errors import DataError, ModelError, OptionError

TRAIN = {"method": "supervised", "model": NOTATION, "mel": MEL, "fit": QUICK, "device": "cpu"}


def evaluate(model: Path, data: Path, output: Path, **more: object) -> EvaluateResult:
    options = {"device": "cpu", "bootstrap": 100, "workers": 1} | more
    return semisonic.evaluate(model, data, output, **options)


def test_it_measures_and_reports(trained: Path, others: Path, tmp_path: Path) -> None:
    result = evaluate(trained, others, tmp_path / "run")
    assert result.metrics["accuracy"] == 1.0
    assert not result.overlaps
    assert not result.failures
    folder = tmp_path / "run"
    assert result.report == folder / "report.html"
    page = result.report.read_text(encoding="utf-8")
    assert "100.0" in page
    assert "<img" in page
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert found["n_clips"] == 12
    assert found["classes"] == list(KINDS)
    assert np.array(found["confusion"]).trace() == 12
    cost = found["cost"]
    assert 0 < cost["real_time_factor"] == pytest.approx(1 / (0.5 * cost["clips_a_second"]))
    for words in ("among the best three", "mean average precision", "lwlrap", "real-time factor"):
        assert words in page
    assert "also: top 3 accuracy 100.0 %" in result.summary()
    with (folder / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert all(row["label"] == row["predicted"] for row in rows)
    assert sum(float(rows[0][kind]) for kind in KINDS) == pytest.approx(1, abs=1e-4)
    assert (folder / "figures" / "confusion-matrix.png").is_file()
    assert "accuracy" in result.summary()


def test_mistakes_are_played(trained: Path, tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 1, first=300)
    shutil.move(data / "hum" / "300.wav", data / "hiss" / "301.wav")
    result = evaluate(trained, data, tmp_path / "run")
    assert result.metrics["accuracy"] == pytest.approx(2 / 3)
    page = result.report.read_text(encoding="utf-8")
    assert "<audio" in page
    assert "predicted hum" in page
    assert "hiss as hum (1)" in result.summary()


def test_a_leak_stops_it_under_any_name(trained: Path, kinds: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for file in kinds.rglob("*.wav"):
        copy = data / file.parent.name / f"other {file.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    with pytest.raises(DataError, match=r"not a test: the model was trained on.*give --allow-seen"):
        evaluate(trained, data, tmp_path / "run")
    result = evaluate(trained, data, tmp_path / "run", allow_seen=True)
    assert {overlap.role for overlap in result.overlaps} == {"training", "validation"}
    assert "warning: the model was trained on" in result.summary()
    assert "the numbers are too good" in result.report.read_text(encoding="utf-8")


def test_unknown_labels_are_named(trained: Path, tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 2, first=300)
    (data / "bell").mkdir()
    sf.write(data / "bell" / "0.wav", sound("hum", 999), RATE)
    with pytest.raises(DataError, match="does not know 1 of its classes: bell"):
        evaluate(trained, data, tmp_path / "run")
    result = evaluate(trained, data, tmp_path / "run2", allow_unknown=True)
    assert "left out, as the model does not know their labels: bell" in result.summary()
    assert result.metrics["n_clips"] == 6


def test_a_set_with_fewer_classes_keeps_the_order_of_the_model(
    trained: Path, tmp_path: Path
) -> None:
    data = write_kinds(tmp_path / "data", 2, first=300)
    shutil.rmtree(data / "hiss")
    result = evaluate(trained, data, tmp_path / "run")
    assert result.metrics["accuracy"] == 1.0
    assert result.measurement.clips.classes == KINDS


def test_files_that_cannot_be_read_are_listed(trained: Path, tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 2, first=300)
    (data / "hum" / "bad.wav").write_text("no sound", encoding="utf-8")
    result = evaluate(trained, data, tmp_path / "run")
    assert [name for name, _ in result.failures] == ["hum/bad.wav"]
    assert result.metrics["n_clips"] == 6
    assert "bad.wav" in (tmp_path / "run" / "bad_files.csv").read_text(encoding="utf-8")


def test_a_fold_left_out_of_training_can_be_scored(tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 6)
    with (data / "table.csv").open("w", encoding="utf-8") as stream:
        stream.write("file,label,fold\n")
        stream.writelines(
            f"{kind}/{i:02d}.wav,{kind},{1 + i % 3}\n" for kind in KINDS for i in range(6)
        )
    table = data / "table.csv"
    semisonic.train(table, tmp_path / "run", test_fold=2, **TRAIN)
    result = evaluate(tmp_path / "run", table, tmp_path / "test", fold=2)
    assert result.metrics["n_clips"] == 6
    assert not result.overlaps
    with pytest.raises(DataError, match="not a test"):
        evaluate(tmp_path / "run", table, tmp_path / "all")


def test_several_labels_a_clip_go_the_whole_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["file,label"]
    for number in range(36):
        chosen = sorted(rng.choice(KINDS, size=1 + number % 2, replace=False))
        wave = sum(sound(kind, 700 + number) for kind in chosen)
        sf.write(tmp_path / f"{number:02d}.wav", wave / 2, RATE, subtype="FLOAT")
        lines.append(f"{number:02d}.wav,{';'.join(chosen)}")
    for name, rows in (("train", lines[:25]), ("test", lines[:1] + lines[25:])):
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    trained = semisonic.train(tmp_path / "train.csv", tmp_path / "run", **TRAIN)
    assert trained.outcome.model.multi_label
    assert "lwlrap" in trained.summary()
    result = evaluate(tmp_path / "run", tmp_path / "test.csv", tmp_path / "test")
    assert result.metrics["lwlrap"] > 0.7
    assert "average precision" in result.report.read_text(encoding="utf-8")


def test_each_part_is_measured_by_itself(trained: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for site in ("POND", "HILL"):
        for number, kind in enumerate(KINDS):
            for i in range(2):
                heard = (
                    kind if site == "POND" else "hum"
                )  # on the hill all labels but one are wrong
                file = data / kind / f"{site}_2024060{1 + i}_04300{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                sf.write(file, sound(heard, 400 + i + 10 * number + 50 * (site == "HILL")), RATE)
    by = ("site", "label", "hour")
    result = evaluate(trained, data, tmp_path / "run", by=by)
    parts = result.parts.set_index(["by", "part"])
    assert parts.value["site", "POND"] == parts.value["label", "hum"] == 1.0
    assert parts.value["site", "HILL"] == pytest.approx(1 / 3)
    assert parts.loc["site"].clips.sum() == 12
    assert parts.loc["hour"].index.tolist() == ["04 h"]
    assert "worst by site: HILL 33.3 % of 6 clips" in result.summary()
    with (tmp_path / "run" / "parts.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["by"], row["part"]) for row in rows} >= {("site", "HILL"), ("hour", "04 h")}
    assert "By site, worst first" in result.report.read_text(encoding="utf-8")


def test_parts_that_no_name_tells_are_an_error(trained: Path, others: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no file name with a time"):
        evaluate(trained, others, tmp_path / "run", by=("hour",))


def test_a_report_is_made_anew_in_the_folder_of_its_run(trained: Path, tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 2, first=300)
    for number, path in enumerate(sorted(data.rglob("*.wav"))):
        path.rename(path.with_name(f"SITE{number % 2}_20240601_04{number:02d}00.wav"))
    evaluate(trained, data, tmp_path / "run")
    assert not (tmp_path / "run" / "parts.csv").exists()
    before = (tmp_path / "run" / "scores.csv").read_bytes()
    found = evaluate(trained, data, tmp_path / "run", by=("site",), bootstrap=200)
    assert set(found.parts["by"]) == {"site"}
    assert "SITE1" in (tmp_path / "run" / "parts.csv").read_text(encoding="utf-8")
    assert (tmp_path / "run" / "scores.csv").read_bytes() == before
    with pytest.raises(OptionError, match="belongs to another run"):
        evaluate(trained, data, tmp_path / "run", allow_unknown=True)


def test_a_model_that_is_not_there_is_named(others: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        evaluate(tmp_path / "nothing.zip", others, tmp_path / "run")
    with pytest.raises(ModelError, match=r"found no model\.zip"):
        evaluate(tmp_path, others, tmp_path / "run")
