"""A verb that cannot do what is asked ends with 2, one that some files failed in with 3."""

from __future__ import annotations

import pytest

from sounds import FRONT_END


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("detect model.zip sounds --hop 9", "clip length, 0.5 s"),
        ("detect model.zip sounds --threshold 2", "at most 1"),
        ("detect model.zip sounds --times frame", "did you mean 'frames'"),
        ("detect model.zip sounds --classes nois", "did you mean 'noise'"),
        ("detect model.zip sounds --min-duration -1", "at least 0"),
        ("detect model.zip sounds --format csv,audasity", "did you mean 'audacity'"),
        ("export model.zip --to onix", "did you mean 'onnx'"),
        ("export model.zip --quantize int8", "calibrate_on"),
        ("export model.zip --check-on nowhere", "nowhere"),
        ("embed model.zip nowhere", "nothing to embed"),
        ("embed no.zip sounds", "no such file"),
        ("embed model.zip sounds --per file", "window"),
        ("search sounds sounds/tone/tone1.wav", "expected the folder of an index"),
        ("search nowhere", "expected the folder of an index"),
        ("map index --projection pcb", "did you mean 'pca'"),
        ("calibrate model.zip labels.csv --method vektor", "did you mean 'vector'"),
        ("calibrate model.zip labels.csv --precision 1.5", "at most"),
        ("suspects labels.csv --repeats 0", "at least 1"),
        ("suspects labels.csv --folds x", "folds"),
        ("predict encoder.zip sounds", "semisonic train DATA --encoder encoder.zip"),
        ("project suggest nothing", "'semisonic project new"),
        ("project learn sounds", "'semisonic project new"),
        ("project new", "recordings"),
        ("project look", "no verb 'look'"),
        ("suggest model.zip sounds --log none.jsonl", "no such label log"),
        ("suggest model.zip sounds --strategy mixed", "strategy"),
        ("suggest no.zip sounds", "no.zip"),
    ],
)
def test_wrong_use_is_said(place, tells, command, text) -> None:
    assert text in tells(2, command, "-q").err
    assert not list(place.glob("model.onnx*"))


QUICK = f"{FRONT_END} --model (4)3c-2p-8fc --epochs 1 --batch-size 4 --device cpu --precision fp32"


@pytest.mark.parametrize(
    "command",
    [
        "predict model.zip sounds",
        "detect model.zip sounds --threshold 0.2",
        "embed model.zip sounds",
        "suggest model.zip sounds -n 2",
        "export model.zip --to torch --check-on sounds",
        "evaluate model.zip sounds --bootstrap 100",
        f"suspects sounds --folds 2 {FRONT_END}",
        f"train sounds --method supervised --group file --validation 0 {QUICK}",
        f"pretrain sounds {QUICK}",
        "scan sounds",
        "data info sounds",
        "data check sounds",
    ],
)
def test_a_file_that_is_no_sound_gives_status_3(place, tells, monkeypatch, command) -> None:
    monkeypatch.setattr("semisonic.classifier.simple.N_TREES", 20)
    (place / "sounds" / "tone" / "bad.wav").write_text("no sound", encoding="utf-8")
    said = tells(3, command, "-q")
    assert "bad.wav" in said.out + said.err
