"""Vectors of a project before and after its encoder has learned from the recordings.

    python benchmarks/better_vectors.py path/to/animals --clips 15 \\
        -o benchmarks/results/better_vectors-animals.json

So many clips of each class are copied under plain names, as a folder without labels. A project
begins with the encoder of the package; ``semisonic project improve`` follows. In each draw 20, 40
and 80 recordings are answered, drawn at random, and both indices learn from the same answers as
``semisonic project learn`` does. Accuracy is on the segments of all other recordings; the encoder
has heard these without labels, as those of a project are.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from measuring import head
from semisonic.classifier.start import SYNTH
from semisonic.core.files import write_json
from semisonic.data.datasets.load import load_clips
from semisonic.labeling import improve
from semisonic.labeling.answers import label_index
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.probe import learn_probe
from semisonic.labeling.start import start_project

DRAWS, ANSWERED, SEED = 10, (20, 40, 80), 0


def folder_without_labels(data: Path, place: Path, n: int) -> dict[str, str]:
    """Copy ``n`` clips of each class under plain names; the class of each."""
    clips, truth = load_clips(data), dict[str, str]()
    rng = random.Random(SEED)
    labels = [clips.classes[number] for number in clips.target()]
    for name in clips.classes:
        own = [path for path, label in zip(clips.paths, labels, strict=True) if label == name]
        for path in rng.sample(sorted(own), min(n, len(own))):
            copy = place / f"{len(truth):04d}{path.suffix}"
            shutil.copyfile(path, copy)
            truth[copy.name] = name
    return truth


def accuracy(index: EmbeddingIndex, truth: dict[str, str], answered: set[str], log: Path) -> float:
    """Of the segments of recordings that nobody answered about."""
    clips, answers = index.clips, LabelLog(log, index.clips.root)
    names = np.array([Path(file).name for file in clips.file])
    target = np.array([truth[name] for name in names])
    is_answered = np.isin(names, sorted(answered))
    for row in np.flatnonzero(is_answered):
        place = str(clips.file[row]), float(clips.start_time[row]), float(clips.end_time[row])
        answers.append(*place, target[row])
    labelled, matched, _ = label_index(answers, index, several_labels=False)
    pool = np.setdiff1d(np.arange(len(index)), matched.rows)
    probe = learn_probe(index.vectors, labelled, pool, seed=SEED)
    found = np.array(probe.classes)[probe.logits(index.vectors[~is_answered]).argmax(axis=1)]
    return float(np.mean(found == target[~is_answered]))


def measure(data: Path, n: int) -> dict[str, Any]:
    with TemporaryDirectory() as place:
        recordings, folder = Path(place, "recordings"), Path(place, "project")
        recordings.mkdir()
        truth = folder_without_labels(data, recordings, n)
        project = start_project(ProjectOptions(recordings, folder, encoder=SYNTH)).project
        begun = time.process_time()
        improve.learn_vectors(folder)
        seconds = time.process_time() - begun
        better = EmbeddingIndex.open(
            folder / improve.BETTER, open_embedder(folder / "encoder" / "better.zip")
        )
        rows = []
        for k in ANSWERED:
            pairs = []
            for draw in range(DRAWS):
                answered = set(random.Random(draw).sample(sorted(truth), k))
                pairs.append(
                    [
                        accuracy(index, truth, answered, Path(place, f"{k}-{draw}-{arm}.jsonl"))
                        for arm, index in enumerate((project.index, better))
                    ]
                )
            before, after = map(statistics.fmean, zip(*pairs, strict=True))
            gains = [b - a for a, b in pairs]
            rows.append(
                {
                    "answered": k,
                    "before": before,
                    "after": after,
                    "deviation_of_gain": statistics.stdev(gains),
                    "draws_better": sum(gain > 0 for gain in gains),
                    "draws": pairs,
                }
            )
            print(f"{k:3d} answers: {100 * before:.1f} -> {100 * after:.1f}", flush=True)
        size = sum(
            file.stat().st_size for file in Path(project.folder).rglob("*") if file.is_file()
        )
        sounds = sum(file.stat().st_size for file in recordings.iterdir())
        return {
            "clips": len(truth),
            "segments": len(project.index),
            "processor_seconds": round(seconds, 1),
            "project_megabytes": round(size / 1e6, 1),
            "recordings_megabytes": round(sounds / 1e6, 1),
            "rows": rows,
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=15, help="of each class")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    found = measure(asked.data, asked.clips)
    command = f"python benchmarks/better_vectors.py DATA --clips {asked.clips} -o FILE"
    write_json(
        asked.output, {**head(command, list(range(DRAWS))), "data": asked.data.name, **found}
    )
