"""What ``two_cores.py`` measures."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import material
import measuring
from measuring import Row
from prediction_speed import network
from semisonic.classifier.scoring import score_clips
from semisonic.core.parallel import allow_processes, keep_freed_memory
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import gather
from store_throughput import features

PART, N, ROUNDS, MANY = "two cores", 384, 3, 250_000
NAMES, MANY_NAMES = 24, 72  # of each recording; with many, features are worth processes too
TRAINING = """
import numpy as np, torch
torch.set_num_threads(1)
from semisonic.data.batches import Stream
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions
from semisonic.training.loop import fit
from training_speed import CrossEntropy, _FromFeatures
x = np.random.default_rng(0).standard_normal((192, *MelOptions().shape)).astype(np.float16)
stream = Stream(x, np.arange(192), batch_size=32, seed=0, target=np.arange(192) % 10)
fit(CrossEntropy(_FromFeatures("small", MelOptions())), {"labelled": stream},
    FitOptions(epochs=10, precision="bf16"), seed=0)
"""


@contextmanager
def named_often(clips: Clips, names: int) -> Iterator[Clips]:
    """The same recordings, each under several names."""
    with TemporaryDirectory() as place:
        links = [
            Path(place, f"{i:03d}-{number:03d}{path.suffix}")
            for number in range(names)
            for i, path in enumerate(clips.paths)
        ]
        for path, link in zip(clips.paths * names, links, strict=True):
            os.link(path, link)
        yield gather(links)[0]


def predict(clips: Clips, workers: int) -> None:
    for _ in score_clips(network(), clips, workers=workers):
        pass


def trainings(at_once: int) -> None:
    """Two trainings in processes, one after the other or at once."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])
    running: list[subprocess.Popen[bytes]] = []
    for _ in range(2):
        running.append(subprocess.Popen([sys.executable, "-c", TRAINING], env=environment))
        if at_once == 1:
            running[-1].wait()
    if any(process.wait() for process in running):
        raise SystemExit("a training failed")


def wall(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds on the wall of each way in each round; a round before them warms up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number >= 0:
                found[name].append(time.perf_counter() - start)
    return found


def rows_of(what: str, times: dict[str, list[float]], n: int, unit: str) -> Row:
    ratios = [one / two for one, two in zip(times["one"], times["two"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    one, two = (1e3 * statistics.median(times[name]) / n for name in ("one", "two"))
    return Row(
        PART,
        what,
        unit,
        two,
        "one core",
        one,
        middle,
        low,
        high,
        "twice one core",
        one / 2,
        middle / 2,
    )


def titled(what: str, kind: str, names: int) -> str:
    return f"{what}, {kind}" + (", many clips" if names == MANY_NAMES else "")


def features_row(table: Clips, kind: str, names: int) -> Row:
    with named_often(table, names) as clips:
        times = wall({"one": lambda: features(clips, 1), "two": lambda: features(clips, 2)})
        return rows_of(titled("store and features", kind, names), times, len(clips), "ms a clip")


def prediction_row(table: Clips, kind: str, names: int) -> Row:
    with named_often(table, names) as clips:
        times = wall({"one": lambda: predict(clips, 1), "two": lambda: predict(clips, 2)})
        return rows_of(titled("prediction", kind, names), times, len(clips), "ms a clip")


def measure(data: Path | None) -> list[Row]:
    rows = []
    keep_freed_memory()  # this and the next as the command line does
    allow_processes()
    with measuring.one_core(), material.clips(data, ("wav", "ogg"), N) as tables:
        for kind, table in tables.items():
            sizes = (NAMES, MANY_NAMES) if kind == "wav" else (NAMES,)
            rows += [features_row(table, kind, names) for names in sizes]
            minutes = MANY * rows[-1].ours / measuring.MILLI / 60
            rows.append(Row(PART, f"250 000 clips to features, {kind}", "minutes", minutes))
            rows += [prediction_row(table, kind, names) for names in sizes]
    times = wall({"one": lambda: trainings(1), "two": lambda: trainings(2)})
    rows.append(rows_of("two trainings, in processes", times, 2, "ms a training"))
    return rows
