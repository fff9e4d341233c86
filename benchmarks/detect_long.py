"""Events in 30-minute recordings: how many are found, how many are false, how far off.

    python benchmarks/detect_long.py path/to/clips -o benchmarks/results/detect_long.json

``path/to/clips`` is a folder of class folders with short clips. For each draw up to eight clips a
class go into the recording, and up to sixty others of each class into the training; no recording
is in both, where clips that are copies of each other count as one recording. The sounds lie 6 to
20 dB over quiet synthetic background. Three training sets are compared, which differ in what the
model knows of background (see ``detect_sounds.py``), and, for the first of them, two ways to
times. The ways of ``detect`` were chosen on draw 0; draws 1 to 3 are reported.
"""

# ruff: noqa: E402  (thread counts must be set before numpy and torch are imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from long_recording import Sound, cut_sounds

from detect_sounds import RATE, WINDOW, write_recording, write_training
from measuring import head
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.detection.detect import detect
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import find_duplicates, group_duplicates
from semisonic.data.events import Events
from semisonic.evaluation.events import score_events, score_overlaps, score_segments
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=RATE, duration=WINDOW, n_fft=512, hop_length=160)
KINDS = ("placed+background", "clean+background", "clean")
SECONDS, SNR_DB = 1800.0, (6.0, 20.0)
THRESHOLDS = (0.5, 0.8)
DRAWS, STEPS = "1,2,3", 150


def split(sounds: list[Sound], groups: list[str], draw: int) -> tuple[list[Sound], list[Sound]]:
    """Up to eight sounds of a class for the recording, up to sixty others for the training.

    ``groups`` tells which recording each sound is of: one of each is taken for the test, and none
    of these recordings is trained on.
    """
    rng, test, train = generator(draw, "split"), list[Sound](), list[Sound]()
    tested: set[str] = set()
    labels = [sound.labels[0] for sound in sounds]
    orders = {
        label: rng.permutation([i for i, own in enumerate(labels) if own == label])
        for label in sorted(set(labels))
    }
    for order in orders.values():
        firsts: dict[str, int] = {}
        for i in order:
            firsts.setdefault(groups[i], int(i))
        chosen = [i for g, i in firsts.items() if g not in tested][: min(8, len(order) // 3)]
        test += [sounds[i] for i in chosen]
        tested |= {groups[i] for i in chosen}
    for order in orders.values():
        train += [sounds[i] for i in order if groups[i] not in tested][:60]
    return test, train


def error(errors: NDArray[np.float64], share: float) -> float:
    """The size of error, in seconds, that this share stays below; NaN where nothing was found."""
    return float(np.quantile(np.abs(errors), share)) if len(errors) else float("nan")


def measure(true: Events, found: Events) -> dict[str, Any]:
    """Noticed at all (overlap), found within collars, seconds, and errors of times."""
    hours = SECONDS / 3600
    noticed = score_overlaps(true, found, hours=hours).overall
    exact, near = (
        score_events(true, found),
        score_events(true, found, onset_collar=0.5, offset_collar=0.5),
    )
    values = {
        "n_true": noticed.n_true,
        "n_found": noticed.n_found,
        "precision": noticed.precision,
        "recall": noticed.recall,
        "f1": noticed.f1,
        "false_alarms_per_hour": noticed.false_alarms_per_hour,
        "f1_collar_200ms": exact.overall.f1,
        "f1_collar_500ms": near.overall.f1,
        "f1_segments_1s": score_segments(true, found).overall.f1,
        "onset_error_median": error(noticed.onset_errors, 0.5),
        "offset_error_median": error(noticed.offset_errors, 0.5),
        "onset_error_p90": error(noticed.onset_errors, 0.9),
        "offset_error_p90": error(noticed.offset_errors, 0.9),
    }
    return {name: round(value, 4) for name, value in values.items()}


def run_draw(
    data: Clips, sounds: list[Sound], draw: int, steps: int, place: Path
) -> list[dict[str, Any]]:
    """All training sets and ways of one draw."""
    test, train = split(sounds, [sound.group for sound in sounds], draw)
    true = write_recording(place / "recording.wav", test, draw, seconds=SECONDS, snr_db=SNR_DB)
    rows = []
    for kind in KINDS:
        began = time.process_time()
        clips = load_clips(write_training(place / kind, data, train, draw, kind))
        model = (
            SoundClassifier(
                "small",
                mel=MEL,
                method="supervised",
                validation=0.0,
                seed=draw,
                device="cpu",
                workers=1,
                training=FitOptions(
                    steps=steps, learning_rate=2e-3, schedule="onecycle", precision="fp32"
                ),
            )
            .fit(clips)
            .model_
        )
        trained = time.process_time() - began
        for times in ("frames", "windows") if kind == KINDS[0] else ("frames",):
            for threshold in THRESHOLDS:
                found = detect(
                    model,
                    true.file[0],
                    output=place / f"{kind} {times}",
                    times=times,
                    threshold=threshold,
                    device="cpu",
                    workers=1,
                )
                row = {
                    "draw": draw,
                    "training": kind,
                    "times": times,
                    "threshold": threshold,
                    "n_training": len(clips),
                    "cpu_seconds_training": round(trained, 1),
                    **measure(true, found.events),
                }
                if found.scored_seconds:
                    row["times_faster_than_real_time"] = round(
                        found.scored_seconds / found.seconds, 1
                    )
                rows.append(row)
                print(row, flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means and ranges over the draws."""
    result = []
    ways = dict.fromkeys((r["training"], r["times"], r["threshold"]) for r in rows)
    for training, times, threshold in ways:
        mine = [
            r
            for r in rows
            if (r["training"], r["times"], r["threshold"]) == (training, times, threshold)
        ]
        means = {
            name: {
                "mean": round(float(np.mean([r[name] for r in mine])), 4),
                "from": min(r[name] for r in mine),
                "to": max(r[name] for r in mine),
            }
            for name in measure_names(mine[0])
        }
        result.append({"training": training, "times": times, "threshold": threshold, **means})
    return result


def measure_names(row: dict[str, Any]) -> list[str]:
    """The columns that were measured."""
    return [name for name in row if name.startswith(("prec", "rec", "f1", "false", "on", "off"))]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draws", default=DRAWS)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    began = time.process_time()
    data = load_clips(options.clips)
    data = group_duplicates(data, find_duplicates(data, workers=1))
    sounds = cut_sounds(data, RATE)
    rows: list[dict[str, Any]] = []
    about = {
        **head(
            "python benchmarks/detect_long.py CLIPS -o FILE"
            + (f" --draws {options.draws}" if options.draws != DRAWS else "")
            + (f" --steps {options.steps}" if options.steps != STEPS else ""),
            [int(draw) for draw in options.draws.split(",")],
        ),
        "data": {"name": options.clips.name, "n_events": len(sounds)},
    }
    for draw in map(int, options.draws.split(",")):
        with tempfile.TemporaryDirectory() as place:
            rows += run_draw(data, sounds, draw, options.steps, Path(place))
        seconds = round(time.process_time() - began, 1)
        done = {"cpu_seconds": seconds, "summary": summary(rows), "draws": rows}
        write_json(options.output, about | done)


if __name__ == "__main__":
    main()
