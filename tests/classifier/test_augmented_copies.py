"""Changed copies of training clips."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile as sf

from semisonic.audio.read import read
from semisonic.data.clips import Clips
from semisonic.experiments.material import augmented_copies

RATE = 16_000


def tones(folder: Path) -> Clips:
    time = np.arange(2 * RATE) / RATE
    rows = []
    for i in range(3):
        sf.write(folder / f"{i}.wav", 0.3 * np.sin(2 * np.pi * 440 * time), RATE)
        rows.append(
            {"file": f"{i}.wav", "labels": "dog" if i else "rain", "group": f"g{i}", "fold": i}
        )
    (folder / "3.wav").write_bytes(b"no sound")
    rows.append({"file": "3.wav", "labels": "dog", "group": "g3", "fold": 1})
    return Clips.from_rows(folder, rows, name="tones")


def pitch(x: np.ndarray) -> float:
    """The strongest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 8 * RATE))
    return float(spectrum.argmax()) / 8


def test_each_copy_is_changed_by_its_kind_and_draws_anew(tmp_path: Path) -> None:
    clips = tones(tmp_path)
    kinds = ("pitch", "pitch", "white", "pink", "stretch")
    copies, source = augmented_copies(clips, kinds, tmp_path / "cache", sample_rate=RATE, seed=0)
    assert source.tolist() == [0] * 5 + [1] * 5 + [2] * 5  # of what cannot be read there is none
    assert copies.labels == tuple(clips.labels[i] for i in source)
    assert copies.group.tolist() == clips.group[source].tolist()
    assert copies.fold.tolist() == clips.fold[source].tolist()
    waves = [read(path, sample_rate=RATE)[0] for path in copies.paths]
    tone = read(clips.paths[0], sample_rate=RATE)[0]
    for row in range(0, 15, 5):
        first, second, white, pink, stretched = waves[row : row + 5]
        shifts = [12 * np.log2(pitch(x) / 440) for x in (first, second)]
        assert all(0.02 < abs(shift) < 4.1 for shift in shifts)
        assert abs(shifts[0] - shifts[1]) > 0.02
        for noisy in (white, pink):
            level = noisy @ tone / (tone @ tone)  # files that would clip are made quieter
            noise = noisy - level * tone
            snr_db = 10 * np.log10((level * tone).var() / noise.var())
            assert 9.5 < snr_db < 17.5
        assert abs(pitch(stretched) - 440) < 5
    assert len({x.tobytes() for i, x in enumerate(waves) if i % 5 != 4}) == 12


def test_copies_are_made_once_and_are_the_same_in_another_order(tmp_path: Path) -> None:
    clips = tones(tmp_path)
    kinds = ("class-wise", "white")
    copies, _ = augmented_copies(clips, kinds, tmp_path / "cache", sample_rate=RATE, seed=0)
    written = {path: Path(path).stat().st_mtime_ns for path in copies.paths}
    more, _ = augmented_copies(
        clips[np.array([2, 1, 0])],
        ("white", "class-wise", "pitch"),
        tmp_path / "cache",
        sample_rate=RATE,
        seed=0,
    )
    assert set(copies.paths) < set(more.paths)
    assert {path: Path(path).stat().st_mtime_ns for path in copies.paths} == written
    other, _ = augmented_copies(clips, kinds, tmp_path / "other", sample_rate=RATE, seed=0)
    for one, two in zip(copies.paths, other.paths, strict=True):
        assert Path(one).read_bytes() == Path(two).read_bytes()


def test_a_set_that_was_copied_later_has_the_same_copies(tmp_path: Path) -> None:
    made = []
    for name in ("first", "later"):
        folder = tmp_path / name
        folder.mkdir()
        clips = tones(folder)
        for path in clips.paths:
            os.utime(path, (len(made), len(made)))
        copies, _ = augmented_copies(clips, ("pitch",), folder / "cache", sample_rate=RATE, seed=0)
        made.append([Path(path).read_bytes() for path in copies.paths])
    assert made[0] == made[1]
