from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.audio.read import read
from semisonic.audio.write import encode, write
from semisonic.core.errors import AudioError

RATE = 16000


def tone(peak: float = 0.5, duration: float = 1.0) -> np.ndarray:
    return (peak * np.sin(0.2 * np.arange(int(RATE * duration)))).astype("f4")


@pytest.mark.parametrize(("kind", "error"), [("wav", 1.6e-5), ("flac", 1.6e-5), ("ogg", 0.05)])
def test_bytes_decode_to_the_sound(kind: str, error: float) -> None:
    x, rate = sf.read(io.BytesIO(encode(tone(), RATE, kind)), dtype="float32")
    assert rate == RATE
    assert len(x) == RATE
    assert np.abs(x - tone()).max() < error


def test_sixteen_bits_survive_reading_and_writing(tmp_path: Path) -> None:
    values = np.arange(-32768, 32768, dtype=np.int16)
    sf.write(tmp_path / "in.wav", values, RATE)
    write(tmp_path / "out.wav", read(tmp_path / "in.wav")[0], RATE)
    np.testing.assert_array_equal(sf.read(tmp_path / "out.wav", dtype="int16")[0], values)
    write(tmp_path / "one.wav", np.ones(10, "f4"), RATE)
    assert (sf.read(tmp_path / "one.wav", dtype="int16")[0] == 32767).all()


@pytest.mark.parametrize("name", ["a.wav", "a.FLAC", "a.ogg", "a.mp3"])
def test_a_file_is_read_back(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, tone(), RATE)
    x, rate = read(tmp_path / name)
    assert rate == RATE
    assert len(x) == pytest.approx(RATE, abs=1)
    assert np.sqrt(np.mean(x**2)) == pytest.approx(np.sqrt(np.mean(tone() ** 2)), rel=0.03)


def test_a_long_sound_fits_into_ogg() -> None:
    data = encode(tone(0.5, 120.0), RATE, "ogg")
    assert sf.info(io.BytesIO(data)).frames == 120 * RATE


def test_an_overload_is_refused_or_scaled_but_never_clipped() -> None:
    with pytest.raises(AudioError, match=r"\+6\.0 dBFS"):
        encode(tone(2.0), RATE, "wav")
    x, _ = sf.read(io.BytesIO(encode(tone(2.0), RATE, "wav", overload="scale")))
    assert np.abs(x - tone(1.0)).max() < 1e-4


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    for x in (tone(2.0), np.full(10, np.nan, "f4"), np.zeros((5, 2), "f4")):
        with pytest.raises(AudioError):
            write(tmp_path / "a.wav", x, RATE)
    with pytest.raises(AudioError, match=r"'wave'.*'wav'"):
        write(tmp_path / "a.wave", tone(), RATE)
    assert list(tmp_path.iterdir()) == []
