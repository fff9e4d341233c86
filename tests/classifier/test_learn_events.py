"""Events placed by a model that learned from clips: mixed into noise while it was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny_sounds import RATE, sound

from semisonic.classifier.classifier import SoundClassifier
from semisonic.core.seeds import generator
from semisonic.data.events import Events, make_events
from semisonic.evaluation.events import score_events, score_overlaps

MEL = {"sample_rate": RATE, "duration": 3.0, "n_fft": 256, "hop_length": 128, "n_mels": 16}
TRUE = ((4.3, 0.8, "hum"), (9.1, 0.6, "sweep"), (15.5, 1.1, "hum"), (21.2, 0.9, "sweep"))


def clip(kind: str, number: int) -> np.ndarray:
    """A sound somewhere in three seconds of near silence; every fourth goes on through all."""
    rng = generator(number, "event clip", kind)
    wave = rng.normal(0, 1e-4, 3 * RATE).astype(np.float32)
    tone = sound(kind, number, 3.0 if number % 4 == 3 else float(rng.uniform(0.5, 1.2)))
    at = int(rng.integers(len(wave) - len(tone) + 1))
    wave[at : at + len(tone)] += tone
    return wave


@pytest.fixture(scope="module")
def classifier() -> SoundClassifier:
    kinds = ("hum", "sweep")
    waves = [clip(kind, number) for number in range(8) for kind in kinds]
    return SoundClassifier(
        "(8)3c-2p-(8)3c-2p-gp",
        mel=MEL,
        method="supervised",
        objective="none",
        training={"epochs": 30, "learning_rate": 5e-3, "batch_size": 8, "precision": "fp32"},
        validation=0.0,
        sample_rate=RATE,
        device="cpu",
    ).fit(waves, list(kinds) * 8)


def write_recording(path: Path, events: tuple[tuple[float, float, str], ...] = TRUE) -> Events:
    """Noise, with sounds 6 dB and more over it."""
    wave = generator(1, "noise").normal(0, 0.08, 26 * RATE).astype(np.float32)
    for number, (start, length, kind) in enumerate(events):
        tone = sound(kind, 300 + number, length)
        wave[round(start * RATE) :][: len(tone)] += tone
    sf.write(path, wave, RATE)
    return make_events(
        {"file": path.as_posix(), "start_time": a, "end_time": a + n, "label": kind}
        for a, n, kind in events
    )


def test_events_in_noise_are_found_and_placed(classifier: SoundClassifier, tmp_path: Path) -> None:
    true = write_recording(tmp_path / "noisy.wav")
    placed = score_events(true, classifier.detect(tmp_path / "noisy.wav").events).overall
    assert placed.f1 == 1.0
    assert np.abs([placed.onset_errors, placed.offset_errors]).max() < 0.2

    layer = classifier.model_.event_layer
    try:
        classifier.model_.event_layer = None
        before = score_events(true, classifier.detect(tmp_path / "noisy.wav").events).overall
    finally:
        classifier.model_.event_layer = layer
    assert before.f1 < 1.0


def test_noise_alone_holds_no_event(classifier: SoundClassifier, tmp_path: Path) -> None:
    write_recording(tmp_path / "noise.wav", ())
    assert not len(classifier.detect(tmp_path / "noise.wav").events)


def test_a_sound_that_fills_windows_is_one_event(
    classifier: SoundClassifier, tmp_path: Path
) -> None:
    long = ((5.0, 12.0, "hum"),)
    true = write_recording(tmp_path / "long.wav", long)
    found = classifier.detect(tmp_path / "long.wav", classes=("hum",)).events
    assert score_overlaps(true, found).overall.recall == 1.0


def test_scores_of_clips_are_those_of_the_class_layer(classifier: SoundClassifier) -> None:
    waves = [clip("hum", 90), clip("sweep", 91)]
    layer = classifier.model_.event_layer
    with_layer = classifier.predict_proba(waves)
    try:
        classifier.model_.event_layer = None
        np.testing.assert_array_equal(classifier.predict_proba(waves), with_layer)
    finally:
        classifier.model_.event_layer = layer
