"""Features computed in the batch are those computed before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import soundfile as sf
import torch

from semisonic.data.batches import OnTheFlyFeatures, Stream, batches, free_memory
from semisonic.data.clips import Clips
from semisonic.data.stores import FeatureStore, SampleStore
from semisonic.features.frontend import Frontend
from semisonic.features.logmel import MelExtractor
from semisonic.features.options import MelOptions

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
N = 11
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Clips of several lengths and levels, one of them beyond full scale."""
    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(3)
    for i in range(N):
        n = int(RATE * (0.2 + 0.1 * (i % 5)))
        wave = 0.1 * rng.normal(0, 0.1 + 0.2 * (i % 3), n) + 0.3 * np.sin(0.1 * i * np.arange(n))
        wave = wave * (4.0 if i == 2 else 1.0)
        sf.write(root / f"{i:02d}.wav", wave.astype(np.float32), RATE, subtype="FLOAT")
    clips = Clips.from_rows(root, [{"file": f"{i:02d}.wav"} for i in range(N)])
    return SampleStore.build(clips, root / "store", sample_rate=RATE)


def in_batch(samples, device="cpu", resident=None):
    front = Frontend(MEL, standardize="none").mel
    return OnTheFlyFeatures(samples, front, MEL.shape, MEL.n_samples, device, resident=resident)


@pytest.fixture(scope="module")
def stored(samples, tmp_path_factory):
    return FeatureStore.build(
        samples,
        tmp_path_factory.mktemp("features"),
        extractor=lambda: MelExtractor(MEL),
        key=MEL.key(),
        shape=MEL.shape,
        n_samples=MEL.n_samples,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("resident", [True, False])
def test_features_are_those_of_the_extractor(samples, device, resident):
    features = in_batch(samples, device, resident)
    rows = np.array([7, 2, 2, 10, 0])
    extract = MelExtractor(MEL)
    waves = np.zeros((len(rows), MEL.n_samples), np.float32)
    for place, row in enumerate(rows):
        wave = samples.wave(row)[: MEL.n_samples]
        waves[place, : len(wave)] = wave
    expected = np.stack([extract(wave) for wave in waves])
    found = features.batch(rows)
    assert found.device.type == device
    assert found.dtype == torch.float32
    assert (features._kept is not None) == resident
    assert torch.allclose(features.waves(rows).cpu(), torch.from_numpy(waves), atol=1e-7)
    loud = expected > expected.max(axis=2, keepdims=True) - 60
    np.testing.assert_allclose(found.cpu().numpy()[loud], expected[loud], atol=1e-3)


def test_reads_like_the_array_it_stands_in_for(samples, stored):
    features = in_batch(samples)
    assert len(features) == N
    assert features.shape == stored.shape
    for rows in (3, slice(2, 5), np.array([9, 1]), np.arange(N) % 2 == 0):
        assert features[rows].shape == stored[rows].shape
        np.testing.assert_allclose(features[rows], stored[rows], atol=0.04)  # float16
    assert features.batch(np.zeros(0, np.int64)).shape == (0, *MEL.shape)


@pytest.mark.parametrize("device", DEVICES)
def test_streams_give_the_same_batches(samples, stored, device):
    rows, target = np.array([1, 3, 4, 6, 8, 9, 10]), np.arange(N)
    one, other = (
        Stream(f, rows, batch_size=3, seed=5, target=target, device=device)
        for f in (stored, in_batch(samples, device))
    )
    assert one.steps_per_epoch == other.steps_per_epoch
    for step in range(2 * one.steps_per_epoch):
        a, b = one.at(step), other.at(step)
        assert torch.equal(a.row, b.row)
        assert torch.equal(a.y, b.y)
        assert a.x.device == b.x.device
        torch.testing.assert_close(a.x, b.x, atol=0.04, rtol=0)
    parts = [batch.x for batch in batches(in_batch(samples, device), rows, 3, "cpu")]
    np.testing.assert_allclose(torch.cat(parts).numpy(), stored[rows], atol=0.04)


def test_another_process_gets_it_without_the_samples(samples):
    features = in_batch(samples, resident=True)
    first = features.batch([4, 5])
    sent = pickle.dumps(features)
    assert len(sent) < 2 * N * MEL.n_samples
    assert torch.equal(pickle.loads(sent).batch([4, 5]), first)


def test_what_does_not_fit_is_copied_batch_by_batch(samples, monkeypatch, caplog):
    features, n_bytes = in_batch(samples, "meta"), 2 * N * MEL.n_samples
    monkeypatch.setattr("semisonic.data.batches.free_memory", lambda device: n_bytes)
    assert not features._stays()
    assert "each batch is copied there instead" in caplog.text
    monkeypatch.setattr("semisonic.data.batches.free_memory", lambda device: 2 * n_bytes)
    assert features._stays()
    assert not in_batch(samples)._stays(), "on a processor the samples stay where they are"


def test_room_on_a_card_is_asked_of_the_card(monkeypatch):
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 5)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3, 8))
    assert [free_memory(torch.device(name)) for name in ("mps", "cuda:1")] == [7, 3]


def test_the_first_use_may_be_an_evaluation(samples):
    features = in_batch(samples, resident=True)
    weight = torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        features.batch([0])
    (features.batch([1]) * weight).square().mean().backward()
    assert weight.grad is not None
    assert weight.grad.abs() > 0
