"""What a decision that is fitted on windows of clips depends on, and what not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_sounds import MEL, NOTATION

from semisonic.classifier.calibration import fit_decision
from semisonic.classifier.scoring import network_outputs
from semisonic.data.clips import Clips
from semisonic.models.sound_model import SoundModel, build

N = 150
ROWS = np.arange(N)
FEATURES = np.random.default_rng(0).normal(-40, 10, (N, *MEL.shape)).astype(np.float16)
FEATURES += np.random.default_rng(1).normal(0, 15, (N, 1, MEL.n_mels, 1)).astype(np.float16)
PREPARED = SimpleNamespace(
    features=FEATURES, source=ROWS, is_silent=np.zeros(N, bool), group=ROWS.astype(str)
)


def too_sure(factor: float) -> SoundModel:
    """One network, whose logits are larger by a factor."""
    model = build(NOTATION, MEL, ("a", "b", "c"), seed=1).eval()
    model.frontend.standardize.fit(FEATURES)
    logits = network_outputs(model, FEATURES, ROWS).logits
    last = [part for part in model.head.modules() if isinstance(part, torch.nn.Linear)][-1]
    with torch.no_grad():
        for weight in last.parameters():
            weight.mul_(2 * factor / logits.std())
    return model


@pytest.fixture(scope="module")
def clips() -> Clips:
    """Clips of classes drawn from what the network says of them, each its own recording."""
    logits = network_outputs(too_sure(1.0), FEATURES, ROWS).logits
    chance = np.random.default_rng(2).gumbel(size=logits.shape)
    names = np.array(["a", "b", "c"])[(logits + chance).argmax(axis=1)]
    rows = [{"file": f"{i:03d}.wav", "labels": name} for i, name in enumerate(names.tolist())]
    return Clips.from_rows("/nowhere", rows)


def test_a_clip_counts_once_however_many_windows_it_has(clips: Clips) -> None:
    """Five clips that are hard to tell have a window each, and then forty."""
    logits = network_outputs(too_sure(1.0), FEATURES, ROWS).logits
    hardest = np.argsort(logits[ROWS, clips.target()] - logits.max(axis=1))[:5]
    scales = []
    for rows in (ROWS, np.concatenate([ROWS, np.repeat(hardest, 39)])):
        fit = fit_decision(
            too_sure(1.0), PREPARED, rows, clips, method="temperature", unknown=False
        )
        scales.append(fit.decision.calibration.scale)
    assert scales[1] == pytest.approx(scales[0], rel=1e-4)


def test_thresholds_are_for_calibrated_scores(clips: Clips) -> None:
    """A network that is five times too sure gets the same scores, so the same thresholds."""
    fits = [
        fit_decision(
            too_sure(factor),
            PREPARED,
            ROWS,
            clips,
            method="temperature",
            unknown=False,
            precision=0.7,
        )
        for factor in (1.0, 5.0)
    ]
    assert fits[1].before.max(axis=1).mean() > fits[0].before.max(axis=1).mean() + 0.1
    expected = pytest.approx(fits[0].decision.thresholds, abs=1e-3)
    assert fits[1].decision.thresholds == expected
