"""From files to the sample store and to features, against librosa, per clip.

    python benchmarks/store_throughput.py --data path/to/esc10 -o runs/bench/store_throughput.json

One thread. The store is built anew in every round, front end and features after it. How long
250 000 clips of 5 s take on two cores follows from these times and from the scaling that
``two_cores.py`` measures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import alternatives
import limits
import material
import measuring
from measuring import Row
from semisonic.data.clips import Clips
from semisonic.data.stores import FeatureStore, SampleStore
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions

PART = "files to features"
MEL = MelOptions(n_mels=60)


def store(clips: Clips, workers: int = 1) -> None:
    with TemporaryDirectory() as folder:
        SampleStore.build(clips, folder, sample_rate=MEL.sample_rate, workers=workers)


def features(clips: Clips, workers: int = 1) -> None:
    """Samples, then features."""
    with TemporaryDirectory() as folder:
        samples = SampleStore.build(
            clips, Path(folder, "samples"), sample_rate=MEL.sample_rate, workers=workers
        )
        FeatureStore.build(
            samples,
            Path(folder, "features"),
            extractor=partial(make_extractor, MEL),
            key="bench",
            shape=MEL.shape,
            n_samples=MEL.n_samples,
            workers=workers,
        )


def by_librosa(files: list[Path], make: Callable[[Path, MelOptions], np.ndarray]) -> None:
    """A file of numbers for each clip, as is usual."""
    with TemporaryDirectory() as folder:
        for number, path in enumerate(files):
            np.save(Path(folder, f"{number}.npy"), make(path, MEL).astype(np.float16))


def measure(data: Path | None) -> list[Row]:
    rows = []
    pool = alternatives.LibrosaProcesses()
    with material.clips(data, ("wav", "ogg")) as tables:
        for kind, clips in tables.items():
            files, n = list(clips.paths), len(clips)
            times = measuring.take_turns(
                {
                    "store": lambda clips=clips: store(clips),
                    "features": lambda clips=clips: features(clips),
                    "librosa.load, a .npy a clip": lambda files=files: by_librosa(
                        files, alternatives.librosa_wave
                    ),
                    "librosa, a .npy a clip": lambda files=files: by_librosa(
                        files, alternatives.librosa_features
                    ),
                    "librosa, two processes": lambda files=files: pool(files, MEL),
                },
                5,
            )
            least = limits.decoding(files) + limits.resampling(n)
            rows += measuring.compare(
                PART,
                f"store of samples, {kind}",
                times,
                ours="store",
                n=n,
                against=("librosa.load, a .npy a clip",),
                limit=("decoding alone + soxr", least),
            )
            rows += measuring.compare(
                PART,
                f"store and features, {kind}",
                times,
                ours="features",
                n=n,
                against=("librosa, a .npy a clip", "librosa, two processes"),
                limit=("decoding + soxr + FFT", least + n * limits.fourier(MEL)),
            )
    pool.close()
    return rows


if __name__ == "__main__":
    measuring.main(__doc__, measure)
