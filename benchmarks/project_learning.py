"""How long a large project takes to learn and to find suspicious labels.

python benchmarks/project_learning.py -o benchmarks/results/project_learning.json

Vectors are drawn at random around a centre for each class, so no recording is needed. The
libraries of numpy take as many threads as they would in the app; ``--load`` runs so many busy
processes beside it, as a laptop that does other things does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

from measuring import head
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.features.options import MelOptions
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.project import ABOUT, FORMAT, Project
from semisonic.models.model_file import save
from semisonic.models.sound_model import build

DIM, RATE, SECONDS = 128, 8000, 5.0


def made(folder: Path, n: int, n_classes: int, n_answers: int, seed: int) -> Project:
    """A project of ``n`` recordings, of which some are answered about."""
    rng = generator(seed, "project")
    truth = rng.integers(0, n_classes, n)
    centres = 2.0 * rng.normal(size=(n_classes, DIM))
    vectors = np.maximum(centres[truth] + rng.normal(size=(n, DIM)), 0.0).astype(np.float32)
    mel = MelOptions(sample_rate=RATE, duration=SECONDS, n_fft=256, hop_length=128, n_mels=16)
    model = folder / "encoder.zip"
    save(model, build(f"(8)3c-2p-({DIM})3c-2p-gp", mel, ["a", "b"], standardize="none"))
    embedder = open_embedder(model)
    recordings = folder / "recordings"
    recordings.mkdir()
    names = [f"{number:05d}.wav" for number in range(n)]
    clips = Clips.from_rows(
        recordings,
        [{"file": name, "start_time": 0.0, "end_time": SECONDS, "group": name} for name in names],
    )
    about = {"model": embedder.describe(), "hop": None}
    place = folder / "project"
    told = {"format": FORMAT, "seed": seed, "several_labels": False}
    write_json(place / ABOUT, {**told, "recordings": str(recordings), "encoder": str(model)})
    project = Project.open(place)
    project.__dict__["index"] = EmbeddingIndex(
        project.folder, vectors, clips, about, embedder=embedder
    )
    asked = rng.choice(n, n_answers, replace=False).tolist()
    for row in asked:
        sf.write(recordings / names[row], rng.normal(0, 0.1, RATE), RATE)
    project.log.extend(
        {
            "file": names[row],
            "end_time": SECONDS,
            "labels": f"class {truth[row]}",
            "annotator": "ann",
            "source": "suggest:random",
        }
        for row in asked
    )
    return project


def seconds_of(project: Project) -> dict[str, dict[str, float]]:
    """Wall and processor time of each thing that the page waits for."""
    found = {}
    for name, work in {
        "learn": project.learn,
        "suspicious labels": project.label_issues,
        "next questions": project.suggest,
    }.items():
        began = time.perf_counter(), time.process_time()
        work()
        wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
        found[name] = {"wall": round(wall, 2), "processor": round(processor, 2)}
    return found


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--clips", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=49)
    parser.add_argument("--answers", type=int, default=120)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    how = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(how.load)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            project = made(Path(folder), how.clips, how.classes, how.answers, how.seed)
            found = seconds_of(project)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    told = {
        "what": "seconds of a project's learning, suspicious labels and next questions",
        **head(" ".join(["python benchmarks/project_learning.py", *sys.argv[1:]]), how.seed),
        "load_before": round(os.getloadavg()[0], 2),
        "clips": how.clips,
        "classes": how.classes,
        "answers": how.answers,
        "dim": DIM,
        "busy_processes_beside": how.load,
        "seconds": found,
    }
    print(json.dumps(told, indent=2))
    if how.output is not None:
        write_json(how.output, told)


if __name__ == "__main__":
    main()
