"""The rule against noise: how it chooses between noise that passes and known sounds that do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, MEL, NOTATION, RATE, sound

from semisonic.classifier.detection.frame_scores import FrameScorer
from semisonic.classifier.scoring import NetworkOutputs, network_outputs, score_rows
from semisonic.classifier.unknown import features_of_noise, fit_unknown
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import NoiseScore, UnknownRules
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
