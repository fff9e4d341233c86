"""``detect --truth``: what was found, held against label files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import soundfile as sf
from detecting_sounds import EVENTS, long_wave, write_long
from tiny_sounds import RATE

import semisonic
from semisonic.classifier.detection.detect import run_detect
from semisonic.classifier.detection.results import DetectResult
from semisonic.classifier.options import EventOptions
from semisonic.cli.main import main
from semisonic.core.errors import DataError, OptionError
from semisonic.data.events import Events, make_events
from semisonic.data.formats.label_files import write_labels
from semisonic.evaluation.events import score_overlaps


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Events]:
    folder = tmp_path_factory.mktemp("field")
    return folder, write_long(folder / "night.wav")


def run(detector: Path, folder: Path, output: Path, truth: Path) -> DetectResult:
    files = (folder / "night.wav",)
    return run_detect(detector, files, output, EventOptions(), truth=truth, device="cpu")


@pytest.mark.parametrize("kind", ["csv", "raven", "audacity"])
def test_a_good_model_finds_what_is_marked(
    detector: Path, night: tuple[Path, Events], tmp_path: Path, kind: str
) -> None:
    folder, true = night
    labels = tmp_path / ("labels" if kind != "csv" else "labels.csv")
    write_labels(true, labels, kind, root=Path.cwd())
    found = run(detector, folder, tmp_path / "run", labels).truth
    assert found is not None
    assert found.noticed.overall.n_true == len(EVENTS)
    assert found.noticed.overall.f1 == 1.0


@pytest.mark.parametrize(
    "ends", ["offset,duration", "begin,end", "onset,offset", "start_ms,end_ms"]
)
def test_the_times_of_other_tools_are_those_of_the_events(
    detector: Path, night: tuple[Path, Events], tmp_path: Path, ends: str
) -> None:
    folder, true = night
    lines = [f"file,{ends},label"]
    for file, start, end, label in true.iloc[:, :4].itertuples(index=False):
        second = end - start if "duration" in ends else end
        by = 1000 if "ms" in ends else 1
        lines.append(f"{Path(file).absolute()},{start * by!r},{second * by!r},{label}")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    found = run(detector, folder, tmp_path / "run", tmp_path / "labels.csv").truth
    assert found is not None
    assert found.noticed.overall.f1 == 1.0


def test_marks_that_were_missed_and_unknown_labels_count_as_they_should(
    detector: Path, night: tuple[Path, Events], tmp_path: Path
) -> None:
    folder, true = night
    more = [
        {"file": str(folder / "night.wav"), "start_time": 18.0, "end_time": 18.5, "label": "hum"},
        {"file": str(folder / "night.wav"), "start_time": 1.0, "end_time": 1.5, "label": "owl"},
        {"file": "elsewhere.wav", "start_time": 1.0, "end_time": 1.5, "label": "hum"},
    ]
    rows = [*true.to_dict("records")[1:], *more]
    write_labels(make_events(rows), tmp_path / "labels.csv", "csv", root=Path.cwd())
    result = run(detector, folder, tmp_path / "run", tmp_path / "labels.csv")
    found = result.truth
    assert found is not None
    assert found.unknown == ("owl",)
    assert found.n_recordings == 1
    counts = found.noticed.by_class["hum"]  # one of two is marked, one mark is no hum
    assert (counts.n_true, counts.n_found, counts.n_matched) == (2, 2, 1)
    known = make_events(rows)
    known = known[(known.label != "owl") & (known.file != "elsewhere.wav")]
    assert found.noticed.overall.f1 == score_overlaps(known, result.events).overall.f1
    with (tmp_path / "run" / "truth.csv").open() as stream:
        table = {row["label"]: row for row in csv.DictReader(stream)}
    assert float(table["hum"]["recall"]) == 0.5
    assert "Annotated, but not searched for: owl" in (
        tmp_path / "run" / "detections.html"
    ).read_text(encoding="utf-8")
    assert "recall 0.75" in result.summary()
    assert "annotated, but not searched for: owl" in result.summary()


def test_chosen_thresholds_are_kept_for_detect_and_listen(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = tuple((3.0 + 5 * n, 1.0, ("hum", "sweep")[n % 2]) for n in range(14))
    night, table = tmp_path / "night.wav", tmp_path / "thresholds.csv"
    sf.write(night, long_wave(80.0, places), RATE)
    true = make_events(
        {"file": str(night), "start_time": at, "end_time": at + length, "label": label}
        for at, length, label in places
    )
    write_labels(true, tmp_path / "labels.csv", "csv", root=Path.cwd())
    words = ["detect", detector, night, "-o", tmp_path / "run", "--device", "cpu"]
    more = ["--truth", tmp_path / "labels.csv", "--save-thresholds", table]
    assert main([*map(str, [*words, *more])]) == 0
    shown = capsys.readouterr().out
    assert "each tested on parts of the recordings that it was not chosen on" in shown
    assert (tmp_path / "run" / "by_threshold.csv").is_file()
    assert "Precision, recall, F1 and false alarms per hour by threshold" in (
        tmp_path / "run" / "detections.html"
    ).read_text(encoding="utf-8")
    chosen = dict(row.values() for row in csv.DictReader(table.open()))
    assert sorted(chosen) == ["hum", "sweep"]
    lower = semisonic.detect(detector, night, threshold=0.05, device="cpu").events
    again = semisonic.detect(detector, night, threshold=table, device="cpu").events
    kept = [
        score >= float(chosen[label]) for score, label in zip(lower.score, lower.label, strict=True)
    ]
    assert again[["start_time", "end_time", "score"]].to_numpy().tolist() == (
        lower[kept][["start_time", "end_time", "score"]].to_numpy().tolist()
    )
    assert score_overlaps(true, again).overall.f1 >= score_overlaps(true, lower).overall.f1
    listen = ["listen", detector, "--input", night, "--speed", 0, "--threshold", table]
    assert main([*map(str, listen), "--device", "cpu"]) == 0


@pytest.mark.parametrize("words", ["--save-thresholds t.csv", "--max-false-alarms 1"])
def test_thresholds_are_chosen_by_annotated_events_alone(
    detector: Path, night: tuple[Path, Events], words: str
) -> None:
    assert main(["detect", str(detector), str(night[0] / "night.wav"), *words.split()]) == 2


def test_a_table_with_two_thresholds_of_a_class_is_refused(
    detector: Path, night: tuple[Path, Events], tmp_path: Path
) -> None:
    table = tmp_path / "thresholds.csv"
    table.write_text("label,threshold\nhum,0.3\nhum,0.7\n", encoding="utf-8")
    with pytest.raises(OptionError, match="two rows"):
        semisonic.detect(detector, night[0], threshold=table, device="cpu")


def test_columns_of_a_table_of_thresholds_that_are_not_used_are_named(
    detector: Path, night: tuple[Path, Events], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "thresholds.csv"
    table.write_text("label,threshold,min_duration\nhum,0.3,2\n", encoding="utf-8")
    semisonic.detect(detector, night[0], threshold=table, device="cpu")
    assert "not used: min_duration" in caplog.text


def test_labels_of_other_recordings_are_an_error(
    detector: Path, night: tuple[Path, Events], tmp_path: Path
) -> None:
    rows = [{"file": "elsewhere.wav", "start_time": 1.0, "end_time": 1.5, "label": "hum"}]
    write_labels(make_events(rows), tmp_path / "labels.csv", "csv")
    with pytest.raises(DataError, match=r"found no labels for any of the recordings"):
        run(detector, night[0], tmp_path / "run", tmp_path / "labels.csv")
