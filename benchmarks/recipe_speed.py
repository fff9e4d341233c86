"""A whole recipe in its short version, processor seconds, beside a classical pipeline.

    python benchmarks/recipe_speed.py -o runs/bench/recipe_speed.json

The recipe makes its sounds and features, pre-trains, trains and compares several settings. The
other number is another, much smaller job on as many labelled clips (without the pool), for
scale: MFCC by librosa, a scikit-learn pipeline, five folds.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.model_selection import cross_val_score

import alternatives
import measuring
from measuring import Row
from prediction_speed import start_seconds
from semisonic.audio.find import find_audio
from semisonic.data.options import SynthOptions
from semisonic.data.synth.dataset import make_synth
from semisonic.features.options import MelOptions

PART, RECIPE = "recipe", Path(__file__).parents[1] / "recipes" / "demo.toml"


def run_recipe(folder: Path) -> float:
    return start_seconds(
        [
            "-m",
            "semisonic",
            "run",
            str(RECIPE),
            "--data",
            "synth",
            "-o",
            str(folder),
            "--quick",
            "--workers",
            "1",
            "-q",
        ]
    )


def classical(folder: Path) -> None:
    files = find_audio(folder)
    x = np.stack([alternatives.statistics_of(path, MelOptions()) for path in files])
    y = [path.name.partition("-")[0] for path in files]
    cross_val_score(alternatives.classical(), x, y, cv=5)


def measure(data: Path | None) -> list[Row]:
    del data  # the recipe's own sounds
    with TemporaryDirectory() as place:
        folder = Path(place)
        make_synth(folder / "sounds", SynthOptions(n_pool=0, clips_per_class=20))
        ours = run_recipe(folder / "run")
        times = measuring.take_turns({"theirs": lambda: classical(folder / "sounds")}, 3)
        theirs = statistics.median(times["theirs"])
    return [
        Row(
            PART,
            "demo --quick, all of it",
            "s",
            ours,
            "librosa MFCC, scikit-learn, 5 folds",
            theirs,
            theirs / ours,
        )
    ]


if __name__ == "__main__":
    measuring.main(__doc__, measure)
