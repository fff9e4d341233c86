"""``curve`` on ten seconds of sounds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semisonic.classifier import start as synthetic
from semisonic.core.errors import DataError, OptionError
from semisonic.data.options import SynthOptions
from semisonic.experiments.curve import learning_curve
from semisonic.experiments.options import CurveOptions
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load_encoder
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


@pytest.fixture(autouse=True)
def few_synthetic_sounds(monkeypatch) -> None:
    """A synthetic start in a second instead of minutes."""
    sounds = SynthOptions(n_classes=3, clips_per_class=5, clips_per_recording=1, n_pool=0, seed=7)
    monkeypatch.setattr(synthetic, "SYNTH_SOUNDS", sounds)
    config = replace(synthetic.SYNTH_CONFIG, fit=FitOptions(steps=3, batch_size=4))
    monkeypatch.setattr(synthetic, "SYNTH_CONFIG", config)


def options(tiny_set: Path, output: Path, **changes: object) -> CurveOptions:
    values: dict[str, object] = {
        "data": tiny_set / "labelled.csv",
        "unlabelled": tiny_set / "pool",
        "output": output,
        "labels": (2, 0),
        "draws": 2,
        "model": "(4)3c-2p-8fc",
        "mel": MEL,
        "steps": 6,
        "method": "pi-model",
        "goals": (0.4, 1.0),
        "near_copies": False,
        "device": "cpu",
        "workers": 1,
    }
    return CurveOptions(**(values | changes))


def test_both_curves_come_from_every_fold_and_draw(tiny_set, tmp_path) -> None:
    result = learning_curve(options(tiny_set, tmp_path / "run"))
    alone, pool = result.curves
    assert (alone.name, pool.name) == ("labels alone", "labels and pool")
    assert alone.labels == pool.labels == (2.0, 8.0)
    jobs = [
        json.loads(f.read_text(encoding="utf-8"))
        for f in (tmp_path / "run").glob("jobs/*/job.json")
    ]
    assert len(jobs) == 2 * 2 * 2 * 3  # labels, arms, draws, folds
    for curve, arm in ((alone, "labels alone"), (pool, "labels and pool")):
        for point, n in zip(curve.points, (2, 0), strict=True):
            of = [j for j in jobs if j["arm"] == arm and j["labels_per_class"] == n]
            assert point.accuracy.mean == pytest.approx(np.mean([j["accuracy"] for j in of]))
            assert len(point.draws) == 2
    assert {j["n_pool"] > 0 for j in jobs if j["arm"] == "labels and pool"} == {True}
    assert {j["n_pool"] for j in jobs if j["arm"] == "labels alone"} == {0}
    assert result.report.is_file()
    assert (tmp_path / "run" / "figures" / "curve.png").is_file()
    assert any("labels per class" in answer for answer in result.answers)


def test_a_second_call_trains_nothing_and_another_is_told_by_the_option(
    tiny_set, tmp_path, job_times
) -> None:
    chosen = options(tiny_set, tmp_path / "run", labels=(2,), draws=1)
    learning_curve(chosen)
    before = job_times(tmp_path / "run")
    learning_curve(chosen)
    assert job_times(tmp_path / "run") == before
    with pytest.raises(OptionError, match=r"options.labels") as found:
        learning_curve(replace(chosen, labels=(2, 4)))
    assert "{" not in str(found.value)


def test_without_a_pool_no_text_speaks_of_one(tiny_set, tmp_path) -> None:
    result = learning_curve(options(tiny_set, tmp_path / "run", unlabelled=None, draws=1))
    assert [one.name for one in result.curves] == ["labels alone", "labels and unlabelled clips"]
    assert not [text for text in result.answers if "the pool" in text.lower()]
    assert "the other training clips" in result.answers[-1].lower()
    page = re.sub(r"<[^>]+>", "", result.report.read_text(encoding="utf-8"))
    assert "the pool" not in page


def test_numbers_of_labels_are_given_once(tiny_set, tmp_path) -> None:
    with pytest.raises(OptionError, match="each once"):
        learning_curve(options(tiny_set, tmp_path, labels=(2, 2)))


def test_numbers_of_labels_that_are_not_there_are_left_out_and_told(tiny_set, tmp_path) -> None:
    result = learning_curve(options(tiny_set, tmp_path / "run", labels=(2, 50, 0), draws=1))
    assert result.curves[0].labels == (2.0, 8.0)
    assert any("numbers of labels: 50, as the class" in note for note in result.notes)
    text = re.sub(r"<[^>]+>", "", result.report.read_text(encoding="utf-8"))
    assert "Left out of the numbers of labels: 50" in text
    headline = re.search(r"\([\d.]+\s%\sto\s[\d.]+\s%\) with 2 labels per class.*", text)
    assert headline
    assert re.search(r"of \d+ test clips of \d+ recordings", headline[0])
    assert re.search(r"of \d+ test clips of \d+ recordings", result.answers[0])


def test_the_numbers_by_default_serve_four_labels_a_class(tiny_set, tmp_path) -> None:
    rows = [
        r for name in ("low", "high") for r in [f"clips/{name}{i}.wav,{name}" for i in range(4)]
    ]
    (tiny_set / "few.csv").write_text("\n".join(["file,label", *rows]) + "\n", encoding="utf-8")
    plain = options(tiny_set, tmp_path / "run", labels=CurveOptions().labels, draws=1, folds=(1,))
    result = learning_curve(replace(plain, data=tiny_set / "few.csv"))
    assert result.curves[0].labels[:2] == (1.0, 2.0)
    assert any("labels: 4, 8, 16, as the class" in note for note in result.notes)


def test_when_no_number_is_left_the_option_is_named(tiny_set, tmp_path) -> None:
    with pytest.raises(DataError, match=r"option 'labels': found 50, but .* up to 8"):
        learning_curve(options(tiny_set, tmp_path / "run", labels=(50,)))


def test_the_synthetic_start_is_made_once() -> None:
    file = synthetic.synthetic_file("(4)3c-2p-8fc", MEL)
    time = file.stat().st_mtime_ns
    assert synthetic.synthetic_file("(4)3c-2p-8fc", MEL) == file
    assert file.stat().st_mtime_ns == time
    other = synthetic.synthetic_file("(4)3c-2p-8fc", replace(MEL, duration=2 * MEL.duration))
    assert other != file
    assert load_encoder(file).frontend.options == MEL
