"""Neither trivial nor hopeless: the sounds differ, but statistics of a clip do not suffice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from semisonic.data.options import SynthOptions
from semisonic.data.synth.dataset import load_synth, make_synth
from semisonic.features.statistics import mfcc_statistics


def statistics(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MFCC and zero-crossing statistics (n, 26), class numbers (n,) and folds (n,)."""
    clips, _ = load_synth(folder)
    waves = [soundfile.read(path, dtype="float32") for path in clips.paths]
    x = np.array([mfcc_statistics(wave, rate) for wave, rate in waves])
    return x, clips.target(), clips.fold


def test_classes_differ_by_ear(tmp_path: Path) -> None:
    """The nearest class centre, by recording, is right far more often than chance."""
    options = SynthOptions(
        n_classes=12, clips_per_class=5, clips_per_recording=1, n_pool=0, duration=1.5
    )
    make_synth(tmp_path / "set", options)
    x, y, fold = statistics(tmp_path / "set")
    right = 0
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        z = (x - x[train].mean(0)) / x[train].std(0)
        centres = np.array([z[train & (y == c)].mean(0) for c in range(12)])
        nearest = np.square(z[test][:, None] - centres).sum(2).argmin(1)
        right += int((nearest == y[test]).sum())
    assert right / len(y) > 3 / 12
