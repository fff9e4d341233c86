"""Recordings whose header does not count what the file holds, and files in which several lie."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.read import probe, read
from semisonic.core.errors import AudioError

RATE, SECONDS = 16_000, 4
TIME = np.arange(SECONDS * RATE) / RATE
CHIRP = (0.4 * np.sin(2 * np.pi * (200 + 500 * TIME) * TIME)).astype(np.float32)

SIZES: dict[str, tuple[str, bytes, int, str, int]] = {
    # The name of a kind: its format, the mark before the size, the place of the size behind the
    # mark, its layout, and what it counts besides the samples.
    "a.wav": ("WAV", b"data", 4, "<I", 0),
    "extended.wav": ("WAVEX", b"data", 4, "<I", 0),
    "long.wav": ("RF64", b"ds64", 16, "<Q", 0),
    "a.w64": ("W64", b"data\xf3\xac\xd3\x11", 16, "<Q", 24),
    "a.aiff": ("AIFF", b"SSND", 4, ">I", 8),
    "a.au": ("AU", b".snd", 8, ">I", 0),
    "a.caf": ("CAF", b"data", 4, ">q", 4),
}


def saved(path: Path, x: np.ndarray = CHIRP, rate: int = RATE, **options: str) -> Path:
    sf.write(path, x, rate, **options)
    return path


def sized(path: Path, share: float) -> Path:
    """A recording whose header counts this share of its samples."""
    kind, mark, place, layout, extra = SIZES[path.name]
    content = bytearray(saved(path, format=kind, subtype="PCM_16").read_bytes())
    at = content.index(mark) + place
    struct.pack_into(layout, content, at, round(share * 2 * len(CHIRP)) + extra)
    path.write_bytes(content)
    return path


def flac_of(path: Path, n_samples: int, content: bytes) -> Path:
    """A FLAC file whose header counts this number of samples."""
    place = 21
    first = bytes([content[place] & 0xF0 | n_samples >> 32])
    total = first + struct.pack(">I", n_samples & 0xFFFFFFFF)
    path.write_bytes(content[:place] + total + content[place + 5 :])
    return path


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_is_too_small_cuts_nothing(tmp_path, caplog, name, share) -> None:
    path = sized(tmp_path / name, share)
    x, rate = read(path)
    assert rate == RATE
    np.testing.assert_allclose(x, CHIRP, atol=1e-4)
    np.testing.assert_array_equal(
        read(path, start_time=3.1, end_time=3.7)[0], x[round(3.1 * RATE) : round(3.7 * RATE)]
    )
    assert f"counts {share * SECONDS:.2f} s, found 4.00 s" in caplog.text


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM"])
def test_a_recorder_without_power_leaves_every_codec_readable(tmp_path, subtype) -> None:
    whole = saved(tmp_path / "whole.wav", subtype=subtype)
    content = bytearray(whole.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "a.wav")[0], read(whole)[0])


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST" + struct.pack("<I", 14) + b"INFOICMT\x02\0\0\0a\0",
        b"id3 " + struct.pack("<I", 4) + b"abcd",
        b"TAG" + b"x" * 125,
        bytes(5000),
        b"",
    ],
    ids=["list", "chunk", "tag", "padding", "nothing"],
)
def test_what_lies_behind_the_samples_is_no_sound(tmp_path, caplog, behind) -> None:
    path = saved(tmp_path / "a.wav", subtype="PCM_16")
    path.write_bytes(path.read_bytes() + behind)
    assert len(read(path)[0]) == len(CHIRP)
    assert not probe(path).damage
    assert not caplog.text


@pytest.mark.skipif(os.name == "nt", reason="the file would not be sparse")
def test_a_size_that_began_again_at_zero(tmp_path) -> None:
    """A file of more than 4 GiB, all but its ends a hole of the disk."""
    n_hidden = 1 << 32
    path = saved(tmp_path / "a.wav", subtype="PCM_16")
    start = path.stat().st_size - 2 * len(CHIRP)
    with open(path, "r+b") as file:
        file.seek(start + n_hidden)
        file.write((CHIRP * 32767).astype("<i2").tobytes())
    info = probe(path)
    assert info.n_samples == n_hidden // 2 + len(CHIRP)
    x, _ = read(path, start_time=n_hidden // 2 / RATE)
    np.testing.assert_allclose(x, CHIRP, atol=1e-4)


@pytest.mark.parametrize("n_samples", [0, len(CHIRP) // 3, (1 << 36) - 1])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_that_counts_none_or_others_is_whole(tmp_path, caplog, n_samples, subtype) -> None:
    whole = saved(tmp_path / "whole.flac", subtype=subtype)
    path = flac_of(tmp_path / "a.flac", n_samples, whole.read_bytes())
    np.testing.assert_array_equal(read(path)[0], read(whole)[0])
    np.testing.assert_array_equal(
        read(path, start_time=2.0, end_time=2.5)[0], read(whole, start_time=2.0, end_time=2.5)[0]
    )
    assert bool(probe(path).damage) == bool(n_samples) == bool(caplog.text)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40_000), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_frames_of_a_flac_tell_its_length(tmp_path_factory, n, channels, seed) -> None:
    x = np.random.default_rng(seed).normal(0, 0.1 * (seed % 3), (n, channels))
    folder = tmp_path_factory.mktemp("flac")
    whole = saved(folder / "whole.flac", x)
    assert probe(flac_of(folder / "a.flac", 0, whole.read_bytes())).n_samples == n


def test_a_cut_flac_is_read_up_to_its_last_whole_frame(tmp_path) -> None:
    whole = saved(tmp_path / "whole.flac")
    content = whole.read_bytes()[: whole.stat().st_size // 2]
    for n_samples in (0, len(CHIRP)):
        x, _ = read(flac_of(tmp_path / "a.flac", n_samples, content))
        assert 0.3 * SECONDS < len(x) / RATE < 0.7 * SECONDS
        np.testing.assert_array_equal(x, read(whole)[0][: len(x)])


JOINED = [
    *(("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.aiff", "PCM_16"), ("a.au", "PCM_16")),
    *(("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.ogg", "OPUS"), ("a.mp3", "MPEG_LAYER_III")),
]


@pytest.mark.parametrize(("name", "subtype"), JOINED)
def test_joined_recordings_are_read_one_behind_the_other(tmp_path, name, subtype) -> None:
    (tmp_path / "one").mkdir()
    parts = [
        saved(tmp_path / "one" / name, CHIRP, subtype=subtype).read_bytes(),
        saved(tmp_path / "one" / name, CHIRP[::-1][: 2 * RATE], subtype=subtype).read_bytes(),
    ]
    wanted = []
    for content in (parts[0], parts[1], parts[1]):
        (tmp_path / name).write_bytes(content)
        wanted.append(read(tmp_path / name)[0])
    (tmp_path / name).write_bytes(parts[0] + parts[1] + parts[1])
    x, rate = read(tmp_path / name)
    assert rate == read(tmp_path / "one" / name)[1]
    expected = np.concatenate(wanted)
    assert abs(len(x) - len(expected)) <= (3 * 1200 if name == "a.mp3" else 0)
    if name != "a.mp3":
        np.testing.assert_allclose(x, expected, atol=1e-6)
    part, _ = read(tmp_path / name, start_time=5.0, end_time=5.5)
    np.testing.assert_array_equal(part, x[5 * rate : round(5.5 * rate)])


def test_a_joined_stream_of_another_rate_is_named(tmp_path, caplog) -> None:
    first = saved(tmp_path / "1.ogg").read_bytes()
    second = saved(tmp_path / "2.ogg", CHIRP, 22_050).read_bytes()
    (tmp_path / "a.ogg").write_bytes(first + second)
    assert len(read(tmp_path / "a.ogg")[0]) == len(CHIRP)
    assert f"the last {len(second)} bytes have another rate" in caplog.text


NO_SEEKING = [
    *(("a.wav", "WAV", "GSM610"), ("a.wav", "WAV", "G721_32"), ("a.au", "AU", "G721_32")),
    *(("a.au", "AU", "G723_24"), ("a.au", "AU", "G723_40"), ("a.wav", "WAV", "NMS_ADPCM_16")),
    *(("a.aiff", "AIFF", "GSM610"), ("a.aiff", "AIFF", "DWVW_16"), ("a.w64", "W64", "GSM610")),
]


@pytest.mark.parametrize(("name", "kind", "subtype"), NO_SEEKING)
def test_a_codec_without_seeking_is_read_in_parts(tmp_path, name, kind, subtype) -> None:
    path = saved(tmp_path / name, format=kind, subtype=subtype)
    x, _ = read(path)
    assert len(x) == pytest.approx(len(CHIRP), abs=400)
    assert np.corrcoef(x[: len(CHIRP)], CHIRP[: len(x)])[0, 1] > 0.7
    part, _ = read(path, start_time=1.3, end_time=2.9)
    np.testing.assert_array_equal(part, x[round(1.3 * RATE) : round(2.9 * RATE)])
    assert (probe(path).format, probe(path).subtype) == (kind, subtype)


@pytest.mark.parametrize("suffix", ["au", "snd", "wav", "mp3", "ogg", "flac", "voc"])
def test_a_text_is_no_sound_whatever_it_is_called(tmp_path, suffix) -> None:
    path = tmp_path / f"list.{suffix}"
    path.write_text("milk, bread and a rooster\n" * 400, encoding="utf-8")
    with pytest.raises(AudioError, match="not audio"):
        read(path)


def test_a_damaged_mark_does_not_make_sound_of_bytes(tmp_path) -> None:
    path = saved(tmp_path / "a.au")
    path.write_bytes(b".sne" + path.read_bytes()[4:])
    with pytest.raises(AudioError, match="not audio"):
        read(path)


@pytest.mark.parametrize("rate", [1, 8, 300])
def test_a_rate_that_no_recorder_has_is_damage(tmp_path, rate) -> None:
    with pytest.raises(AudioError, match=f"a rate of {rate} Hz"):
        read(saved(tmp_path / "a.wav", rate=rate))


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_channels_of_opposite_phase_are_no_silence(tmp_path, caplog, subtype) -> None:
    path = saved(tmp_path / "a.wav", np.stack([CHIRP, -CHIRP], 1), subtype=subtype)
    np.testing.assert_allclose(read(path)[0], CHIRP, atol=1e-4)
    assert "opposite phase" in caplog.text
    part, _ = read(path, start_time=1.0, end_time=2.0)
    np.testing.assert_allclose(part, CHIRP[RATE : 2 * RATE], atol=1e-4)


def test_channels_that_cancel_for_a_moment_are_averaged(tmp_path) -> None:
    other = CHIRP.copy()
    other[: RATE // 2] *= -1
    path = saved(tmp_path / "a.wav", np.stack([CHIRP, other], 1), subtype="FLOAT")
    np.testing.assert_allclose(read(path)[0], (CHIRP + other) / 2, atol=1e-6)


KINDS: list[Callable[[Path], Path]] = [
    lambda folder: saved(folder / "a.wav"),
    lambda folder: saved(folder / "a.flac"),
    lambda folder: saved(folder / "a.ogg"),
    lambda folder: saved(folder / "a.mp3"),
    lambda folder: saved(folder / "a.aiff"),
    lambda folder: saved(folder / "a.au"),
    lambda folder: saved(folder / "a.caf"),
    lambda folder: saved(folder / "a.w64", format="W64"),
    lambda folder: saved(folder / "a.wav", subtype="GSM610"),
]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    faults=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12),
    in_head=st.booleans(),
    keep=st.floats(0.01, 1.0),
)
def test_whatever_a_damaged_file_does_names_it(
    tmp_path_factory, kind, faults, in_head, keep
) -> None:
    path = kind(tmp_path_factory.mktemp("damaged"))
    content = bytearray(path.read_bytes())
    for place, byte in faults:
        content[int(place * ((120 if in_head else len(content)) - 1))] = byte
    path.write_bytes(content[: max(1, int(keep * len(content)))])
    with contextlib.suppress(AudioError):  # whatever else it raises is a bug
        x, rate = read(path)
        assert 0 < len(x) <= 16384 * len(content)
        assert rate >= 1000
