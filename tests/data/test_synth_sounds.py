"""What the sounds are like: the things by which an ear would know them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.seeds import generator
from semisonic.data.options import CLASSES, OUTSIDE
from semisonic.data.synth.plan import Take
from semisonic.data.synth.render import SOUNDS, loudest, minimum_phase, render
from semisonic.data.synth.signals import (
    band,
    coloured,
    convolve,
    drift,
    glide,
    response,
    steady_times,
    train,
)

RATE = 22050
ALL = sorted(CLASSES + OUTSIDE)


def sound(name: str, recording: int = 0, take: int = 0, seconds: float = 4.0) -> np.ndarray:
    """A sound alone, without room, microphone and background."""
    own, details = generator(recording, "place", name), generator(take, "take", recording)
    return np.asarray(SOUNDS[name](own, details, int(seconds * RATE), RATE), float)


def level_curve(x: np.ndarray, window: float = 0.02) -> np.ndarray:
    """Root mean square in short windows, shape (n_windows,)."""
    width = int(window * RATE)
    return np.sqrt(np.square(x[: len(x) // width * width]).reshape(-1, width).mean(1))


def spread_db(x: np.ndarray, window: float) -> float:
    curve = 20 * np.log10(level_curve(x, window) + 1e-6)
    return float(np.percentile(curve, 95) - np.percentile(curve, 5))


def median_over_recordings(name: str, measure: object, n: int = 7) -> float:
    return float(np.median([measure(sound(name, r)) for r in range(n)]))  # type: ignore[operator]


def test_every_name_has_a_sound() -> None:
    assert set(SOUNDS) == set(CLASSES) | set(OUTSIDE)
    assert len(CLASSES) >= 12
    assert len(set(CLASSES + OUTSIDE)) == len(CLASSES + OUTSIDE)


@pytest.mark.parametrize("name", ALL)
def test_a_sound_is_there_at_any_rate_and_length(name: str) -> None:
    for rate, seconds in ((16000, 1.0), (44100, 1.37)):
        for recording in range(3):
            take = Take(recording, f"r{recording}", 0, (name,), seconds, rate, 60.0)
            x = render(take)
            assert x.dtype == np.float32
            assert x.shape == (round(seconds * rate),)
            assert np.isfinite(x).all()
            assert 0.005 < np.abs(x).max() <= 0.971
            own, details = generator(recording, "a"), generator(recording, "b")
            alone = SOUNDS[name](own, details, int(seconds * rate), rate)
            assert np.abs(alone).max() > 1e-3, "nothing happens in the clip"


@pytest.mark.parametrize("name", CLASSES)
def test_same_seed_same_samples_and_takes_differ(name: str) -> None:
    first = Take(1, "r1", 0, (name,), 1.0, 16000, 20.0)
    again = render(Take(1, "r1", 0, (name,), 1.0, 16000, 20.0))
    assert np.array_equal(render(first), again)
    other = render(Take(1, "r1", 1, (name,), 1.0, 16000, 20.0))
    assert np.abs(np.corrcoef(again, other)[0, 1]) < 0.9


def test_order_of_rendering_changes_nothing() -> None:
    takes = [Take(0, f"r{i // 2}", i % 2, ("bird",), 1.0, 16000, 20.0) for i in range(6)]
    forward = [render(take) for take in takes]
    backward = [render(take) for take in reversed(takes)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))


def test_clips_of_a_recording_sound_alike() -> None:
    """Their long-time spectra are nearer to each other than to another recording's."""

    def spectrum(recording: int, number: int) -> np.ndarray:
        x = render(Take(0, f"rain-{recording}", number, ("rain",), 2.0, 16000, 20.0))
        power = np.square(np.abs(np.fft.rfft(x)))[: 16000 // 40 * 40].reshape(-1, 400).mean(1)
        curve = 10 * np.log10(power + 1e-12)
        return np.asarray(curve - curve.mean())

    spectra = np.array([[spectrum(r, k) for k in range(2)] for r in range(6)])
    within = np.abs(spectra[:, 0] - spectra[:, 1]).mean()
    between = np.abs(spectra[:-1, 0] - spectra[1:, 0]).mean()
    assert within < 0.5 * between


def test_a_mixture_holds_both_sounds() -> None:
    both = Take(0, "r0", 0, ("cricket", "footsteps"), 3.0, RATE, 40.0)
    alone = [Take(0, "r0", 0, (name,), 3.0, RATE, 40.0) for name in both.sounds]
    mixed = render(both).astype(float)
    parts = np.array([render(take).astype(float) for take in alone])
    gains, *_ = np.linalg.lstsq(parts.T, mixed, rcond=None)
    assert (gains > 0.1).all()
    rest = mixed - gains @ parts
    assert np.square(rest).mean() < 0.1 * np.square(mixed).mean()


def test_background_lies_at_the_level_asked_for() -> None:
    """At 60 dB there is silence between two ticks, at 0 dB there is not."""

    def quiet(snr_db: float) -> float:
        spreads = [
            spread_db(render(Take(0, f"r{r}", 0, ("footsteps",), 3.0, RATE, snr_db)), 0.02)
            for r in range(4)
        ]
        return float(np.median(spreads))

    assert quiet(60.0) > 25
    assert quiet(0.0) < 12


def test_rain_is_steadier_than_wind_and_waves() -> None:
    rain = median_over_recordings("rain", lambda x: spread_db(x, 0.2))
    assert rain < 5
    assert median_over_recordings("wind", lambda x: spread_db(x, 0.2)) > 2 * rain
    assert median_over_recordings("sea_waves", lambda x: spread_db(x, 0.2)) > 2 * rain


def test_a_fire_crackles() -> None:
    def crest(x: np.ndarray) -> float:
        return float(np.abs(x).max() / np.sqrt(np.square(x).mean()))

    fire = median_over_recordings("crackling_fire", crest)
    assert fire > 2 * median_over_recordings("sea_waves", crest)


def onsets(x: np.ndarray) -> np.ndarray:
    """Times (s) at which it gets loud after a tenth of a second of being less loud."""
    curve = level_curve(x, 0.01)
    loud = np.flatnonzero(curve > 0.35 * curve.max())
    first = loud[np.flatnonzero(np.diff(loud, prepend=-99) > 10)]
    return first * 0.01


def unevenness(x: np.ndarray) -> float:
    gaps = np.diff(onsets(x))
    return float(np.std(gaps) / np.mean(gaps)) if len(gaps) > 2 else np.nan


def test_a_clock_is_even_and_typing_is_not() -> None:
    clocks = [unevenness(sound("clock_tick", r, seconds=8.0)) for r in range(12)]
    keys = [unevenness(sound("keyboard", r, seconds=8.0)) for r in range(12)]
    assert np.nanmedian(clocks) < 0.15
    assert np.nanmedian(keys) > 0.3


def ridge(x: np.ndarray) -> np.ndarray:
    """The strongest frequency (Hz) in each 50 ms."""
    width = int(0.05 * RATE)
    frames = x[: len(x) // width * width].reshape(-1, width) * np.hanning(width)
    return np.argmax(np.abs(np.fft.rfft(frames, 8192)), axis=1) * RATE / 8192


def test_a_siren_moves_and_a_bell_stands() -> None:
    def range_octaves(x: np.ndarray) -> float:
        hz = ridge(x)
        return float(np.log2(np.percentile(hz, 90) / np.percentile(hz, 10)))

    assert median_over_recordings("siren", range_octaves) > 0.3
    bells = [np.bincount(np.round(ridge(sound("bell", r)) / 20).astype(int)) for r in range(7)]
    assert np.median([c.max() / c.sum() for c in bells]) > 0.5


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("cricket", 2200, 5700), ("bird", 1200, 9000), ("helicopter", 0, 4500), ("thunder", 0, 2500)],
)
def test_a_sound_lies_in_its_band(name: str, low: float, high: float) -> None:
    def share(x: np.ndarray) -> float:
        power = np.square(np.abs(np.fft.rfft(x)))
        hz = np.fft.rfftfreq(len(x), 1 / RATE)
        return float(power[(hz >= low) & (hz <= high)].sum() / power.sum())

    assert median_over_recordings(name, share) > 0.9


def test_a_helicopter_beats_ten_to_thirty_times_a_second() -> None:
    def beat(x: np.ndarray) -> float:
        curve = level_curve(x, 0.005)
        strength = np.abs(np.fft.rfft(curve - curve.mean()))
        hz = np.fft.rfftfreq(len(curve), 0.005)
        strength[hz < 4] = 0
        return float(hz[np.argmax(strength)])

    beats = [beat(sound("helicopter", r)) for r in range(9)]
    assert 8 < np.median(beats) < 35


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


def test_noise_is_gaussian() -> None:
    x = coloured(generator(0, "noise"), 60000, 16000, band(500, 4000)).astype(float)
    assert np.mean(x**4) == pytest.approx(3.0, abs=0.1)
    assert np.mean(np.abs(x) > 2) == pytest.approx(0.0455, abs=0.003)


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
