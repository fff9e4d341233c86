"""The faster decoder: the samples of libsndfile, and nothing but whole files."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio import decode as vorbis
from semisonic.audio.decode import count_samples, open_vorbis
from semisonic.audio.find import find_audio
from semisonic.audio.read import probe, read, read_blocks
from semisonic.core.errors import AudioError

pytest.importorskip("miniaudio")
CLOSE = 1e-6  # of full scale


def written(path: Path, x: np.ndarray, rate: int = 22050, subtype: str = "VORBIS") -> Path:
    sf.write(path, x, rate, format="OGG", subtype=subtype)
    return path


def sound(n: int, n_channels: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.3, (n, n_channels)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 30000),
    n_channels=st.integers(1, 2),
    rate=st.sampled_from([8000, 16000, 22050, 44100, 48000]),
    seed=st.integers(0, 99),
)
def test_samples_are_those_of_libsndfile(
    tmp_path_factory: pytest.TempPathFactory, n: int, n_channels: int, rate: int, seed: int
) -> None:
    path = written(tmp_path_factory.mktemp("v") / "a.ogg", sound(n, n_channels, seed), rate)
    expected, _ = sf.read(path, dtype="float32", always_2d=True)
    stream = open_vorbis(path)
    assert stream is not None
    assert (stream.samplerate, stream.channels, stream.frames) == (rate, n_channels, len(expected))
    np.testing.assert_allclose(stream.read(n), expected, atol=CLOSE * max(1, abs(expected).max()))


def test_real_recordings(shared_data: Path) -> None:
    files = [path for path in find_audio(shared_data) if path.suffix == ".ogg"]
    for path in files[:: max(1, len(files) // 25)]:
        stream = open_vorbis(path)
        assert stream is not None
        expected, _ = sf.read(path, dtype="float32", always_2d=True)
        np.testing.assert_allclose(stream.read(1 << 30), expected, atol=CLOSE)


def test_reading_uses_it_and_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.ogg", sound(50000, 2))
    found, rate = read(path)
    part, _ = read(path, start_time=0.7, end_time=1.9)
    blocks = np.concatenate(list(read_blocks(path, block_time=0.3, sample_rate=16000)))
    opened: list[Path] = []
    monkeypatch.setattr("semisonic.audio.decode.open_handle", lambda *a: opened.append(a[0]))
    read(path)
    assert not opened
    monkeypatch.undo()
    monkeypatch.setattr(vorbis, "_decoder", lambda: None)  # not installed
    np.testing.assert_allclose(found, read(path)[0], atol=CLOSE)
    np.testing.assert_allclose(part, read(path, start_time=0.7, end_time=1.9)[0], atol=CLOSE)
    np.testing.assert_allclose(blocks, read(path, sample_rate=16000)[0], atol=4 * CLOSE)
    assert probe(path).n_samples == len(found)
    assert rate == 22050


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit": lambda data: changed(data, len(data) // 2),
    "a bit of the header": lambda data: changed(data, 40),
    "truncated": lambda data: data[: len(data) * 2 // 3],
    "a page lost": lambda data: (
        data[: (p := data.find(b"OggS", 5000))] + data[data.find(b"OggS", p + 1) :]
    ),
    "two streams": lambda data: data + data,
    "more behind it": lambda data: data + b"more",
    "no page": lambda data: b"OggS" + bytes(100),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_not_whole_is_left_to_libsndfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = written(tmp_path / "a.ogg", sound(60000))
    data = path.read_bytes()
    assert count_samples(data) == 60000
    path.write_bytes(DAMAGE[kind](data))
    assert count_samples(path.read_bytes()) == 0
    assert open_vorbis(path) is None
    answers = []
    for _ in range(2):
        try:
            answers.append(read(path)[0].tobytes())
        except AudioError as error:
            answers.append(str(error).encode())
        monkeypatch.setattr(vorbis, "_decoder", lambda: None)
    assert answers[0] == answers[1]


def test_other_files_are_left_to_libsndfile(tmp_path: Path) -> None:
    x = sound(48000)
    assert open_vorbis(written(tmp_path / "a.opus", x, 48000, "OPUS")) is None
    sf.write(tmp_path / "a.wav", x, 22050)
    assert open_vorbis(tmp_path / "a.wav") is None
    assert open_vorbis(written(tmp_path / "three.ogg", sound(22050, 3))) is None
    assert open_vorbis(tmp_path / "missing.ogg") is None


def test_long_recordings_are_left_to_libsndfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.ogg", sound(60000))
    monkeypatch.setattr(vorbis, "MOST_SAMPLES", 59999)
    assert open_vorbis(path) is None
    monkeypatch.undo()
    monkeypatch.setattr(vorbis, "MOST_BYTES", 1000)
    assert open_vorbis(path) is None
    assert len(read(path)[0]) == 60000


def test_a_small_part_of_a_recording_is_left_to_libsndfile(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ogg", sound(22050 * 10))
    assert open_vorbis(path, 6.0) is not None
    for span in (4.0, 0.01, 0.0, -1.0, float("nan"), float("inf")):
        assert open_vorbis(path, span) is None
    expected = read(path)[0]
    part = read(path, start_time=7.0, end_time=8.0)[0]
    np.testing.assert_allclose(part, expected[7 * 22050 : 8 * 22050], atol=CLOSE)


def test_a_member_of_a_shard_is_decoded_alike(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ogg", sound(30000))
    held = BytesIO(path.read_bytes())
    fast = open_vorbis(held)
    assert fast is not None
    assert held.tell() == 0
    np.testing.assert_array_equal(fast.read(30000), open_vorbis(path).read(30000))  # type: ignore[union-attr]
