"""What the rule against noise refuses, and what it costs known sounds.

    python benchmarks/noise_rule.py ESC-10 ANIMALS -o benchmarks/results/noise_rule.json

One fold is for the test; a set without official folds gets five, by recording. The rule is fitted
by some labelled clips of the other folds and by synthetic noise, and judges the clips of the fold,
other noise of the same kinds, and noise of kinds that it was not fitted by. The network plays no
part, as the rule looks at statistics of the features.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt
from sklearn.model_selection import GroupKFold

from measuring import head
from score_networks import rounded
from semisonic.classifier.scoring import NetworkOutputs
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.unknown import KINDS, features_of_noise, fit_unknown
from semisonic.classifier.windows import features_of_wave
from semisonic.core.files import write_json
from semisonic.core.options import to_dict
from semisonic.core.seeds import generator
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import make_folds
from semisonic.data.synth.signals import coloured, to_level, white
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import KNOWN_THRESHOLD, Moments, NoiseScore

FOLD, BUDGETS = 1, (2, 16, 0)  # labels per class; 0: all
N_OTHERS = 40
OTHERS = ("drifts slowly", "drifts fast", "one band", "rises with frequency", "room", "clicks")
Table = NDArray[np.float64]


def other_noise(kind: str, rng: np.random.Generator, mel: MelOptions) -> Table:
    """A stretch of noise that no rule is fitted by."""
    n, rate = mel.n_samples, mel.sample_rate
    time = np.arange(n) / rate
    slope = (0.0, -30.0, -60.0)[rng.integers(3)]
    plain = coloured(rng, n, rate, ((20.0, 0.0), (20480.0, slope))).astype(np.float64)
    if kind.startswith("drifts"):
        depth_db, turns = (3.0, 5) if kind == "drifts slowly" else (6.0, 20)
        points = rng.normal(0, depth_db, turns + 2)
        return plain * 10 ** (np.interp(time, np.linspace(0, time[-1], len(points)), points) / 20)
    if kind == "one band":
        low = rng.uniform(100, 2000)
        band = [low, min(low * rng.uniform(1.5, 6), 0.48 * rate)]
        return np.asarray(sosfilt(butter(2, band, "band", fs=rate, output="sos"), white(rng, n)))
    if kind == "rises with frequency":
        return np.diff(white(rng, n + 1).astype(np.float64))
    if kind == "room":
        fall = ((20.0, 0.0), (200.0, -10.0), (2000.0, -30.0), (20480.0, -60.0))
        return coloured(rng, n, rate, fall) + 0.006 * np.sin(2 * np.pi * 100 * time)
    plain /= plain.std()
    plain[rng.integers(0, n, 5)] += rng.choice([-30.0, 30.0], 5)
    return plain


def other_features(mel: MelOptions) -> NDArray[np.float32]:
    """Features of such noise, kind after kind."""
    extractor, rng = make_extractor(mel), generator(0, "noise of other kinds")
    levels = ((kind, rng.uniform(-70, -10)) for kind in OTHERS for _ in range(N_OTHERS))
    waves = [to_level(other_noise(kind, rng, mel), db).clip(-1, 1) for kind, db in levels]
    return np.stack([features_of_wave(one.astype(np.float32), mel, extractor) for one in waves])


def statistics(moments: Moments, x: Any) -> Table:
    """What the rule looks at."""
    parts = [torch.from_numpy(np.array(x[i : i + 64], np.float32)) for i in range(0, len(x), 64)]
    return np.concatenate([moments(part).double().numpy() for part in parts])


def shares(refused: NDArray[np.bool_], names: Any, kinds: Any) -> dict[str, float]:
    """The share that is refused, by kind."""
    return {name: float(refused[kinds == i].mean()) for i, name in enumerate(names)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled recordings")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/noise_rule/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    mel, sets = MelOptions(), dict[str, Any]()
    moments = Moments(mel)
    fit, again, others = (
        statistics(moments, x)
        for x in (
            features_of_noise(mel, seed=0),
            features_of_noise(mel, seed=1000, beyond_db=0.0),
            other_features(mel),
        )
    )
    for place in options.data:
        clips = load_clips(place)
        if not (clips.fold > 0).any():
            clips = clips.with_columns(fold=make_folds(clips, 5, seed=0))
        prepared = Sounds(clips).prepare(mel, options.cache, 1)
        x, of = statistics(moments, prepared.features), prepared.source
        target, group, is_test = clips.target()[of], clips.group[of], clips.fold[of] == FOLD
        rows: list[dict[str, Any]] = []
        for budget in BUDGETS:
            mixed = generator(budget, "labels").permutation(np.flatnonzero(~is_test))
            used = np.concatenate(
                [mixed[target[mixed] == i][: budget or None] for i in range(len(clips.classes))]
            )
            n = min(5, len(np.unique(group[used])))
            splits = list(
                GroupKFold(n, shuffle=True, random_state=0).split(used, None, group[used])
            )
            nothing = np.zeros((len(used), 1))
            rule, _, _ = fit_unknown(
                NetworkOutputs(nothing, x[used], nothing), nothing + 1, target[used], fit, splits
            )
            test, noise, other = (
                NoiseScore(rule).in_distribution(torch.from_numpy(one)).numpy() < KNOWN_THRESHOLD
                for one in (x[is_test], again, others)
            )
            by_class = shares(test, clips.classes, target[is_test])
            rows.append(
                {
                    "labels_per_class": budget,
                    "clips": len(used),
                    "known_that_pass": 1.0 - float(test.mean()),
                    "known_refused": {name: one for name, one in by_class.items() if one},
                    "refused": shares(
                        noise, KINDS, np.arange(len(noise)) * len(KINDS) // len(noise)
                    ),
                    "refused of other kinds": shares(
                        other, OTHERS, np.arange(len(other)) // N_OTHERS
                    ),
                }
            )
            print(clips.name, rounded(rows[-1]), flush=True)
        sets[clips.name] = {"test_clips": int(is_test.sum()), "rows": rounded(rows)}
    shown = "python benchmarks/noise_rule.py ESC-10 ANIMALS URBANSOUND8K_PART -o FILE"
    write_json(
        options.output, {**head(shown, [0]), "fold": FOLD, "front_end": to_dict(mel), "sets": sets}
    )


if __name__ == "__main__":
    main()
