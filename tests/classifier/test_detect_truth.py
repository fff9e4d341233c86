"""``detect --truth``: what was found, held against label files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from detecting_sounds import EVENTS, write_long

from semisonic.classifier.detection.detect import run_detect
from semisonic.classifier.detection.results import DetectResult
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import DataError
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


def test_labels_of_other_recordings_are_an_error(
    detector: Path, night: tuple[Path, Events], tmp_path: Path
) -> None:
    rows = [{"file": "elsewhere.wav", "start_time": 1.0, "end_time": 1.5, "label": "hum"}]
    write_labels(make_events(rows), tmp_path / "labels.csv", "csv")
    with pytest.raises(DataError, match=r"found no labels for any of the recordings"):
        run(detector, night[0], tmp_path / "run", tmp_path / "labels.csv")
