from __future__ import annotations

import os
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import soundfile as sf

from semisonic.audio.read import read
from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.data.stores import SampleStore
from systems import NAMES_OF_BYTES, POSIX

RATE = 8000


def noise(seed, duration=0.3, rate=RATE):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(duration * rate)).astype("f4")


def table(root, *rows):
    return Clips.from_rows(root, [{"file": r} if isinstance(r, str) else r for r in rows])


def names(n):
    return [f"{i:03d}.wav" for i in range(n)]


@pytest.fixture
def recordings(tmp_path):
    """Twelve recordings of different length, rate and format."""
    root = tmp_path / "recordings"
    root.mkdir()
    for i, name in enumerate(names(12)):
        rate = 16000 if i % 2 else RATE
        sf.write(root / name, noise(i, 0.2 + 0.05 * i, rate), rate)
    return root


@pytest.fixture
def build(tmp_path):
    """The store of some clips, or of some rows of a folder, always in the same place."""

    def made(clips, *rows, folder=tmp_path / "s", sample_rate=RATE, **options):
        clips = clips if isinstance(clips, Clips) else table(clips, *rows)
        return SampleStore.build(clips, folder, sample_rate=sample_rate, **options)

    return made


def check(store, tolerance=0.6 / 32768):
    """Every clip is what reading its file gives, to a half step of 16 bit."""
    for row in range(len(store)):
        start, end = store.clips.start_time[row], store.clips.end_time[row]
        expected, _ = read(
            store.clips.paths[row],
            sample_rate=store.sample_rate,
            start_time=start,
            end_time=None if np.isnan(end) else end,
        )
        assert store.n_samples[row] == len(expected)
        wave = store.wave(row)
        assert wave.dtype == np.float32
        np.testing.assert_allclose(wave, expected, atol=tolerance * store.scale[row], rtol=0)
        assert store[row].dtype == np.int16
        np.testing.assert_allclose(store[row] * store.scale[row] / 32768, wave, atol=1e-7)


@pytest.mark.parametrize("workers", [1, 3])
def test_holds_every_clip(recordings, build, workers):
    store = build(recordings, *names(12), workers=workers)
    assert len(store) == 12
    assert store.n_decoded == 12
    assert store.failures == store.notes == ()
    check(store)


def test_sixteen_bit_at_the_same_rate_is_kept_bit_by_bit(tmp_path, build):
    values = np.arange(-32768, 32768, dtype=np.int16)
    sf.write(tmp_path / "a.wav", values, RATE)
    store = build(tmp_path, "a.wav")
    np.testing.assert_array_equal(store[0], values)
    assert store.scale[0] == 1.0


def test_only_what_changed_is_decoded(recordings, build):
    build(recordings, *names(10))
    os.utime(recordings / "004.wav", ns=(1, 1))
    assert build(recordings, *names(10)).n_decoded == 1
    sf.write(recordings / "003.wav", noise(99), RATE)
    store = build(recordings, *names(12))  # one changed, two new
    assert store.n_decoded == 3
    check(store)
    smaller = build(recordings, "001.wav", "003.wav")
    assert (smaller.n_decoded, len(smaller)) == (0, 2)
    check(smaller)
    # Clips left out for once are still there.
    assert build(recordings, *names(12)).n_decoded == 0
    check(store)  # and a store opened earlier still reads its own


def test_parts_of_one_recording_are_clips_of_their_own(tmp_path, build):
    sf.write(tmp_path / "a.wav", noise(0, 3.0), RATE)
    parts = [{"file": "a.wav", "start_time": s, "end_time": s + 0.5} for s in (0.0, 0.5, 2.25)]
    parts.append({"file": "a.wav", "start_time": 1.0})
    store = build(tmp_path, *parts)
    assert store.n_samples.tolist() == [4000, 4000, 16000, 4000]
    check(store)


def test_bad_files_are_told_and_the_rest_goes_on(recordings, build):
    (recordings / "empty.wav").touch()
    (recordings / "text.wav").write_text("no sound", encoding="utf-8")
    sf.write(recordings / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    sf.write(recordings / "one.wav", np.array([0.5]), RATE)
    sf.write(recordings / "silent.wav", np.zeros(RATE), RATE)
    bad = ["empty.wav", "missing.wav", "nan.wav", "one.wav", "text.wav"]
    clips = table(recordings, *names(12), *bad, "silent.wav")
    for n_decoded in (13, 0):
        store = build(clips)
        reasons = dict(store.failures)
        assert list(reasons) == bad
        starts = ["empty", "no such file", "non-finite", "too short", "not audio"]
        for file, start in zip(bad, starts, strict=True):
            assert reasons[file].startswith(start)
        assert store.notes == (("silent.wav", "silent: peak -inf dBFS"),)
        assert store.n_decoded == n_decoded
        assert len(store) == 13
        check(store)
    sf.write(recordings / "text.wav", noise(5), RATE)  # repaired
    store = build(clips)
    assert (store.n_decoded, len(store), len(store.failures)) == (1, 14, 4)


def test_nothing_is_clipped(tmp_path, build):
    # The loudest part stands in the middle, after quieter ones.
    shape = np.interp(np.arange(RATE), [0, RATE / 2, RATE], [0.1, 1.0, 0.1])
    loud = {"full.wav": 1.0, "over.wav": 3.7, "low.wav": 0.9}
    for name, gain in loud.items():
        x = gain * shape * np.cos(np.arange(RATE) - RATE / 2)
        sf.write(tmp_path / name, x, RATE, subtype="FLOAT")
    store = build(tmp_path, *loud)
    check(store)
    assert store.scale[0] == pytest.approx(1.00003, abs=1e-5)
    assert store.scale[1] == 1.0
    assert store.scale[2] == pytest.approx(3.7, rel=1e-3)
    assert np.abs(store[2].astype(int)).max() in (32767, 32768)


@pytest.mark.parametrize("rate", [RATE + 1, 44100])
def test_another_rate_in_the_same_folder_is_an_error(recordings, build, rate):
    clips = table(recordings, "000.wav")
    build(clips)
    with pytest.raises(DataError, match=f"{RATE}.*expected.*{rate}"):
        build(clips, sample_rate=rate)
    assert build(clips).n_decoded == 0


def test_a_folder_of_something_else_is_left_alone(recordings, tmp_path, build):
    clips, before = table(recordings, "000.wav"), sorted(recordings.iterdir())
    for message, wrong in (
        ("not the folder of a store", {"folder": recordings}),
        ("is a file, not a folder", {"folder": recordings / "000.wav" / "s"}),
        ("is a file", {"folder": recordings / "000.wav"}),
        ("workers", {"folder": tmp_path, "workers": 0}),
        ("rate", {"folder": tmp_path, "sample_rate": 0}),
    ):
        with pytest.raises(OptionError, match=message):
            build(clips, **wrong)
        assert sorted(recordings.iterdir()) == before
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "store.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="kind None, expected"):
        build(clips)


@NAMES_OF_BYTES
def test_any_file_name_will_do(tmp_path, build):
    odd = ['ü, "x".wav', "line\nbreak.wav", os.fsdecode(b"\xff\xfe.wav"), "a@0.0-1.0.wav"]
    for name in odd:
        sf.write(tmp_path / "x", noise(len(name)), RATE, format="WAV")
        (tmp_path / "x").rename(tmp_path / name)
    clips = table(tmp_path, *odd)
    for n_decoded in (4, 0):
        store = build(clips)
        assert (store.n_decoded, len(store)) == (n_decoded, 4)
        check(store)


@POSIX
def test_a_full_disk_is_told_and_finished_work_is_kept(recordings, build, monkeypatch):
    real, count = os.pwrite, iter(range(1000))

    def full(descriptor, data, offset):
        if next(count) >= 5:
            raise OSError(28, "No space left on device")
        return real(descriptor, data, offset)

    clips = table(recordings, *names(12))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(DataError, match="No space left"):
            build(clips, workers=1)
    store = build(clips)
    assert store.n_decoded < 12
    check(store)


def test_memory_does_not_grow_with_the_pool(tmp_path, build):
    for i, name in enumerate(names(200)):
        sf.write(tmp_path / name, noise(i, 4.0), RATE)

    def peak(n):
        clips = table(tmp_path, *names(n))
        tracemalloc.start()
        build(clips, folder=tmp_path / f"s{n}", workers=2)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(5)
    # 180 clips more are 11 MB of samples, of which a few chunks are under way at a time.
    assert peak(200) - peak(20) < 4_000_000


def test_another_process_can_have_it(recordings, build):
    data = pickle.dumps(build(recordings, *names(12)))
    assert len(data) < 10_000  # no samples inside
    check(pickle.loads(data))


def test_the_odd_files_are_all_there(shared_data, build):
    root = shared_data / "odd_files"
    store = build(root, *sorted(path.name for path in root.iterdir()), sample_rate=22050)
    assert len(store) == 36
    assert store.failures == ()
    assert {note.partition(":")[0] for _, note in store.notes} == {"clipped"}
    scale = dict(zip(store.clips.ids, store.scale, strict=True))
    for name in ("dog_124.wav", "dog_172.wav", "inek_62.wav"):
        assert scale[name] > 1.05  # MP3 that overshoots full scale
    check(store)


def test_threads_that_begin_together_read_what_is_there(build, recordings):
    store = build(recordings, *names(8))
    expected = [store.wave(row) for row in range(8)]
    for _ in range(50):
        fresh = pickle.loads(pickle.dumps(store))  # has no file open yet
        begin = Barrier(8)

        def wave(row, fresh=fresh, begin=begin):
            begin.wait()
            return fresh.wave(row)

        with ThreadPoolExecutor(8) as pool:
            for found, wanted in zip(pool.map(wave, range(8)), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)
