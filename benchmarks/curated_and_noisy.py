"""A curated and a noisy part, as FSDKaggle2019 has, made of a set whose labels are right.

    python benchmarks/curated_and_noisy.py path/to/esc10 -o runs/esc10-noisy
    semisonic run fsd2019-stages --data runs/esc10-noisy -o runs/stages

Within each fold some recordings are curated and the others noisy. A share of both parts are
mixtures of two clips of the same part and fold, and a share of the noisy clips has a wrong label. A
curated mixture carries both labels, a noisy one keeps one of them. The folder has one WAV file a
clip and a table ``labels.csv`` with ``fold``, ``group`` and ``label_type``. ``truth.csv`` says what
is right; it is not for learning.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

from planted_noise import plant_label_noise
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.recordings import shuffled

CURATED, MIXED, WRONG = 0.4, 0.4, 0.4
RATIO_DB = 5.0
"""How far the second clip of a mixture may be above or below the first."""


def curated_rows(clips: Clips, share: float, seed: int) -> np.ndarray:
    """Which clips are curated, (n,): about a share of each fold, whole recordings."""
    is_curated = np.zeros(len(clips), np.bool_)
    for fold in clips.folds:
        rows = np.flatnonzero(clips.fold == fold)
        wanted = round(share * len(rows))
        groups = sorted(set(clips.group[rows]))
        for number in shuffled(groups, seed, f"curated {fold}"):
            of = rows[clips.group[rows] == groups[number]]
            if is_curated[rows].sum() + len(of) <= wanted:
                is_curated[of] = True
    return is_curated


def partners(clips: Clips, is_curated: np.ndarray, share: float, seed: int) -> dict[int, int]:
    """The clips that become mixtures, and the clip of another class that is added to each."""
    found = {}
    for fold in clips.folds:
        for part in (True, False):
            rows = np.flatnonzero((clips.fold == fold) & (is_curated == part))
            rng = generator(seed, "mixtures", str(fold), str(part))
            for row in rng.choice(rows, round(share * len(rows)), replace=False):
                others = [one for one in rows if clips.labels[one] != clips.labels[row]]
                if others:
                    found[int(row)] = int(rng.choice(others))
    return found


def mixed(first: np.ndarray, second: np.ndarray, ratio_db: float) -> np.ndarray:
    """Two sounds of a length, the second at a ratio to the first; one of them silent: the sum."""
    second = np.resize(second, len(first))
    powers = np.square(first).mean(), np.square(second).mean()
    scale = np.sqrt(powers[0] / powers[1] * 10 ** (ratio_db / 10)) if all(powers) else 1.0
    both = first + scale * second
    return both / max(1.0, float(np.abs(both).max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--curated", type=float, default=CURATED)
    parser.add_argument("--mixed", type=float, default=MIXED)
    parser.add_argument("--wrong", type=float, default=WRONG)
    parser.add_argument("--sample-rate", type=int, default=22050)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips, seed = load_clips(options.data), options.seed
    clips = clips[clips.is_labelled]
    is_curated = curated_rows(clips, options.curated, seed)
    wrong = plant_label_noise(clips, options.wrong, seed=seed, rows=np.flatnonzero(~is_curated))
    together = partners(clips, is_curated, options.mixed, seed)
    (options.output / "audio").mkdir(parents=True)
    table, truth = [], []
    for row, name in enumerate(clips.ids):
        sound, right = clips.read(row, options.sample_rate), set(clips.labels[row])
        given = wrong.clips.labels[row]
        if row in together:
            ratio = generator(seed, "ratio", name).uniform(-RATIO_DB, RATIO_DB)
            other = together[row]
            sound = mixed(sound, clips.read(other, options.sample_rate), ratio)
            right |= set(clips.labels[other])
            given = tuple(sorted(right)) if is_curated[row] else given
        file = f"audio/{row:05}.wav"
        sf.write(options.output / file, sound, options.sample_rate, subtype="PCM_16")
        table.append(
            {
                "file": file,
                "label": ";".join(given),
                "group": clips.group[row],
                "fold": clips.fold[row],
                "label_type": "positive" if is_curated[row] else "uncertain",
            }
        )
        truth.append({"file": file, "label": ";".join(sorted(right)), "source": name})
    pd.DataFrame(table).to_csv(options.output / "labels.csv", index=False)
    pd.DataFrame(truth).to_csv(options.output / "truth.csv", index=False)
    n_right = sum(
        set(one["label"].split(";")) <= set(other["label"].split(";"))
        for one, other, curated in zip(table, truth, is_curated, strict=True)
        if not curated
    )
    print(
        f"{options.output}: {is_curated.sum()} curated clips, {(~is_curated).sum()} noisy ones, of "
        f"whose labels {n_right} are right; {len(together)} mixtures"
    )


if __name__ == "__main__":
    main()
