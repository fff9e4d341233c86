"""Real recordings of unusual kinds: read, and of the right length and level."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from semisonic.audio.checks import problems
from semisonic.audio.find import find_audio
from semisonic.audio.read import probe, read


def a_law(data: bytes) -> np.ndarray:
    """ITU-T G.711: a sign bit, three bits of exponent, four of mantissa, every other inverted."""
    code = np.frombuffer(data, np.uint8).astype(int) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    size = np.where(
        exponent, (16 * mantissa + 264) << np.maximum(exponent - 1, 0), 16 * mantissa + 8
    )
    return np.where(code & 128, size, -size)


def chunks(path: Path) -> dict[bytes, bytes]:
    data, found, at = path.read_bytes(), {}, 12
    while at + 8 <= len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        found.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def decode(path: Path) -> tuple[np.ndarray, int] | None:
    """Decode without our code and without libsndfile; None for MPEG."""
    parts = chunks(path)
    kind, n_channels, rate, _, _, n_bits = struct.unpack("<HHIIHH", parts[b"fmt "][:16])
    if kind == 85:
        return None
    if kind == 6:
        x = a_law(parts[b"data"]) / 32768
        return x.reshape(-1, n_channels).mean(axis=1), rate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rate, x = wavfile.read(path)
    x = (x.astype(float) - 128) / 128 if n_bits == 8 else x / 32768
    return x.reshape(len(x), -1).mean(axis=1), rate


def test_all_are_read_and_sound_right(shared_data: Path) -> None:
    n_decoded = 0
    for path in find_audio(shared_data / "odd_files"):
        x, rate = read(path)
        assert probe(path).n_samples == len(x)
        assert not {text.partition(":")[0] for text in problems(x, rate)} - {"clipped"}
        expected = decode(path)
        if expected is None:
            fact = struct.unpack("<I", chunks(path)[b"fact"])[0]
            assert len(x) / rate == pytest.approx(fact / rate, abs=0.1)
            assert 0.02 < np.sqrt(np.mean(x**2)) < 0.5
            continue
        n_decoded += 1
        assert (len(x), rate) == (len(expected[0]), expected[1])
        np.testing.assert_allclose(x, expected[0], atol=1e-6)
        y, _ = read(path, sample_rate=22050)
        assert len(y) / 22050 == pytest.approx(len(x) / rate, abs=1e-4)
        if rate <= 22050:
            assert np.sqrt(np.mean(y**2)) == pytest.approx(np.sqrt(np.mean(x**2)), rel=0.03)
    assert n_decoded == 31
