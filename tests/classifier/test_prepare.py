from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.classifier.prepare import prepare, prepare_waves
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.features.logmel import MelExtractor
from semisonic.features.options import MelOptions

MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


@pytest.fixture
def three(tmp_path: Path) -> Clips:
    """A short, an exact and a long recording, and one that is none."""
    rng = np.random.default_rng(0)
    for name, n in (("a-long", 13000), ("b-exact", 4000), ("c-short", 1500)):
        sf.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, n), 8000, subtype="PCM_16")
    (tmp_path / "d-text.wav").write_text("no sound", encoding="utf-8")
    return load_clips(tmp_path)


def test_rows_follow_the_clips_that_can_be_read(three: Clips, tmp_path: Path) -> None:
    prepared = prepare(three, MEL, tmp_path / "cache", workers=1)
    assert prepared.source.tolist() == [0, 0, 0, 0, 1, 2]
    assert prepared.features[:].shape == (6, *MEL.shape)
    assert prepared.rows_of([2, 0]).tolist() == [0, 1, 2, 3, 5]
    assert [name for name, _ in prepared.failures] == ["d-text.wav"]


def test_a_clip_that_stands_twice_is_refused(three: Clips, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a-long\.wav twice, expected once"):
        prepare(three[[0, 1, 0]], MEL, tmp_path / "cache")


def test_short_clips_are_followed_by_silence(three: Clips, tmp_path: Path) -> None:
    prepared = prepare(three, MEL, tmp_path / "cache", workers=1)
    wave, _ = sf.read(tmp_path / "c-short.wav", dtype="float32")
    padded = np.concatenate([wave, np.zeros(2500, np.float32)])
    expected = MelExtractor(MEL)(padded)
    assert np.allclose(prepared.features[5], expected, atol=0.05)


def test_scores_of_windows_are_averaged_per_clip(three: Clips, tmp_path: Path) -> None:
    prepared = prepare(three, MEL, tmp_path / "cache", workers=1)
    scores = np.arange(6.0)[:, None]
    mean, owner = prepared.per_clip(scores, np.arange(6))
    assert owner.tolist() == [0, 1, 2]
    assert mean[:, 0].tolist() == [1.5, 4.0, 5.0]
    mean, owner = prepared.per_clip(scores[[5, 1]], [5, 1])
    assert owner.tolist() == [0, 2]
    assert mean[:, 0].tolist() == [1.0, 5.0]


def test_nothing_is_computed_twice(three: Clips, tmp_path: Path) -> None:
    first = prepare(three, MEL, tmp_path / "cache", workers=1)
    again = prepare(three, MEL, tmp_path / "cache", workers=1)
    assert first.features.n_computed == 6  # type: ignore[union-attr]
    assert again.features.n_computed == 0  # type: ignore[union-attr]
    assert np.array_equal(first.features[:], again.features[:])


def test_waves_in_memory_give_the_features_of_files(three: Clips, tmp_path: Path) -> None:
    files = prepare(three[:3], MEL, tmp_path / "cache", workers=1)
    waves = [sf.read(path, dtype="float32")[0] for path in three.paths[:3]]
    memory = prepare_waves(three[:3], waves, MEL)
    assert memory.source.tolist() == files.source.tolist()
    assert np.allclose(np.asarray(memory.features, np.float32), files.features[:], atol=0.1)


def test_when_nothing_can_be_read_the_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound", encoding="utf-8")
    clips = Clips.from_rows(tmp_path, [{"file": "a.wav"}])
    with pytest.raises(DataError, match=r"none of 1 clip .*a\.wav: not audio"):
        prepare(clips, MEL, tmp_path / "cache")


def test_clips_much_shorter_than_the_window_are_pointed_out(
    three: Clips, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(three[:3], MEL, tmp_path / "a", workers=1)
    assert not caplog.records
    long = MelOptions(sample_rate=8000, duration=4.0, n_fft=256, hop_length=128, n_mels=16)
    prepare(three[:3], long, tmp_path / "b", workers=1)
    assert "half of the clips" in caplog.text


def test_a_disk_without_room_is_told_before_anything_is_decoded(
    kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = load_clips(kinds)
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr("semisonic.data.cache.shutil.disk_usage", lambda _: usage)
    # 24 clips of half a second: 4000 samples and 16 x 32 cells of two bytes each
    with pytest.raises(DataError, match=r"samples \(0.2 MB\) and features \(0.0 MB\) of 24"):
        prepare(clips, MEL, tmp_path / "cache")
    assert not list(tmp_path.rglob("data-*.bin"))
    monkeypatch.undo()
    first = prepare(clips, MEL, tmp_path / "cache")
    monkeypatch.setattr("semisonic.data.cache.shutil.disk_usage", lambda _: usage)
    again = prepare(clips, MEL, tmp_path / "cache")
    np.testing.assert_array_equal(first.features[np.arange(24)], again.features[np.arange(24)])


def test_headers_are_read_once(
    kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = load_clips(kinds)
    first = prepare(clips, MEL, tmp_path / "cache")
    monkeypatch.setattr("semisonic.classifier.windows.probe", lambda path: pytest.fail(str(path)))
    again = prepare(clips, MEL, tmp_path / "cache")
    np.testing.assert_array_equal(first.source, again.source)
