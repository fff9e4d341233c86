"""What is asked of every sound, and of what sounds are made of; test_synth_fixed pins each."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.core.seeds import generator
from semisonic.data.options import CLASSES, OUTSIDE, SynthOptions
from semisonic.data.synth.render import render
from semisonic.data.synth.sounds import SOUNDS

RATE = 22050
ALL = sorted(CLASSES + OUTSIDE)


def spread_db(x: np.ndarray, window: float) -> float:
    """How far the level of short windows reaches."""
    width = int(window * RATE)
    level = np.sqrt(np.square(x[: len(x) // width * width]).reshape(-1, width).mean(1))
    curve = 20 * np.log10(level + 1e-6)
    return float(np.percentile(curve, 95) - np.percentile(curve, 5))


def test_every_name_has_a_sound() -> None:
    assert set(SOUNDS) == set(CLASSES) | set(OUTSIDE)
    assert len(CLASSES) >= 12
    assert len(set(CLASSES + OUTSIDE)) == len(CLASSES + OUTSIDE)


@pytest.mark.parametrize("name", ALL)
def test_a_sound_is_there_at_any_rate_and_length(name: str) -> None:
    for rate, seconds in ((16000, 1.0), (44100, 1.37)):
        for recording in range(3):
            options = SynthOptions(seed=recording, duration=seconds, sample_rate=rate, snr_db=60.0)
            x = render(options, f"r{recording}", 0, (name,))
            assert x.dtype == np.float32
            assert x.shape == (round(seconds * rate),)
            assert np.isfinite(x).all()
            assert 0.005 < np.abs(x).max() <= 0.971
            own, details = generator(recording, "a"), generator(recording, "b")
            alone = SOUNDS[name](own, details, int(seconds * rate), rate)
            assert np.abs(alone).max() > 1e-3, "nothing happens in the clip"


def test_clips_of_a_recording_sound_alike() -> None:
    """Their long-time spectra are nearer to each other than to another recording's."""

    def spectrum(recording: int, number: int) -> np.ndarray:
        options = SynthOptions(duration=2.0, sample_rate=16000, snr_db=20.0)
        x = render(options, f"rain-{recording}", number, ("rain",))
        power = np.square(np.abs(np.fft.rfft(x)))[: 16000 // 40 * 40].reshape(-1, 400).mean(1)
        curve = 10 * np.log10(power + 1e-12)
        return np.asarray(curve - curve.mean())

    spectra = np.array([[spectrum(r, k) for k in range(2)] for r in range(6)])
    within = np.abs(spectra[:, 0] - spectra[:, 1]).mean()
    between = np.abs(spectra[:-1, 0] - spectra[1:, 0]).mean()
    assert within < 0.5 * between


def test_a_mixture_holds_both_sounds() -> None:
    options, both = SynthOptions(duration=3.0, snr_db=40.0), ("cricket", "footsteps")
    mixed = render(options, "r0", 0, both).astype(float)
    parts = np.array([render(options, "r0", 0, (name,)).astype(float) for name in both])
    gains, *_ = np.linalg.lstsq(parts.T, mixed, rcond=None)
    assert (gains > 0.1).all()
    rest = mixed - gains @ parts
    assert np.square(rest).mean() < 0.1 * np.square(mixed).mean()


def test_background_lies_at_the_level_asked_for() -> None:
    """At 60 dB there is silence between two ticks, at 0 dB there is not."""

    def quiet(snr_db: float) -> float:
        options = SynthOptions(duration=3.0, snr_db=snr_db)
        spreads = [spread_db(render(options, f"r{r}", 0, ("footsteps",)), 0.02) for r in range(4)]
        return float(np.median(spreads))

    assert quiet(60.0) > 25
    assert quiet(0.0) < 12
