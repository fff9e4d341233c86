from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.read import AudioReader, probe, read, read_blocks, read_start
from semisonic.core.errors import AudioError, OptionError
from systems import POSIX

RATE = 16000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE).astype("f4")


def save(path: Path, x: Any = NOISE, rate: int = RATE, subtype: str | None = None) -> Path:
    sf.write(path, x, rate, subtype=subtype)
    return path


def reason(path: Path, **options: Any) -> str:
    with pytest.raises(AudioError) as caught:
        read(path, **options)
    assert caught.value.file == str(path)
    assert str(path) in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.WAV", "PCM_U8"),
        ("a.wav", "PCM_24"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.wav", "ALAW"),
        ("a.wav", "IMA_ADPCM"),
        ("a.flac", "PCM_24"),
        ("a.ogg", "VORBIS"),
        ("a.ogg", "OPUS"),
        ("a.mp3", "MPEG_LAYER_III"),
        ("a.aiff", "PCM_16"),
        ("a.au", "ULAW"),
        ("a.caf", "PCM_16"),
    ],
)
def test_every_format_gives_what_librosa_gives(tmp_path: Path, name: str, subtype: str) -> None:
    path = save(tmp_path / name, np.stack([NOISE, 0.2 * NOISE], 1), subtype=subtype)
    expected, rate = librosa.load(path, sr=None, mono=True)
    x, found_rate = read(path)
    assert found_rate == rate == RATE
    assert x.dtype == np.float32
    assert len(x) == len(expected)
    np.testing.assert_allclose(x, expected, atol=1e-6)
    info = probe(path)
    assert (info.sample_rate, info.n_channels, info.subtype) == (RATE, 2, subtype)
    assert info.n_samples == len(x)
    assert info.duration == len(x) / RATE


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_channels_are_averaged(tmp_path: Path, n_channels: int, subtype: str) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (1000, n_channels))
    path = save(tmp_path / "a.wav", x, subtype=subtype)
    np.testing.assert_allclose(read(path)[0], x.mean(axis=1), atol=4e-5)


def test_sixteen_bit_samples_are_exact(tmp_path: Path) -> None:
    values = np.arange(-32768, 32768, dtype=np.int16)
    x, _ = read(save(tmp_path / "a.wav", values))
    np.testing.assert_array_equal(x, values / 32768)


def test_samples_above_full_scale_are_kept(tmp_path: Path) -> None:
    assert read(save(tmp_path / "a.wav", 4 * NOISE, subtype="FLOAT"))[0].max() > 1.9


def test_another_rate_is_that_of_librosa(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav")
    expected, _ = librosa.load(path, sr=11025, res_type="soxr_hq")
    x, rate = read(path, sample_rate=11025)
    assert rate == 11025
    assert len(x) == pytest.approx(len(expected), abs=1)
    n = min(len(x), len(expected))
    np.testing.assert_allclose(x[:n], expected[:n], atol=1e-5)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_part_is_a_slice_of_the_whole(tmp_path: Path, name: str) -> None:
    # A minute, so that parts lie on both sides of the places where decoders seek badly:
    # the last page of an Ogg stream, frames of an MP3 that lean on earlier ones.
    rng = np.random.default_rng(2)
    path = tmp_path / name
    with sf.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(60):
            file.write(rng.uniform(-0.5, 0.5, RATE).astype("f4"))
    whole, _ = read(path)
    for start in [0.0, 0.001, *rng.uniform(0, 59.8, 25), 59.8]:
        part, _ = read(path, start_time=start, end_time=start + 0.2)
        first, last = round(start * RATE), round((start + 0.2) * RATE)
        np.testing.assert_allclose(part, whole[first:last], atol=1e-6)


def test_parts_of_real_ogg_files_are_exact_up_to_the_end(shared_data: Path) -> None:
    for name in ("005 - Clock tick/3-170377-A", "009 - Rooster/2-71162-A"):
        path = shared_data / "esc10" / f"{name}.ogg"
        whole, rate = read(path)
        for start in (0.5, 4.1, 4.5, 4.9):
            part, _ = read(path, start_time=start)
            np.testing.assert_array_equal(part, whole[round(start * rate) :])


def test_an_end_just_behind_the_recording_is_taken_for_rounding(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav")
    assert len(read(path, start_time=2.0, end_time=3.09)[0]) == RATE
    assert "3.000 s long" in reason(path, start_time=2.0, end_time=3.2)


@pytest.mark.parametrize(
    ("start", "end"), [(-1.0, None), (3.0, None), (99.0, 100.0), (1.0, 1.0), (2.0, 1.0)]
)
def test_a_part_that_is_not_there(tmp_path: Path, start: float, end: float | None) -> None:
    assert "bad part" in reason(save(tmp_path / "a.wav"), start_time=start, end_time=end)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_samples(tmp_path: Path, bad: float) -> None:
    x = NOISE.copy()
    x[RATE] = bad
    path = save(tmp_path / "a.wav", x, subtype="FLOAT")
    assert reason(path).startswith("non-finite: 1 of")
    assert len(read(path, end_time=0.5)[0]) == RATE // 2


def test_silence_is_read(tmp_path: Path) -> None:
    x, _ = read(save(tmp_path / "a.wav", np.zeros(RATE)), sample_rate=8000)
    assert len(x) == 8000
    assert not x.any()


def test_one_sample_is_read_unless_the_rate_leaves_none(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", np.array([0.5]), 48000)
    assert read(path)[0].tolist() == [0.5]
    assert reason(path, sample_rate=8000).startswith("too short: 0.0208 ms (samples: 1)")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg", "a.flac", "a.raw"])
def test_text_is_not_audio(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("file,label\n" * 100, encoding="utf-8")
    assert reason(path).startswith(("not audio", "no header"))


@POSIX
def test_what_is_no_recording_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert "0 bytes" in reason(tmp_path / "empty.wav")
    assert "no samples" in reason(save(tmp_path / "none.wav", np.empty(0)))
    assert reason(tmp_path / "missing.wav") == "no such file"
    (tmp_path / "folder.wav").mkdir()
    assert "folder" in reason(tmp_path / "folder.wav")
    import os

    os.mkfifo(tmp_path / "pipe.wav")
    assert "regular" in reason(tmp_path / "pipe.wav")  # and does not wait for a writer


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.rf64"])
def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path: Path, name: str, caplog) -> None:
    path = save(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    whole, _ = read(path)
    assert "truncated: the header promises 3.00 s, found 1.50 s" in caplog.text
    assert str(path) in caplog.text
    assert len(whole) == pytest.approx(1.5 * RATE, abs=0.01 * RATE)
    np.testing.assert_allclose(whole, NOISE[: len(whole)], atol=4e-5)
    assert reason(path, end_time=2.0).startswith("truncated")
    caplog.clear()
    np.testing.assert_allclose(read(path, end_time=1.0)[0], NOISE[:RATE], atol=4e-5)
    info = probe(path)
    assert info.duration == pytest.approx(1.5, abs=0.01)
    assert info.damage.startswith("truncated")
    assert not caplog.text  # the part was whole


def test_a_truncated_mp3_is_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp3", np.tile(NOISE, 4))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "truncated" in reason(path)
    with pytest.raises(AudioError, match="truncated"):
        list(read_blocks(path, block_time=0.01))
    assert len(read(path, start_time=0.5, end_time=1.5)[0]) == RATE


def test_a_cut_inside_the_last_page_of_an_ogg_file_is_seen(tmp_path: Path, caplog) -> None:
    path = save(tmp_path / "a.ogg")
    path.write_bytes(path.read_bytes()[:-10])
    assert len(read(path)[0])
    assert "truncated: no end mark" in caplog.text


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_length_written_into_a_pipe_promises_nothing(tmp_path: Path, size: int) -> None:
    path = save(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    assert len(read(path)[0]) == len(NOISE)


def test_a_header_that_counts_itself_is_forgiven(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 2 * len(NOISE) + 44)
    path.write_bytes(data)
    assert len(read(path)[0]) == len(NOISE)


@settings(max_examples=40, deadline=None)
@given(
    block_time=st.floats(0.0001, 2.0),
    rates=st.sampled_from([(16000, None), (16000, 22050), (8012, 16000), (44100, 22050)]),
    duration=st.floats(0.01, 1.5),
    part=st.booleans(),
)
def test_blocks_put_together_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    block_time: float,
    rates: tuple[int, int | None],
    duration: float,
    part: bool,
) -> None:
    rate_in, rate = rates
    n = max(1, round(duration * rate_in))
    path = save(tmp_path_factory.mktemp("blocks") / "a.wav", NOISE[: min(n, len(NOISE))], rate_in)
    times = {"start_time": duration / 3, "end_time": duration / 2} if part else {}
    whole, rate_out = read(path, sample_rate=rate, **times)
    blocks = list(read_blocks(path, block_time=block_time, sample_rate=rate, **times))
    length = max(1, round(block_time * rate_out))
    assert [len(block) for block in blocks[:-1]] == [length] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= length
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_blocks_of_a_packed_file_go_on_where_the_last_ended(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.tile(NOISE, 5))
    whole, _ = read(path, start_time=1.0)
    blocks = list(read_blocks(path, block_time=0.7, start_time=1.0))
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_the_start_of_a_recording(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", NOISE)
    whole, rate = read(path)
    np.testing.assert_array_equal(read_start(path, duration=0.5), whole[: rate // 2])
    np.testing.assert_array_equal(read_start(path, duration=99.0), whole)
    part = read_start(path, duration=0.2, start_time=0.1, end_time=0.15)
    np.testing.assert_array_equal(part, read(path, start_time=0.1, end_time=0.15)[0])
    with pytest.raises(AudioError, match="no such file"):
        read_start(tmp_path / "b.wav", duration=1.0)


def test_blocks_fail_as_the_whole_does(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        next(read_blocks(tmp_path / "a.wav", block_time=1.0))
    with pytest.raises(OptionError, match="block_time"):
        next(read_blocks(tmp_path / "a.wav", block_time=0.0))
    path = save(tmp_path / "one.wav", np.array([0.5]), 48000)
    with pytest.raises(AudioError, match="too short"):
        list(read_blocks(path, block_time=1.0, sample_rate=8000))


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_channels_come_in_blocks(tmp_path: Path, subtype: str) -> None:
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (1000, 2)).astype(np.float32)
    with AudioReader(save(tmp_path / "a.wav", x, subtype=subtype)) as source:
        blocks = list(source.channel_blocks(300))
    assert [block.shape for block in blocks] == [(2, 300)] * 3 + [(2, 100)]
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), x.T, atol=1e-4)
