"""A recording that was replaced by one of the same size and time is another recording."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import semisonic
from calls import cli
from sounds import FRONT_END, RATE, write_sounds

TRAIN = f"{FRONT_END}--model (4)3c-2p-gp --epochs 1 --method supervised --device cpu -q"


def replace_keeping_times(file: Path, seed: int = 0) -> None:
    """As ``cp -p`` and ``rsync -t`` do: other sound, the same size and modification time."""
    before = file.stat()
    other = file.with_suffix(".new")
    noise = np.random.default_rng(seed).normal(0, 0.2, RATE // 2)
    sf.write(other, noise, RATE, format="WAV")
    assert other.stat().st_size == before.st_size
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, file)
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def data_of(run: Path) -> str:
    (found,) = json.loads((run / "run.json").read_text("utf-8"))["data"].values()
    return str(found)


pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no status time")


def test_a_training_uses_the_new_sound_and_records_its_hash(tmp_path: Path) -> None:
    sounds = write_sounds(tmp_path / "sounds", 6)
    once = ("train", sounds, "--cache", tmp_path / "cache", TRAIN, "-o")
    assert cli(*once, tmp_path / "before") == 0
    assert cli(*once, tmp_path / "same") == 0
    replace_keeping_times(sounds / "tone" / "tone3.wav")
    assert cli(*once, tmp_path / "after") == 0
    fresh = ("train", sounds, "--cache", tmp_path / "empty", TRAIN, "-o", tmp_path / "fresh")
    assert cli(*fresh) == 0
    runs = [tmp_path / name for name in ("before", "same", "after", "fresh")]
    before, same, after, anew = map(data_of, runs)
    assert before == same
    assert after == anew != before
    first, _, last, newest = (semisonic.SoundClassifier.load(run / "model.zip") for run in runs)
    scores = [model.predict_proba(sounds) for model in (first, last, newest)]
    np.testing.assert_array_equal(scores[1], scores[2])
    assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize(
    ("command", "table"),
    [
        ("embed encoder.zip sounds -o out", "embeddings.npy"),
        ("scan sounds -o out", "recordings.csv"),
        ("detect model.zip sounds --classes noise --threshold 0.01 -o out", "events.csv"),
    ],
)
def test_a_second_call_reads_what_was_replaced(place: Path, command: str, table: str) -> None:
    def result() -> bytes:
        assert cli(command, "--workers 1 -q") == 0
        return (place / "out" / table).read_bytes()

    before = result()
    assert result() == before
    replace_keeping_times(place / "sounds" / "tone" / "tone1.wav")
    assert result() != before
