"""What is asked of every sound, and of what sounds are made of; test_synth_fixed pins each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.seeds import generator
from semisonic.data.options import CLASSES, OUTSIDE, SynthOptions
from semisonic.data.synth.render import loudest, minimum_phase, render
from semisonic.data.synth.signals import (
    coloured,
    convolve,
    drift,
    glide,
    response,
    steady_times,
    train,
)
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


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1000, 40000), st.floats(0.3, 30.0), st.sampled_from([16000])
)
def test_a_drift_is_slow_and_bounded(seed: int, n: int, speed: float, rate: int) -> None:
    curve = drift(generator(seed, "drift"), n, rate, speed)
    assert curve.shape == (n,)
    assert np.isfinite(curve).all()
    steepest = 2 * 5 * np.pi / 2 * speed / rate * 1.25
    assert np.abs(np.diff(curve)).max() < steepest + 1e-4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 20.0), st.floats(0.01, 12.0), st.floats(0, 0.3))
def test_a_beat_falls_into_every_clip(
    seed: int, duration: float, period: float, jitter: float
) -> None:
    times = steady_times(generator(seed, "beat"), duration, period, jitter)
    assert len(times) >= 1
    assert times.min() >= 0
    assert times.max() < duration


def test_impulses_keep_their_sum_and_their_time() -> None:
    out = train(100, 10, np.array([1.23, 5.0, 99.0]), np.array([2.0, -1.0, 7.0]))
    assert out.sum() == pytest.approx(1.0)
    assert (out[12] * 12 + out[13] * 13) / 2.0 == pytest.approx(12.3, rel=1e-5)
    assert out[50] == -1.0


def test_convolution_equals_numpy() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal(500).astype(np.float32), rng.standard_normal(70)
    kernel = kernel.astype(np.float32)
    np.testing.assert_allclose(convolve(x, kernel), np.convolve(x, kernel)[:500], atol=1e-4)


def test_noise_has_the_spectrum_asked_for() -> None:
    x = coloured(generator(0, "noise"), 16000 * 4, 16000, ((100.0, 0.0), (1600.0, -24.0)))
    power = np.square(np.abs(np.fft.rfft(x)))
    hz = np.fft.rfftfreq(len(x), 1 / 16000)

    def near(centre: float) -> float:
        inside = (hz > centre * 0.95) & (hz < centre * 1.05)
        return float(10 * np.log10(power[inside].mean()))

    assert near(200) - near(800) == pytest.approx(12.0, abs=0.5)
    assert near(1600) - near(3200) == pytest.approx(6.0, abs=0.5)  # goes on outside
    assert np.square(x).mean() == pytest.approx(1.0, rel=1e-4)


def test_minimum_phase_keeps_the_magnitude_and_comes_early() -> None:
    wanted = response(1025, RATE, ((100.0, -6.0), (1000.0, 0.0), (5000.0, -12.0)))
    impulse = minimum_phase(wanted)
    got = np.abs(np.fft.rfft(impulse, 2048))
    np.testing.assert_allclose(20 * np.log10(got[8:] / wanted[8:]), 0, atol=0.3)
    energy = np.cumsum(np.square(impulse))
    assert energy[64] > 0.9 * energy[-1]


def test_a_glide_does_not_alias() -> None:
    x = glide(np.full(RATE, 4000.0), RATE, [1.0] * 8)
    spectrum = np.abs(np.fft.rfft(x))
    lines = np.flatnonzero(spectrum > 0.05 * spectrum.max())
    assert set(np.round(lines, -2)) == {4000, 8000}


def test_loudest_finds_a_short_event() -> None:
    x = np.zeros(RATE, np.float32)
    x[5000:5100] = 1.0
    assert loudest(x, RATE) == pytest.approx(np.sqrt(100 / 2205), rel=0.01)
    assert loudest(np.zeros(100, np.float32), RATE) == 1e-6
