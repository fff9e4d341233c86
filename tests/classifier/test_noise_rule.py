"""The rules for unknown sounds: what passes the one against noise and that of distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tiny_sounds import KINDS, MEL, NOTATION, RATE, sound

from semisonic.classifier.detection.frame_scores import FrameScorer
from semisonic.classifier.scoring import NetworkOutputs, network_outputs, score_rows
from semisonic.classifier.unknown import PoolSounds, features_of_noise, fit_unknown, pool_rows
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import NoiseScore, StrangeScore, UnknownRules
from semisonic.models.sound_model import build

CLASS = np.arange(200) // 2 % 2
"""Of sounds by turns."""


def fitted(gap: float, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Which known sounds and which noise pass, where these lie a gap apart."""
    rng = np.random.default_rng(0)
    known, noise = rng.normal(0, 1, (n, 6)), rng.normal(gap, 1, (n, 6))
    outputs = NetworkOutputs(rng.normal(size=(n, 3)), known, rng.normal(size=(n, 4)))
    rule, _, passed = fit_unknown(outputs, np.full((n, 3), 1 / 3), CLASS[:n], noise, splits(n))
    return passed >= 0.5, no_noise(rule, noise) >= 0.5


def splits(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two halves that judge each other."""
    halves = np.arange(n) % 2 == 0
    return [(np.flatnonzero(part), np.flatnonzero(~part)) for part in (halves, ~halves)]


def no_noise(rule: UnknownRules, statistics: np.ndarray) -> np.ndarray:
    """How far sounds are from noise, by the rule against it."""
    return NoiseScore(rule).in_distribution(torch.from_numpy(statistics)).numpy()


def test_where_noise_lies_apart_no_known_sound_is_refused() -> None:
    known, noise = fitted(gap=8.0)
    assert known.all()
    assert not noise.any()


def test_what_is_like_neither_noise_nor_known_sounds_is_no_noise() -> None:
    n, rng = 8, np.random.default_rng(0)
    known, noise = rng.normal(0, 1, (n, 40)), rng.normal(8, 3, (200, 40))
    outputs = NetworkOutputs(rng.normal(size=(n, 3)), known, rng.normal(size=(n, 4)))
    rule, _, _ = fit_unknown(outputs, np.full((n, 3), 1 / 3), CLASS[:n], noise, splits(n))
    assert (no_noise(rule, np.full((1, 40), -30.0)) >= 0.5).all()
    assert (no_noise(rule, known) >= 0.5).all()
    assert (no_noise(rule, rng.normal(8, 3, (200, 40))) < 0.5).all()


def test_where_noise_lies_among_known_sounds_few_of_these_are_refused() -> None:
    known, noise = fitted(gap=0.7)
    assert 0.94 <= known.mean() <= 0.96  # 95 % were asked for
    assert noise.mean() < 0.95


@pytest.mark.parametrize("waves", [False, True])
def test_statistics_tell_noise_from_sounds_behind_any_network(waves: bool) -> None:
    mel = MelOptions(input="wave", sample_rate=RATE, duration=0.5) if waves else MEL
    model = build("m5" if waves else NOTATION, mel, KINDS, standardize="none").eval()
    extract = make_extractor(mel)
    some = np.stack([extract(sound(kind, i)) for i in range(20) for kind in ("hum", "sweep")])
    rows = np.arange(len(some))
    noise = features_of_noise(mel, seed=0, per_kind=20)
    outputs = network_outputs(model, some, rows)
    of_noise = network_outputs(model, noise, np.arange(len(noise))).statistics
    scores = score_rows(model, some, rows)
    found, _, _ = fit_unknown(outputs, scores, CLASS[: len(rows)], of_noise, splits(len(rows)))
    model.decision = type(model.decision)(unknown=found)
    others = features_of_noise(mel, seed=1, per_kind=20)
    seen = network_outputs(model, others, np.arange(len(others)))
    assert (no_noise(found, seen.statistics) < 0.5).mean() > 0.9
    heard = FrameScorer(model, times="windows", device="cpu").scores(others)  # as detect does
    np.testing.assert_array_equal(heard.is_noise, no_noise(found, seen.statistics) < 0.5)
    np.testing.assert_allclose(
        heard.whole, score_rows(model, others, np.arange(len(others))), atol=1e-6
    )
    assert (no_noise(found, network_outputs(model, some, rows).statistics) >= 0.5).mean() > 0.9


def clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of four kinds, which spread farther than they lie apart, and the kind of each."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 4
    spread = np.r_[np.full(24, 3.0), np.ones(8)]
    return rng.normal(size=(n, 32)) * spread + 3.0 * np.eye(32)[31 - kind], kind


def strangeness(pool: np.ndarray | None) -> tuple[np.ndarray, UnknownRules]:
    """Of new sounds of four kinds, three of them known by 30 sounds each; the known ones first."""
    known, kind = clouds(120, seed=0)
    known, kind = known[kind < 3], kind[kind < 3]
    outputs = NetworkOutputs(np.zeros((90, 3)), np.zeros((90, 5)), known)
    even = np.full((90, 3), 1 / 3)
    rest = None if pool is None else PoolSounds(pool, np.full((len(pool), 3), 1 / 3))
    noise = np.full((6, 5), 9.0)
    rule, passed, _ = fit_unknown(outputs, even, kind, noise, splits(90), pool=rest)
    assert (passed >= 0.5).mean() == pytest.approx(0.95, abs=0.03)
    others, kind = clouds(800, seed=1)
    score = StrangeScore(rule)(*map(torch.from_numpy, (others, np.zeros(800)))).numpy()
    return np.r_[score[kind < 3], score[kind == 3]], rule


def auroc(score: np.ndarray) -> float:
    return float(roc_auc_score(np.arange(800) >= 600, score))


def test_a_pool_that_holds_other_sounds_helps_to_tell_them() -> None:
    alone, rule = strangeness(None)
    assert rule.other is None
    pool, kind = clouds(400, seed=2)
    with_pool, rule = strangeness(pool)
    assert rule.other is not None
    assert auroc(with_pool) > auroc(alone) + 0.05
    without, _ = strangeness(pool[kind < 3])  # nothing but known kinds: little is lost
    assert auroc(without) > auroc(alone) - 0.1
    assert strangeness(pool[:49])[1].other is None


def test_rows_of_a_pool_are_of_recordings_without_a_label() -> None:
    group = np.array(["a", "b", "a", "c", "d", "c"])
    assert pool_rows(np.arange(6), group, np.array([0, 4])).tolist() == [1, 3, 5]
    many = pool_rows(np.arange(9000), np.arange(9000), np.array([8999]))
    assert len(many) == len(np.unique(many)) == 2000
    assert many[[0, -1]].tolist() == [0, 8998]
