"""Decoding and resampling to 22.05 kHz, per format, against librosa.

python benchmarks/decoding_speed.py --data path/to/esc10 -o runs/bench/decoding_speed.json
"""

from __future__ import annotations

from pathlib import Path

import librosa

import limits
import material
import measuring
from measuring import Row
from semisonic.audio.read import read

PART, RATE = "decode + resample", 22050


def measure(data: Path | None) -> list[Row]:
    rows = []
    with material.clips(data, tuple(material.FORMATS)) as tables:
        for kind, clips in tables.items():
            files = list(clips.paths)
            times = measuring.take_turns(
                {
                    "ours": lambda files=files: [read(path, sample_rate=RATE)[0] for path in files],
                    "librosa": lambda files=files: [
                        librosa.load(path, sr=RATE)[0] for path in files
                    ],
                },
                5,
            )
            rows += measuring.compare(
                PART,
                kind,
                times,
                ours="ours",
                n=len(files),
                against=("librosa",),
                limit=(
                    "decoding alone + soxr",
                    limits.decoding(files) + limits.resampling(len(files)),
                ),
            )
    return rows


if __name__ == "__main__":
    measuring.main(__doc__, measure)
