from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import soundfile as sf

from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import LOCK
from semisonic.data.clips import Clips
from semisonic.data.stores import FeatureStore, SampleStore

RATE, N_SAMPLES, SHAPE = 8000, 2400, (2, 4, 5)


class Extractor:
    """Some numbers that tell one clip from another, in a buffer that is used again."""

    made = 0

    def __init__(self):
        type(self).made += 1
        self.thread: int | None = None
        self.buffer = np.empty(SHAPE, np.float32)

    def __call__(self, x):
        assert x.dtype == np.float32
        assert x.shape == (N_SAMPLES,)
        self.thread = self.thread or threading.get_ident()
        assert self.thread == threading.get_ident()
        self.buffer[:] = expected(x)
        return self.buffer


def expected(x):
    return x[: 40 * 60].reshape(*SHAPE, 60).mean(axis=-1) * 100


def table(root, n):
    for i in range(n):
        path = root / f"{i:02d}.wav"
        if not path.exists():
            x = np.random.default_rng(i).uniform(-0.5, 0.5, 1800 + 40 * i)
            sf.write(path, x, RATE)
    return Clips.from_rows(root, [{"file": f"{i:02d}.wav"} for i in range(n)])


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "recordings"
    path.mkdir()
    return path


@pytest.fixture
def store(root, tmp_path):
    return samples(table(root, 3), tmp_path)


def samples(clips, tmp_path):
    return SampleStore.build(clips, tmp_path / "samples", sample_rate=RATE)


def build(store, tmp_path, make=Extractor, **options):
    options = {"key": "k", "shape": SHAPE, "n_samples": N_SAMPLES, "workers": 2, **options}
    return FeatureStore.build(store, tmp_path / "features", extractor=make, **options)


def check(features, store):
    assert len(features) == len(store)
    assert features.shape == (len(store), *SHAPE)
    assert features.array.dtype == np.float16
    assert features.clips.ids == store.clips.ids
    for row in range(len(store)):
        x = np.zeros(N_SAMPLES, np.float32)
        wave = store.wave(row)[:N_SAMPLES]
        x[: len(wave)] = wave
        np.testing.assert_array_equal(features[row], expected(x).astype(np.float16))


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_are_those_of_the_samples(root, tmp_path, workers):
    store = samples(table(root, 30), tmp_path)
    Extractor.made = 0
    features = build(store, tmp_path, workers=workers)
    assert 1 <= Extractor.made <= workers
    assert features.n_computed == 30
    check(features, store)
    chosen = features[[3, 1]]
    assert chosen.dtype == np.float32
    np.testing.assert_array_equal(chosen, np.stack([features[3], features[1]]))
    assert build(store, tmp_path).n_computed == 0


def test_only_what_changed_is_computed(root, tmp_path):
    first = samples(table(root, 20), tmp_path)
    before = build(first, tmp_path)
    copy = before[:]
    sf.write(root / "07.wav", np.random.default_rng(99).uniform(-0.5, 0.5, 2400), RATE)
    (root / "03.wav").unlink()
    later = samples(table(root, 25)[np.r_[0:3, 4:25]], tmp_path)  # all rows behind 03 move up
    features = build(later, tmp_path)
    assert features.n_computed == 6
    check(features, later)
    np.testing.assert_array_equal(before[:], copy)  # a training may still read it
    left = {path.name for path in (tmp_path / "features").iterdir()} - {LOCK}
    assert left == {"store.json", "data.bin", "journal.jsonl"}
    assert build(later, tmp_path).n_computed == 0


def test_a_failed_clip_has_no_row(root, tmp_path):
    clips = table(root, 10)
    (root / "04.wav").write_text("no sound", encoding="utf-8")
    store = samples(clips, tmp_path)
    assert len(store) == 9
    check(build(store, tmp_path), store)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"key": "other"}, "other"), ({"shape": (2, 5, 4)}, "shape"), ({"n_samples": 5}, "n_samples")],
)
def test_another_front_end_in_the_same_folder_is_an_error(store, tmp_path, options, word):
    build(store, tmp_path)
    with pytest.raises(DataError, match=word):
        build(store, tmp_path, **options)
    check(build(store, tmp_path), store)


@pytest.mark.parametrize("value", [65520.0, -1e6, np.nan, np.inf])
def test_what_float16_cannot_hold_is_an_error(store, tmp_path, value):
    bad = np.zeros(SHAPE, np.float32)
    bad[1, 2, 3] = value
    with pytest.raises(DataError, match=r"'0\d\.wav'.*float16"):
        build(store, tmp_path, lambda: lambda x: bad)
    bad[1, 2, 3] = 65504.0
    assert build(store, tmp_path, lambda: lambda x: bad).array.max() == 65504.0


def test_a_wrong_shape_is_an_error(store, tmp_path):
    with pytest.raises(DataError, match=r"\(2, 4\).*\(2, 4, 5\)"):
        build(store, tmp_path, lambda: lambda x: np.zeros((2, 4)))
    with pytest.raises(OptionError):
        build(store, tmp_path, shape=(2, 0, 5))


def test_torch_keeps_its_threads_out_of_ours(root, tmp_path):
    torch = pytest.importorskip("torch")
    seen = []

    def make():
        def extract(x):
            seen.append(torch.get_num_threads())
            return expected(x)

        return extract

    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        build(samples(table(root, 5), tmp_path), tmp_path, make)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_another_process_can_have_it(root, tmp_path):
    store = samples(table(root, 20), tmp_path)
    data = pickle.dumps(build(store, tmp_path))
    assert len(data) < 10_000
    check(pickle.loads(data), store)
