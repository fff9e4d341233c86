"""MP3 streams whose length nobody wrote down, in files of their own and inside WAV files."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.audio.decoders import decoder_messages
from semisonic.audio.read import probe, read, read_blocks

RATES = [44100, 22050, 11025]


KILOBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def frame_length(word: int) -> int:
    """Bytes of the layer III frame with this header."""
    version = (word >> 19) & 3
    bits = KILOBITS[3 if version == 3 else 2][(word >> 12) & 15] * 1000
    n_samples = 1152 if version == 3 else 576
    return n_samples // 8 * bits // HERTZ[version][(word >> 10) & 3] + ((word >> 9) & 1)


def stream(tmp_path: Path, rate: int, n_channels: int = 1) -> tuple[bytes, int]:
    """A variable bit rate MP3 without the frame that tells its length; samples a frame."""
    rng = np.random.default_rng(rate)
    x = (
        rng.standard_normal((4 * rate, n_channels))
        * np.repeat([0.0, 0.3, 0.01, 0.3], rate)[:, None]
    )
    path = tmp_path / "with.mp3"
    sf.write(path, x, rate, bitrate_mode="VARIABLE", compression_level=0.2)
    data = path.read_bytes()
    first = int.from_bytes(data[:4], "big")
    return data[frame_length(first) :], 1152 if rate > 24000 else 576


def wav(data: bytes, rate: int, n_channels: int) -> bytes:
    """A WAV file around the stream, with a chunk behind it as recorders write them."""
    body = struct.pack("<4sI", b"fmt ", 30)
    body += struct.pack("<HHIIHHHHIHHH", 85, n_channels, rate, 4000, 1, 0, 12, 1, 2, 104, 1, 1393)
    body += struct.pack("<4sI", b"data", len(data)) + data + b"\0" * (len(data) % 2)
    body += struct.pack("<4sII", b"fact", 4, 12345)
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WAVE") + body


def frames(data: bytes) -> int:
    at = n = 0
    while at + 4 <= len(data):
        at += frame_length(int.from_bytes(data[at : at + 4], "big"))
        n += 1
    return n


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("kind", ["mp3", "wav"])
def test_the_whole_stream_is_decoded(tmp_path: Path, rate: int, n_channels: int, kind: str) -> None:
    data, n_frame = stream(tmp_path, rate, n_channels)
    path = tmp_path / f"without.{kind}"
    path.write_bytes(data if kind == "mp3" else wav(data, rate, n_channels))
    x, found_rate = read(path)
    assert found_rate == rate
    assert probe(path).n_samples == len(x)
    assert len(x) == frames(data) * n_frame
    # The file with its header drops the delays of coder and decoder; find it in ours.
    expected, _ = read(tmp_path / "with.mp3")
    delay = next(
        d
        for d in range(3 * n_frame)
        if abs(x[d + rate] - expected[rate]) < 1e-6
        and np.abs(x[d + rate : d + 3 * rate] - expected[rate : 3 * rate]).max() < 1e-5
    )
    assert len(x) >= delay + len(expected) - n_frame


def test_parts_and_blocks_agree_with_the_whole(tmp_path: Path) -> None:
    data, _ = stream(tmp_path, 44100)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    whole, rate = read(path)
    for start in (0.0, 0.1, 1.234, 3.9):
        part, _ = read(path, start_time=start, end_time=start + 0.1)
        first = round(start * rate)
        np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-6)
    blocks = np.concatenate(list(read_blocks(path, block_time=0.3)))
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


@pytest.mark.parametrize("rate", [44100, 24000])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_part_begins_as_in_the_whole_though_its_frames_lean_on_earlier_ones(
    tmp_path: Path, rate: int, n_channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    levels = np.repeat(rng.choice([0.0, 0.002, 0.2], 200), rate // 20)  # small frames, then large
    noise = rng.standard_normal((len(levels), n_channels)) * levels[:, None]
    path = tmp_path / "a.mp3"
    sf.write(path, noise, rate, bitrate_mode="VARIABLE", compression_level=0.99)
    whole = sf.read(path, always_2d=True, dtype="float32")[0].mean(axis=1)
    np.testing.assert_allclose(read(path)[0], whole, atol=1e-6)  # read in blocks, and joined
    for first in rng.integers(0, len(whole) - 3000, 40):
        part, _ = read(path, start_time=first / rate, end_time=(first + 3000) / rate)
        np.testing.assert_allclose(part, whole[first : first + 3000], atol=1e-6)
    assert not caplog.records


def test_tags_and_rubbish_around_the_frames_do_not_count(tmp_path: Path) -> None:
    data, n_frame = stream(tmp_path, 44100)
    picture = b"\xff\xfb\x90\xc4" + bytes(2000)  # looks like a frame, and is none
    tag = b"ID3\x04\0\0" + bytes([0, 0, len(picture) >> 7, len(picture) & 127]) + picture
    path = tmp_path / "a.mp3"
    path.write_bytes(tag + data + b"TAG" + bytes(125))
    assert probe(path).n_samples == frames(data) * n_frame


def test_the_odd_file_that_lost_a_fifth(shared_data: Path) -> None:
    # 42 frames of 576 samples; its own fact chunk says the same.
    x, rate = read(shared_data / "odd_files" / "inek_62.wav")
    assert (len(x), rate) == (24192, 16000)
    assert np.sqrt(np.mean(x[20533:] ** 2)) > 0.1


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """An MP3 file with bytes in the middle that are others, in no header of a frame."""
    path = tmp_path / "damaged.mp3"
    noise = 0.1 * np.random.default_rng(0).normal(size=16000 * 10)
    sf.write(path, noise, 16000, format="MP3")
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0]
    for start in starts[len(starts) // 2 :][:20]:
        for at in range(start + 6, min(start + 20, len(data))):
            if data[at] ^ 0x55 != 0xFF:
                data[at] ^= 0x55
    path.write_bytes(data)
    return path


def test_what_the_decoder_prints_is_told_of_the_file_and_not_shown(
    damaged: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    wave, _ = read(damaged)
    assert len(wave) > 150000
    assert capfd.readouterr().err == ""
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{damaged}: damaged: after ")


def test_what_others_print_meanwhile_comes_out(capfd: pytest.CaptureFixture[str]) -> None:
    with decoder_messages() as heard:
        os.write(2, b"another line\n[src/libmpg123/layer3.c:part():7] error: too large\nlast")
    assert heard == ["too large"]
    assert capfd.readouterr().err == "another line\nlast"


def test_a_whole_file_that_is_read_in_parts_gets_no_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    noise = 0.1 * np.random.default_rng(0).normal(size=16000 * 10)
    sf.write(tmp_path / "good.mp3", noise, 16000, format="MP3")
    for start in (7.7, 1.3, 5.1):
        read(tmp_path / "good.mp3", start_time=start, end_time=start + 1)
    assert not caplog.records
    assert capfd.readouterr().err == ""
