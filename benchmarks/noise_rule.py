"""What the rule against noise should look at: the network's embedding, or statistics of features.

    python benchmarks/noise_rule.py path/to/esc10 -o benchmarks/results/noise_rule.json

The rule was chosen by this, on folds that benchmarks/calibration.py does not test. For each of two
folds and some draws a small network learns from three quarters of the other folds' recordings; the
last quarter fits calibration and rules. Measured are the fold's clips, synthetic noise like that of
the fit, and noise of other kinds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt
from sklearn.model_selection import GroupKFold

from measuring import head
from score_networks import EPOCHS, MEL, features, network, rounded
from semisonic.classifier.calibration import calibrated, choose_calibration
from semisonic.classifier.scoring import NetworkOutputs, ScoredRows, network_outputs
from semisonic.classifier.unknown import KINDS, PER_KIND, features_of_noise, fit_unknown
from semisonic.classifier.windows import features_of_wave
from semisonic.core.files import write_json
from semisonic.core.options import to_dict
from semisonic.core.seeds import generator
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import fold_splits
from semisonic.data.synth.signals import coloured, to_level, white
from semisonic.evaluation.calibration import reliability
from semisonic.features.frontend import make_extractor
from semisonic.models.decision import Decision, DecisionModule
from semisonic.models.sound_model import SoundModel

FOLDS, DRAWS = (2, 4), 3
N_OTHERS = 40
OTHERS = ("drifts slowly", "drifts fast", "one band", "rises with frequency", "room", "clicks")
Table = NDArray[np.float64]


def other_noise(kind: str, rng: np.random.Generator) -> Table:
    """A stretch of noise that no rule is fitted by."""
    n, rate = MEL.n_samples, MEL.sample_rate
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


def other_features() -> NDArray[np.float32]:
    """Features of such noise, kind after kind."""
    extractor, rng = make_extractor(MEL), generator(0, "noise of other kinds")
    waves = [
        np.clip(to_level(other_noise(kind, rng), rng.uniform(-70, -10)), -1, 1).astype(np.float32)
        for kind in OTHERS
        for _ in range(N_OTHERS)
    ]
    return np.stack([features_of_wave(wave, MEL, extractor) for wave in waves])


def looks(model: SoundModel, x: Any, rows: Any) -> dict[str, NetworkOutputs]:
    """Each thing that the rule against noise may look at, in the place of the statistics."""
    outputs = network_outputs(model, x, rows)
    return {
        "embedding": outputs._replace(statistics=outputs.embeddings),
        "statistics": outputs,
    }


def scored(decision: Decision, *outputs: Table) -> ScoredRows:
    """What a decision makes of logits, and of what its rules look at."""
    found = DecisionModule(decision, multi_label=False)(*map(torch.from_numpy, outputs))
    return ScoredRows(*(one.numpy() for one in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="ESC-10, or another set with official folds")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/calibration/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = load_clips(options.data)
    prepared, others = features(clips, options.cache), other_features()
    rows: list[dict[str, Any]] = []
    for draw in range(DRAWS):
        synthetic = features_of_noise(MEL, seed=2 * draw)
        again = features_of_noise(MEL, seed=draw + 1000, beyond_db=0.0)
        for split in fold_splits(clips, validation=0.0, seed=draw):
            if split.fold not in FOLDS:
                continue
            model, held = network(clips, split.train, prepared, seed=100 * draw + split.fold)
            test = prepared.rows_of(split.test)
            target = clips.target()[prepared.source[test]]
            owner = prepared.source[held]
            groups = clips.group[owner]
            every = {
                name: looks(model, x, index)
                for name, x, index in (
                    ("held", prepared.features, held),
                    ("test", prepared.features, test),
                    ("fit", synthetic, np.arange(len(synthetic))),
                    ("noise", again, np.arange(len(again))),
                    ("others", others, np.arange(len(others))),
                )
            }
            logits, answers = every["held"]["statistics"].logits, clips.target()[owner]
            calibration = choose_calibration(logits, answers, groups, seed=draw).calibration
            scores = calibrated(calibration, logits, multi_label=False)
            splits = list(
                GroupKFold(5, shuffle=True, random_state=draw).split(logits, None, groups)
            )
            row: dict[str, Any] = {"draw": draw, "fold": split.fold}
            for look in ("embedding", "statistics"):
                noise = every["fit"][look].statistics
                rules, _, _ = fit_unknown(every["held"][look], scores, answers, noise, splits)
                decision = Decision(calibration, unknown=rules)
                said = {name: scored(decision, *found[look]) for name, found in every.items()}
                refused = (said["noise"].known < 0.5).reshape(len(KINDS), PER_KIND).mean(axis=1)
                strange = (said["others"].known < 0.5).reshape(len(OTHERS), N_OTHERS).mean(axis=1)
                row[look] = {
                    "calibration_error": reliability(target, said["test"].scores).error,
                    "known_that_pass": float((said["test"].known >= 0.5).mean()),
                    **{f"refused {k}": float(v) for k, v in zip(KINDS, refused, strict=True)},
                    **{f"refused {k}": float(v) for k, v in zip(OTHERS, strange, strict=True)},
                }
            plain = scored(Decision(calibration), every["test"]["statistics"].logits)
            error = reliability(target, plain.scores).error
            row["no rule"] = {"calibration_error": error}
            rows.append(row)
            print(draw, split.fold, rounded(row["embedding"]), rounded(row["statistics"]))
    means = {
        look: {key: fmean(row[look][key] for row in rows) for key in rows[0][look]}
        for look in ("no rule", "embedding", "statistics")
    }
    shown = "python benchmarks/noise_rule.py ESC-10 -o benchmarks/results/noise_rule.json"
    write_json(
        options.output,
        {
            **head(shown, list(range(DRAWS))),
            "data": clips.name,
            "network": "small",
            "epochs": EPOCHS,
            "front_end": to_dict(MEL),
            "means": rounded(means),
            "rows": rounded(rows),
        },
    )


if __name__ == "__main__":
    main()
