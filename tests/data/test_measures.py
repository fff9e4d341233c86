"""What one pass measures, against numpy over the whole sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.checks import decibel
from semisonic.core.errors import AudioError
from semisonic.data.fingerprints import Fingerprint, fingerprint_file
from semisonic.data.scan import measure

RATE = 8000


def _noise(n, seed=0, level=0.1):
    return np.random.default_rng(seed).normal(0, level, n)


def _file(path, x, rate=RATE, subtype="PCM_16"):
    sf.write(path, x, rate, subtype)
    return path


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(80, 90_000),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
    rate=st.sampled_from([8000, 11025, 44100]),
)
def test_levels_are_those_of_the_whole(tmp_path_factory, n, channels, seed, rate):
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.uniform(-0.2, 0.2), rng.uniform(0.001, 0.4), (n, channels)).clip(-1, 0.999)
    file = _file(tmp_path_factory.mktemp("m") / "a.wav", x, rate)
    x = sf.read(file, always_2d=True)[0]
    found = measure(file, silence_db=-60)
    assert found["duration"] == n / rate
    assert (found["sample_rate"], found["channels"]) == (rate, channels)
    assert found["peak_dbfs"] == pytest.approx(decibel(np.abs(x).max()))
    assert found["rms_dbfs"] == pytest.approx(decibel(np.sqrt(np.square(x).mean())), abs=1e-3)
    assert abs(found["dc_offset"]) == pytest.approx(np.abs(x.mean(axis=0)).max(), abs=1e-5)


def test_silence_is_counted_in_tenths_of_a_second(tmp_path):
    x = _noise(10 * RATE)
    x[2 * RATE : 5 * RATE] = 0.0
    x += 0.05  # an offset is no sound
    assert measure(_file(tmp_path / "a.wav", x), silence_db=-60)["silent_share"] == 0.3
    loud = _noise(RATE, level=10 ** (-50 / 20))
    file = _file(tmp_path / "b.wav", loud, subtype="FLOAT")
    assert measure(file, silence_db=-49)["silent_share"] == pytest.approx(1.0, abs=0.11)
    assert measure(file, silence_db=-51)["silent_share"] == pytest.approx(0.0, abs=0.11)


@pytest.mark.parametrize("rate", [16000, 44100, 192000])
@pytest.mark.parametrize("limit", [0.2, 0.6, 1.0])
def test_bandwidth_of_sound_that_was_brought_to_a_higher_rate(tmp_path, rate, limit):
    n = 3 * rate
    spectrum = np.fft.rfft(_noise(n))
    spectrum[int(limit * len(spectrum)) :] = 0
    found = measure(_file(tmp_path / "a.wav", np.fft.irfft(spectrum, n), rate), silence_db=-60)
    assert found["bandwidth_hz"] == pytest.approx(limit * rate / 2, abs=rate / 2 / 32)


def test_remarks_of_channels(tmp_path):
    x = np.stack([_noise(RATE), np.zeros(RATE)], axis=1)
    found = measure(_file(tmp_path / "a.wav", x), silence_db=-60)
    assert found["remarks"] == ["dead channel: silent in channel 2 of 2"]
    x[:, 1] = (20 * _noise(RATE, 1)).clip(-1, 0.999)
    found = measure(_file(tmp_path / "b.wav", x), silence_db=-60)
    assert [text.partition(":")[0] for text in found["remarks"]] == ["clipped"]
    found = measure(_file(tmp_path / "c.wav", np.zeros((RATE, 2))), silence_db=-60)
    assert found["remarks"] == ["silent: peak -inf dBFS"]
    assert (found["peak_dbfs"], found["bandwidth_hz"], found["silent_share"]) == (
        -math.inf,
        0.0,
        1.0,
    )


def test_channels_of_opposite_phase_are_remarked_and_heard(tmp_path):
    x = 0.3 * np.sin(0.5 * np.arange(2 * RATE))
    _file(tmp_path / "a.wav", np.stack([x, -x], 1))
    found = measure(tmp_path / "a.wav", silence_db=-60)
    assert [text.partition(":")[0] for text in found["remarks"]] == ["opposite phase"]
    assert found["bandwidth_hz"] > 500


def test_the_print_is_that_of_the_whole_recording(tmp_path):
    file = _file(tmp_path / "a.wav", _noise(100 * 16000), 16000)
    expected = fingerprint_file(file)
    found = Fingerprint.unpacked(measure(file, silence_db=-60)["print"])
    assert found.frame[-1] > 99 / 0.016
    common = set(zip(*map(np.ndarray.tolist, found), strict=True))
    common &= set(zip(*map(np.ndarray.tolist, expected), strict=True))
    assert len(common) > 0.99 * len(expected)


def test_damaged_files_are_measured_as_far_as_they_go(tmp_path):
    file = _file(tmp_path / "a.wav", _noise(4 * RATE))
    content = file.read_bytes()
    file.write_bytes(content[: 44 + 2 * RATE])
    found = measure(file, silence_db=-60)
    assert found["duration"] == 1.0
    assert found["damage"].startswith("truncated: the header promises 4.00 s")
    x = _noise(RATE).astype(np.float32)
    x[5] = np.nan
    found = measure(_file(tmp_path / "b.wav", x, subtype="FLOAT"), silence_db=-60)
    assert found["damage"].startswith("non-finite: 1 of 8000")
    assert math.isfinite(found["rms_dbfs"])


@pytest.mark.parametrize("content", [b"", b"not audio at all", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_recording_is_an_error(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError):
        measure(tmp_path / "a.wav", silence_db=-60)


def test_work_can_be_given_up(tmp_path):
    file = _file(tmp_path / "a.wav", _noise(RATE))
    with pytest.raises(KeyboardInterrupt):
        measure(file, silence_db=-60, stopped=lambda: True)
