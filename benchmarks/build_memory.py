"""The largest memory of building store and features, for few clips and for many.

    python benchmarks/build_memory.py -o runs/bench/build_memory.json

Each size in a process of its own. The table of clips itself is read into memory: a few hundred
bytes a clip; samples and features are not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile as sf

import measuring
from measuring import Row

PART, FEW, MANY, SECONDS, RATE = "memory", 300, 3000, 1.0, 22050
CHILD = """
import resource, sys
from pathlib import Path
import torch
from semisonic.data.stores import FeatureStore
from semisonic.data.datasets.load import gather
from semisonic.data.stores import SampleStore
from semisonic.features.options import MelOptions
from semisonic.features.frontend import make_extractor
mel, place, n = MelOptions(duration=1.0), Path(sys.argv[1]), int(sys.argv[2])
clips, _ = gather(sorted((place / "clips").iterdir())[:n])
samples = SampleStore.build(clips, place / f"samples-{n}", sample_rate=22050, workers=2)
FeatureStore.build(samples, place / f"features-{n}", extractor=lambda: make_extractor(mel),
                   key="bench", shape=mel.shape, n_samples=mel.n_samples, workers=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(folder: Path, n: int) -> float:
    """MB of a process that builds store and features of so many clips."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(n)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def measure(data: Path | None) -> list[Row]:
    del data  # short clips are made up
    with TemporaryDirectory() as place:
        folder = Path(place, "clips")
        folder.mkdir()
        rng = np.random.default_rng(0)
        for number in range(MANY):
            wave = rng.normal(0, 0.1, round(SECONDS * RATE))
            sf.write(folder / f"{number:05d}.wav", wave, RATE, subtype="PCM_16")
        few, many = peak(Path(place), FEW), peak(Path(place), MANY)
    return [
        Row(PART, f"{MANY} clips of {SECONDS:g} s", "MB", many, f"{FEW} clips", few, few / many)
    ]


if __name__ == "__main__":
    measuring.main(__doc__, measure)
