from __future__ import annotations

import gc
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from tiny_sounds import KINDS, MEL, RATE, sound

from semisonic.classifier.model_file import open_model
from semisonic.classifier.prepare import prepare
from semisonic.classifier.scoring import score_clips, score_rows
from semisonic.classifier.windows import stream_windows
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.models.model_file import save
from semisonic.models.sound_model import SoundModel


@pytest.fixture(scope="module")
def model(trained: Path) -> SoundModel:
    return open_model(trained)


def means(model: SoundModel, clips: Clips, **options: object) -> np.ndarray:
    return np.stack([clip.mean for clip in score_clips(model, clips, **options)])  # type: ignore[arg-type]


def test_files_are_scored_as_their_cached_features_are(
    model: SoundModel, others: Path, tmp_path: Path
) -> None:
    clips = load_clips(others)
    prepared = prepare(clips, MEL, tmp_path)
    rows = np.arange(len(prepared))
    cached = score_rows(model, prepared.features, rows)
    assert np.allclose(means(model, clips), cached, atol=1e-6)


def test_other_rates_and_long_files_are_scored_as_their_cached_features_are(
    model: SoundModel, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(44100 * 2) / 44100
    wave = 0.3 * np.sin(2 * np.pi * 700 * time) + rng.normal(0, 0.05, len(time))
    sf.write(tmp_path / "long.flac", wave, 44100)
    clips = load_clips(tmp_path)
    prepared = prepare(clips, MEL, tmp_path / "cache")
    assert len(prepared) == 4
    cached, _ = prepared.per_clip(score_rows(model, prepared.features, range(4)), range(4))
    # Windows of a stream have their neighbours' sound at the edges, cached ones are resampled
    # alone, and features are rounded to float16.
    assert np.allclose(means(model, clips), cached, atol=0.02)


def test_features_agree_with_the_front_end_of_the_model(model: SoundModel, others: Path) -> None:
    clips = load_clips(others)
    waves = torch.stack([torch.from_numpy(sf.read(p, dtype="float32")[0]) for p in clips.paths])
    with torch.no_grad():
        whole = model.probabilities(model(waves)).numpy()
    assert np.allclose(means(model, clips), whole, atol=0.01)


def test_batches_and_threads_do_not_matter(model: SoundModel, others: Path) -> None:
    clips = load_clips(others)
    one = means(model, clips, batch_size=1, workers=1)
    assert np.allclose(one, means(model, clips, batch_size=5, workers=3), atol=1e-6)
    assert np.allclose(one, means(model, clips, batch_size=64, workers=2), atol=1e-6)


def test_a_saved_model_scores_the_same(model: SoundModel, others: Path, tmp_path: Path) -> None:
    save(tmp_path / "again.zip", model, about={})
    clips = load_clips(others)
    again = open_model(tmp_path / "again.zip")
    assert np.array_equal(means(model, clips), means(again, clips))


def test_a_file_that_cannot_be_read_disturbs_no_other(model: SoundModel, tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound("hum", 1), RATE)
    (tmp_path / "b.wav").write_text("no sound", encoding="utf-8")
    sf.write(tmp_path / "c.wav", sound("hiss", 1)[:20], RATE)
    sf.write(tmp_path / "d.wav", sound("hiss", 1), RATE)
    (tmp_path / "e.wav").write_bytes(b"")
    found = list(score_clips(model, load_clips(tmp_path), workers=2))
    assert [clip.row for clip in found] == [0, 1, 2, 3, 4]
    assert [clip.reason.split(":")[0] for clip in found] == [
        "",
        "not audio, or damaged",
        "too short",
        "",
        "empty",
    ]
    assert len(found[0].windows) == len(found[3].windows) == 1
    assert not len(found[1].windows)


def test_windows_carry_their_times(model: SoundModel, tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", sound("hum", 1, duration=1.3), RATE)
    clips = Clips.from_rows(
        tmp_path, [{"file": "a.wav"}, {"file": "a.wav", "start_time": 0.25, "end_time": 1.0}]
    )
    whole, part = score_clips(model, clips)
    assert whole.times.tolist() == [[0.0, 0.5], [0.5, 1.0], [0.8, 1.3]]
    assert part.times.tolist() == [[0.25, 0.75], [0.5, 1.0]]
    (hopped,) = score_clips(model, clips[:1], hop=0.4)
    assert np.allclose(hopped.times[:, 0], [0.0, 0.4, 0.8])


def test_digital_silence_does_not_count_in_the_mean(model: SoundModel, tmp_path: Path) -> None:
    wave = sound("hum", 1)
    sf.write(tmp_path / "a.wav", wave, RATE)
    sf.write(tmp_path / "b.wav", np.concatenate([wave, 0 * wave, 0 * wave]), RATE)
    alone, padded = score_clips(model, load_clips(tmp_path))
    assert len(padded.windows) == 3
    np.testing.assert_allclose(padded.mean, alone.mean, atol=1e-6)


def test_the_windows_of_a_recording_are_heard_one_by_one(model: SoundModel, tmp_path: Path) -> None:
    wave = np.concatenate([sound(kind, 50) for kind in KINDS])
    sf.write(tmp_path / "a.wav", wave, RATE)
    (clip,) = score_clips(model, load_clips(tmp_path))
    assert [model.classes[i] for i in clip.windows.argmax(axis=1)] == list(KINDS)


def test_embeddings_come_the_same_way(model: SoundModel, others: Path) -> None:
    clips = load_clips(others)
    found = np.stack([clip.mean for clip in score_clips(model, clips, embed=True)])
    assert found.shape == (12, 16)
    assert np.isfinite(found).all()


def test_a_reader_that_stops_early_leaves_no_thread(model: SoundModel, others: Path) -> None:
    before = threading.active_count()
    items = stream_windows(load_clips(others), MEL, workers=3)
    next(items)
    items.close()  # type: ignore[attr-defined]
    gc.collect()
    assert threading.active_count() == before


def test_memory_does_not_grow_with_the_recording(model: SoundModel, tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 4):
        path = tmp_path / f"{minutes}.wav"
        sf.write(path, np.zeros(minutes * 60 * RATE, np.float32), RATE)
        clips = Clips.from_rows(tmp_path, [{"file": path.name}])
        tracemalloc.start()
        for clip in score_clips(model, clips, workers=1):
            assert len(clip.windows) == minutes * 120
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000
