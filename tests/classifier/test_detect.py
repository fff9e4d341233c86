"""Events in long recordings: found, placed, filtered; failures stay with their file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from detecting_sounds import EVENTS, long_wave, write_long
from tiny_sounds import RATE

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.detection.detect import detect, run_detect
from semisonic.classifier.detection.results import DetectResult
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.evaluation.events import score_events, score_overlaps
from semisonic.models.decision import TEMPERATURE, Calibration, Decision


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "night.wav"
    write_long(path)
    return path


def test_events_are_found_where_they_are(detector: Path, recording: Path, tmp_path: Path) -> None:
    true = write_long(tmp_path / "night.wav")
    found = detect(detector, tmp_path / "night.wav", device="cpu")
    assert found.with_frames
    scores = score_events(true, found.events, onset_collar=0.15, offset_collar=0.15, offset_share=0)
    assert scores.overall.f1 == 1.0
    assert (found.events.score >= 0.5).all()
    assert (found.events.mean_score <= found.events.score).all()
    assert found.durations == {(tmp_path / "night.wav").as_posix(): 20.0}
    assert "hum" in found.summary()


def test_frames_place_events_better_than_windows(detector: Path, recording: Path) -> None:
    from semisonic.data.events import make_events

    true = make_events(
        {"file": recording, "start_time": a, "end_time": a + n, "label": label}
        for a, n, label in EVENTS
    )
    errors = {}
    for times in ("frames", "windows"):
        found = detect(detector, recording, times=times, device="cpu").events
        counts = score_overlaps(true, found).overall
        assert counts.n_matched == len(EVENTS)
        errors[times] = np.abs([counts.onset_errors, counts.offset_errors]).mean()
    assert errors["frames"] < errors["windows"]


def test_the_rules(detector: Path, recording: Path) -> None:
    def labels(**settings: object) -> list[str]:
        return detect(detector, recording, device="cpu", **settings).events.label.tolist()

    assert labels() == [label for _, _, label in EVENTS]
    assert labels(classes=("sweep",)) == ["sweep", "sweep"]
    assert labels(merge_gap=10.0, classes=("hum",)) == ["hum"]
    assert labels(min_duration=0.75) == ["hum", "hum"]
    assert labels(background=("hum", "background")) == ["sweep", "sweep"]
    assert "background" in labels(classes=("background",))
    loud = detect(detector, recording, device="cpu", threshold=1.0).events
    assert set(loud.label.tolist()) <= {"hum", "sweep"}


def test_thresholds_of_a_table_and_of_none(
    detector: Path, recording: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "thresholds.csv"
    for text, message in (
        ("class,threshold\nhum,0.5\n", "expected label and threshold"),
        ("label,threshold\nhmm,0.5\n", "did you mean 'hum'"),
        ("label,threshold\nhum,much\n", "class 'hum'"),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(OptionError, match=message):
            detect(detector, recording, threshold=table, device="cpu")
    table.write_text("label,threshold\nhum,1\n", encoding="utf-8")
    found = detect(detector, recording, threshold=table, device="cpu")
    assert found.thresholds == {"hum": 1.0, "sweep": 0.5}
    detect(detector, recording, device="cpu")
    assert "no thresholds: using 0.5" in caplog.text


@pytest.mark.parametrize(
    ("run", "settings", "text"),
    [
        ("detector", {"threshold": 1.5}, "above 0 and at most 1"),
        ("detector", {"threshold": "0,5"}, "expected 'auto', a number"),
        ("detector", {"hop": 0.6}, "at most the model's clip length"),
        ("detector", {"classes": ("humm",)}, "did you mean 'hum'"),
        ("detector", {"background": ("hum", "sweep", "background")}, "give the classes to find"),
        ("detector", {"edge": 2.0}, "at most 1"),
        ("detector", {"gap": 2.0}, "unknown option 'gap'"),
        ("trained", {"times": "frames"}, "use 'windows'"),
    ],
)
def test_wrong_settings(
    request: pytest.FixtureRequest,
    recording: Path,
    run: str,
    settings: dict[str, object],
    text: str,
) -> None:
    with pytest.raises(OptionError, match=text):
        detect(request.getfixturevalue(run), recording, device="cpu", **settings)


def test_short_silent_and_uneven_recordings(detector: Path, tmp_path: Path) -> None:
    for name, seconds in (("a", 0.2), ("b", 0.5), ("c", 0.73), ("d", 3.14159)):
        sf.write(tmp_path / f"{name}.wav", np.zeros(round(seconds * RATE)), RATE)
    sf.write(tmp_path / "e.wav", long_wave(4.0)[: round(3.7 * RATE)], RATE)
    found = detect(detector, tmp_path, classes=("hum",), device="cpu")
    assert not found.failures
    assert [Path(name).name for name in set(found.events.file.tolist())] == ["e.wav"]
    assert found.events.end_time.max() <= 3.7
    assert list(found.durations.values()) == pytest.approx([0.2, 0.5, 0.73, 3.14159, 3.7], abs=1e-4)


def test_failures_stay_with_their_file(detector: Path, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound", encoding="utf-8")
    sf.write(tmp_path / "whole.flac", long_wave(), RATE)
    content = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "torn.flac").write_bytes(content[: len(content) * 2 // 5])
    run = partial(
        run_detect, detector, output=tmp_path / "run", events=EventOptions(), device="cpu"
    )
    found = run((tmp_path, tmp_path / "missing.wav"))
    assert {Path(n).name for n, _ in found.failures} == {"bad.wav", "torn.flac", "missing.wav"}
    events = found.events
    torn = events[events.file == (tmp_path / "torn.flac").as_posix()]
    assert torn.label.tolist() == ["hum", "sweep"]
    assert len(events) == len(EVENTS) + len(torn)
    listed = (tmp_path / "run" / "bad_files.csv").read_text(encoding="utf-8")
    assert "torn.flac" in listed
    (tmp_path / "bad.wav").unlink()
    (tmp_path / "torn.flac").unlink()
    run((tmp_path / "whole.flac",))
    assert not (tmp_path / "run" / "bad_files.csv").exists()
    with pytest.raises(DataError):
        detect(detector, tmp_path / "nothing.wav")


def test_scores_are_used_again(detector: Path, recording: Path, tmp_path: Path) -> None:
    def run(**settings: object) -> DetectResult:
        return detect(detector, recording, output=tmp_path, device="cpu", **settings)

    first = run()
    assert first.scored_seconds == pytest.approx(20.0, abs=0.1)
    again = run(threshold=0.9, merge_gap=0.0)
    assert again.scored_seconds == 0
    assert run(hop=0.25).scored_seconds > 0
    recording.touch()
    assert run(hop=0.25).scored_seconds > 0


def test_a_run_folder_belongs_to_one_model(detector: Path, recording: Path, tmp_path: Path) -> None:
    run = partial(run_detect, detector, (recording,), tmp_path, device="cpu")
    found = run(EventOptions())
    lines = (tmp_path / "events.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "file,start_time,end_time,label,score,mean_score,recorded_at,site"
    assert len(lines) == len(found.events) + 1
    assert [float(line.split(",")[1]) for line in lines[1:]] == found.events.start_time.tolist()
    page = (tmp_path / "detections.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 2
    assert "timeline" not in page or "When sounds were heard" in page
    run(EventOptions(threshold="0.8"))
    with pytest.raises(OptionError, match="belongs to another run"):
        run(EventOptions(hop=0.2))


def test_a_model_in_memory_gives_a_frame(detector: Path, recording: Path) -> None:
    frame = detect(open_model(detector), [recording], device="cpu").events
    assert frame["label"].tolist() == [label for _, _, label in EVENTS]
    classifier = SoundClassifier.load(detector)
    assert classifier.detect(recording, device="cpu").events.equals(frame)
    hums = classifier.detect([recording], classes=("hum",), device="cpu").events
    assert hums.label.tolist() == ["hum", "hum"]


def test_the_model_decides_where_it_can(detector: Path, recording: Path, tmp_path: Path) -> None:
    before = detect(open_model(detector), recording, output=tmp_path, device="cpu")
    model = open_model(detector)
    own = {"hum": 0.3, "sweep": 0.45, "background": 0.5}
    model.decision = Decision(Calibration(TEMPERATURE, (0.5,), (0.0,)), own)
    found = detect(model, recording, output=tmp_path, device="cpu")
    assert found.scored_seconds > 0, "scores of a model with another decision were used"
    assert found.thresholds == {"hum": 0.3, "sweep": 0.45}
    assert found.events.score.max() < before.events.score.max()
    model.decision = replace(model.decision, thresholds={})
    again = detect(model, recording, output=tmp_path, device="cpu", threshold=1.0)
    assert again.scored_seconds == 0, "thresholds change no score"
    assert len(again.events) == 0


def test_classes_that_count_as_background_are_named(detector: Path, recording: Path) -> None:
    result = detect(detector, recording, device="cpu")
    assert result.background == ("background",)
    assert "not searched for, as background: background" in result.summary()
    assert detect(detector, recording, classes=("hum",), device="cpu").background == ()


def test_a_classifier_that_is_not_fitted_is_named(recording: Path) -> None:
    with pytest.raises(ModelError, match="not fitted"):
        detect(SoundClassifier(), recording)
