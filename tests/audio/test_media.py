"""Recordings of phones and browsers: every part is that of the whole, and damage is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.audio.find import find_audio
from semisonic.audio.media import forget_decoded
from semisonic.audio.read import AudioReader, probe, read, read_blocks
from semisonic.core.errors import AudioError
from systems import NAMES_OF_BYTES

av = pytest.importorskip("av")

DURATION = 2.0


@pytest.fixture(autouse=True)
def nothing_stays_decoded() -> Iterator[None]:
    yield
    forget_decoded()


def chirp(rate: int) -> np.ndarray:
    """From 200 Hz to 2200 Hz: every moment sounds differently."""
    t = np.arange(round(DURATION * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 + 500 * t) * t)).astype(np.float32)


def encode(path: Path, codec: str, rate: int, layout: str = "mono", **options: str) -> Path:
    """Written by FFmpeg; the second of two channels is silent."""
    x = np.stack([chirp(rate), np.zeros(round(DURATION * rate), np.float32)])
    x = x[: 2 if layout == "stereo" else 1]
    kind = {".aac": "adts", ".wma": "asf"}.get(path.suffix)
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"PyAV {av.__version__} has no encoder {codec}")
    with av.open(path, "w", format=kind, options=options) as target:
        stream = target.add_stream(codec, rate=rate)
        stream.layout = layout
        if codec == "wmav2":
            stream.bit_rate = 128_000  # the encoder has no default
        wanted = {"wavpack": "s32p"}.get(codec, stream.codec_context.codec.audio_formats[0].name)
        stream.codec_context.format = wanted
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x), "fltp", layout)
        frame.sample_rate, frame.pts = rate, 0
        pieces = av.AudioResampler(format=wanted, layout=layout, rate=rate)
        for piece in [*pieces.resample(frame), *pieces.resample(None)]:
            target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    return path


KINDS = {
    "phone.m4a": ("aac", 44_100, "mono", "MP4", "AAC"),
    "stereo.m4a": ("aac", 48_000, "stereo", "MP4", "AAC"),
    "lossless.m4a": ("alac", 22_050, "mono", "MP4", "ALAC"),
    "call.3gp": ("libopencore_amrnb", 8_000, "mono", "MP4", "AMRNB"),
    "browser.webm": ("libopus", 48_000, "stereo", "MATROSKA", "OPUS"),
    "low.mka": ("libopus", 16_000, "mono", "MATROSKA", "OPUS"),
    "stream.aac": ("aac", 32_000, "mono", "AAC", "AAC"),
    "old.wma": ("wmav2", 44_100, "mono", "ASF", "WMAV2"),
    "film.ac3": ("ac3", 44_100, "mono", "AC3", "AC3"),
    "packed.wv": ("wavpack", 44_100, "mono", "WV", "WAVPACK"),
}


def decoded(path: Path) -> np.ndarray:
    """The mean of the channels, by PyAV alone."""
    with av.open(path) as source:
        frames = list(source.decode(audio=0))
    to_float = av.AudioResampler(format="fltp", layout=frames[0].layout.name)
    pieces = [piece.to_ndarray() for frame in frames for piece in to_float.resample(frame)]
    return np.concatenate(pieces, axis=1).mean(axis=0)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_what_ffmpeg_decodes_and_its_parts_are_those_of_the_whole(tmp_path, name) -> None:
    codec, rate, layout, container, subtype = KINDS[name]
    path = encode(tmp_path / name, codec, rate, layout)
    x, found = read(path)
    info = probe(path)
    assert (info.format, info.subtype, info.damage) == (container, subtype, "")
    assert info.n_channels == (2 if layout == "stereo" else 1)
    rate = 48_000 if codec == "libopus" else rate  # Opus has no other
    assert found == info.sample_rate == rate
    assert -0.01 < info.duration - DURATION < 0.15  # raw streams hold what encoders add
    assert 0.15 < np.abs(x).mean() * info.n_channels < 0.4  # a tone of amplitude 0.5
    np.testing.assert_allclose(x, decoded(path)[: len(x)], atol=1e-6)
    for start_time, end_time in ((1.2345, 1.9), (0.0, 0.5), (0.777, None)):
        part, _ = read(path, start_time=start_time, end_time=end_time)
        last = None if end_time is None else round(end_time * rate)
        np.testing.assert_array_equal(part, x[round(start_time * rate) : last])
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path, block_time=0.3))), x)


def test_all_channels_are_there(tmp_path) -> None:
    with AudioReader(encode(tmp_path / "a.m4a", "alac", 44_100, "stereo")) as reader:
        x = np.concatenate(list(reader.channel_blocks(4096)), axis=1)
    assert np.abs(x[0] - chirp(44_100)).max() < 2e-5
    assert not x[1].any()


def test_the_content_counts_and_not_the_name(tmp_path) -> None:
    path = encode(tmp_path / "a.m4a", "aac", 44_100)
    x, _ = read(path)
    np.testing.assert_array_equal(read(path.rename(tmp_path / "renamed.wav"))[0], x)


@NAMES_OF_BYTES
def test_a_name_that_is_no_unicode(tmp_path) -> None:
    path = encode(tmp_path / "a.m4a", "aac", 44_100)
    name = os.fsencode(tmp_path) + b"/caf\xe9.m4a"
    os.rename(path, name)
    assert len(read(os.fsdecode(name))[0]) == 2 * 44_100


def test_what_is_cut_off_is_said_and_the_rest_is_used(tmp_path, caplog) -> None:
    whole = encode(tmp_path / "a.m4a", "aac", 44_100, movflags="faststart")
    x, _ = read(whole)
    cut = tmp_path / "cut.m4a"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    part, rate = read(cut)
    assert 0.8 < len(part) / rate < 1.6
    np.testing.assert_array_equal(part, x[: len(part)])
    assert "the header promises 2.00 s" in caplog.text
    with pytest.raises(AudioError, match="truncated: the header promises"):
        read(cut, end_time=1.9)


@pytest.mark.parametrize("content", [b"no sound at all", b"\0\0\0\x1cftypM4A " + bytes(100)])
def test_what_is_no_recording_is_refused(tmp_path, content) -> None:
    (tmp_path / "a.m4a").write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.m4a: not audio, or damaged"):
        read(tmp_path / "a.m4a")


def test_a_list_of_other_files_is_not_followed(tmp_path) -> None:
    encode(tmp_path / "secret.m4a", "aac", 44_100)
    (tmp_path / "a.m4a").write_text(
        f"#EXTM3U\n#EXTINF:2,\n{tmp_path / 'secret.m4a'}\n", encoding="utf-8"
    )
    with pytest.raises(AudioError, match="not audio"):
        read(tmp_path / "a.m4a")


def test_a_changed_file_is_decoded_again_and_nothing_stays_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = encode(tmp_path / "a.m4a", "aac", 44_100)
    assert probe(path).sample_rate == 44_100
    shutil.copy(encode(tmp_path / "b.m4a", "aac", 22_050), path)
    assert probe(path).sample_rate == 22_050
    forget_decoded()
    assert not list((tmp_path / "temporary").iterdir())


WITHOUT = """
import sys
sys.modules["av"] = None
from pathlib import Path
from semisonic.audio.read import read
from semisonic.cli.main import main
try:
    read("a.m4a")
except Exception as error:
    print(error, file=sys.stderr)
main(["scan", ".", "-o", "../scan"])
"""


def test_without_pyav_the_extra_is_named(tmp_path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    encode(folder / "a.m4a", "aac", 44_100)
    assert find_audio(folder) == [folder / "a.m4a"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=folder, capture_output=True, text=True, check=False
    )
    advice = "pip install 'semisonic[formats]', or convert it to WAV or FLAC"
    said = f"a.m4a: reading MP4 needs PyAV, which is not installed. {advice}"
    assert said in done.stderr, done.stderr
    listed = (tmp_path / "scan" / "bad_files.csv").read_text(encoding="utf-8")
    assert f"a format that cannot be read; {advice}" in listed


def test_titles_need_not_be_unicode(tmp_path) -> None:
    path = encode(tmp_path / "whole.m4a", "aac", 44_100)
    with av.open(path) as source, av.open(tmp_path / "a.m4a", "w", format="mp4") as target:
        target.metadata["title"] = "x" * 8
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = (tmp_path / "a.m4a").read_bytes()
    assert content.count(b"x" * 8) == 1
    (tmp_path / "a.m4a").write_bytes(content.replace(b"x" * 8, b"caf\xe9\xff\xfe\xc3("))
    np.testing.assert_array_equal(read(tmp_path / "a.m4a")[0], read(path)[0])


OTHERS = {
    "a.oga": ("flac", "ogg", 22_050, ("OGG", "FLAC")),
    "a.tta": ("tta", "tta", 22_050, ("TTA", "TTA")),
    "a.wav": ("g726", "wav", 8_000, ("WAV", "G726")),
    "b.wav": ("g722", "wav", 16_000, ("WAV", "G722")),
}


@pytest.mark.parametrize("name", OTHERS)
def test_codecs_that_libsndfile_does_not_read(tmp_path, name) -> None:
    codec, kind, rate, expected = OTHERS[name]
    path = tmp_path / name
    with av.open(path, "w", format=kind) as target:
        stream = target.add_stream(codec, rate=rate)
        stream.layout, stream.codec_context.format = "mono", stream.codec.audio_formats[0].name
        if codec == "g726":
            stream.bit_rate = 32_000
        frame = av.AudioFrame.from_ndarray(chirp(rate)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = rate, 0
        to_codec = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for piece in [*to_codec.resample(frame), *to_codec.resample(None)]:
            target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    x, found = read(path)
    assert found == rate
    assert (probe(path).format, probe(path).subtype) == expected
    assert len(x) / rate == pytest.approx(DURATION, abs=0.05)
    lags = np.correlate(x[: rate // 2], chirp(rate)[: rate // 2], "full")
    assert lags.max() > 0.9 * np.square(chirp(rate)[: rate // 2]).sum()
    np.testing.assert_array_equal(read(path, start_time=1.0)[0], x[rate:])


def test_bw64_is_read_without_pyav(tmp_path) -> None:
    sf.write(tmp_path / "a.wav", chirp(8000), 8000, format="RF64", subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "b.wav").write_bytes(b"BW64" + content[4:])
    np.testing.assert_array_equal(read(tmp_path / "b.wav")[0], read(tmp_path / "a.wav")[0])


def test_the_extra_is_named_for_a_codec_that_only_pyav_reads(tmp_path) -> None:
    (tmp_path / "a.oga").write_bytes(b"OggS\0\x02" + bytes(22) + b"\x01\x05Speex" + bytes(200))
    code = WITHOUT.partition("from semisonic.cli")[0] + (
        "try:\n    read('a.oga')\nexcept Exception as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "a.oga: not audio, or damaged" in done.stdout, done.stderr
    assert "pip install 'semisonic[formats]'" in done.stdout
