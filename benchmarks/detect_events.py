"""Events found by models that learned from four labelled clips of each class.

    python benchmarks/detect_events.py path/to/esc10:1 path/to/animals:1 path/to/urbansound8k:10 \
        -o benchmarks/results/detect_events.json

Behind each set stands the fold that is tested; a set without folds is cut into five, copies of a
sound in one. An encoder is pre-trained on the other folds once (``--method auto``, seed 0), and
serves all draws of the labels. In each draw, sounds of the tested fold are put into half an hour of
steady noise with the spectra of quiet parts of that fold's clips, at 0, 6 and 12 dB; another half
hour holds nothing but such noise. ``before`` is the same model without its event layer. All
settings were chosen on other recordings, made of the training folds with the labels of draw 0.
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
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import oaconvolve

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from long_recording import Sound, compose, cut_sounds

from measuring import head
from semisonic.audio.write import write
from semisonic.classifier.classifier import SoundClassifier
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import find_duplicates, group_duplicates
from semisonic.data.events import make_events
from semisonic.data.splits import label_budget, make_folds
from semisonic.data.synth.mixing import LEVEL, rms
from semisonic.evaluation.events import score_events, score_overlaps
from semisonic.evaluation.statistics import sign_flip_exact

RATE, LABELS, N_FILES, SECONDS, N_EVENTS = 22050, 4, 4, 450.0, 40
LEVELS_DB = (0, 6, 12)
QUIET_DB, BLOCK, N_FFT = 20.0, 441, 1024
Wave = NDArray[np.float32]


def load(place: str) -> tuple[str, Clips, int]:
    """The name of a set, its clips with folds, and the fold that is tested."""
    path, _, fold = place.rpartition(":")
    clips = load_clips(path)
    if not clips.folds:
        clips = group_duplicates(clips, find_duplicates(clips, workers=1))
        clips = clips.with_columns(fold=make_folds(clips, 5, 0))
    return Path(path).name, clips, int(fold)


def quiet_part(wave: Wave) -> Wave | None:
    """The longest part of a clip 20 dB below its loudest moment that is no digital silence."""
    n = len(wave) // BLOCK
    power = np.square(wave[: n * BLOCK].reshape(n, BLOCK), dtype=np.float64).mean(axis=1)
    level = 10 * np.log10(power + 1e-12)
    quiet = np.r_[False, (level < level.max() - QUIET_DB) & (level > -85.0), False]
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2)
    if not len(edges):
        return None
    first, last = edges[int(np.argmax(edges[:, 1] - edges[:, 0]))].tolist()
    return wave[first * BLOCK : last * BLOCK] if last - first >= 15 else None


def steady_noise(part: Wave, n: int, rng: np.random.Generator) -> Wave:
    """Noise with the mean spectrum of a part of a clip, shape (n,)."""
    window = np.hanning(N_FFT)
    frames = np.lib.stride_tricks.sliding_window_view(part, N_FFT)[:: N_FFT // 2] * window
    spectrum = np.sqrt(np.square(np.abs(np.fft.rfft(frames, axis=1))).mean(axis=0))
    spectrum[0] = 0.0
    filter_ = np.roll(np.fft.irfft(spectrum), N_FFT // 2) * window
    wave = oaconvolve(rng.standard_normal(n + N_FFT), filter_, mode="valid")[:n]
    return (LEVEL * wave / rms(wave)).astype(np.float32)


def choose(sounds: list[Sound], rng: np.random.Generator) -> list[Sound]:
    """Sounds of all classes in turns."""
    labels = sorted({sound.labels[0] for sound in sounds})
    order = rng.permutation(len(sounds)).tolist()
    mine = {label: [i for i in order if sounds[i].labels[0] == label] for label in labels}
    chosen: list[Sound] = []
    while len(chosen) < N_EVENTS and any(mine.values()):
        chosen += [sounds[mine[label].pop()] for label in labels if mine[label]]
    return [chosen[i] for i in rng.permutation(len(chosen))][:N_EVENTS]


def error(errors: NDArray[np.float64]) -> float | None:
    """The median size of errors, s."""
    return round(float(np.median(np.abs(errors))), 3) if len(errors) else None


def measure(true: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    """Noticed at all, and placed within 0.2 s."""
    hours = N_FILES * SECONDS / 3600
    noticed = score_overlaps(true, found, hours=hours).overall
    placed = score_events(true, found).overall
    values = {
        "precision": noticed.precision,
        "recall": noticed.recall,
        "f1": noticed.f1,
        "f1_placed": placed.f1,
        "false_alarms_per_hour": noticed.false_alarms_per_hour,
    }
    return {
        "n_true": noticed.n_true,
        "n_found": noticed.n_found,
        **{name: None if np.isnan(value) else round(value, 4) for name, value in values.items()},
        "onset_error_median": error(noticed.onset_errors),
        "offset_error_median": error(noticed.offset_errors),
    }


def run_draw(
    name: str, classifier: SoundClassifier, tested: Clips, draw: int, place: Path
) -> list[dict[str, Any]]:
    """All levels of one draw, with the event layer and without."""
    rng, sounds = generator(draw, "detect events", name), cut_sounds(tested, RATE)
    parts = [
        part
        for row in rng.permutation(len(tested))[:300].tolist()
        if (part := quiet_part(tested.read(row, RATE))) is not None
    ]
    chosen = choose(sounds, rng)
    spectra = [parts[i] for i in rng.integers(len(parts), size=N_FILES)]
    wanted = [str(label) for label in np.array([";".join(x) for x in tested.labels])]
    accuracy = float(np.mean(classifier.predict(tested) == np.array(wanted)))
    model, rows = classifier.model_, list[dict[str, Any]]()
    layer, n = model.event_layer, round(SECONDS * RATE)
    for level in (None, *LEVELS_DB):
        files, true = [], list[Any]()
        for number, part in enumerate(spectra):
            file = place / f"{level}-{number}.wav"
            own = generator(draw, "recording", name, number)
            noise = steady_noise(part, n, own)
            if level is not None:
                mine = chosen[number::N_FILES]
                noise, events = compose(
                    mine, noise, RATE, file=file.as_posix(), snr_db=(level, level), rng=own
                )
                true.append(events)
            write(file, noise, RATE, overload="scale")
            files.append(file)
        table = make_events(pd.concat(true).to_dict("records") if true else [])
        for way in ("before", "after"):
            model.event_layer = layer if way == "after" else None
            found = classifier.detect(files)
            row = {"set": name, "draw": draw, "snr_db": level, "way": way}
            row |= {"clip_accuracy": round(accuracy, 4), **measure(table, found.events)}
            rows.append(row)
            print(row, flush=True)
        model.event_layer = layer
    return rows


MEASURES = ("precision", "recall", "f1", "f1_placed", "false_alarms_per_hour")
ERRORS = ("onset_error_median", "offset_error_median")


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the draws."""
    table = pd.DataFrame(rows)
    result = []
    for (name, level, way), mine in table.groupby(["set", "snr_db", "way"], dropna=False):
        means = mine[[*MEASURES, *ERRORS]].astype(float).mean().round(4)
        values = {key: None if np.isnan(value) else value for key, value in means.items()}
        result.append(
            {"set": name, "snr_db": None if np.isnan(level) else level, "way": way, **values}
        )
    return result


def comparison(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """After less before, by the mean of a draw's levels, with an exact test of the signs."""
    table = pd.DataFrame([row for row in rows if row["snr_db"] is not None])
    result = []
    for measured in ("f1", "f1_placed"):
        wide = table.pivot_table(index=["set", "draw"], columns="way", values=measured)
        for name, mine in [*wide.groupby("set"), ("all", wide)]:
            gain = mine["after"] - mine["before"]
            row = {"set": name, "measure": measured, "n_pairs": len(mine)}
            row |= {"gain": round(float(gain.mean()), 4), "least": round(float(gain.min()), 4)}
            result.append(row | {"p": round(sign_flip_exact(np.rint(1e4 * gain)), 4)})
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", help="a data set and the fold that is tested")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draws", default="1,2,3")
    parser.add_argument("--keep", type=Path, help="folder that keeps the encoders")
    options = parser.parse_args()
    began, rows = time.process_time(), list[dict[str, Any]]()
    draws = [int(draw) for draw in options.draws.split(",")]
    about = head(
        "python benchmarks/detect_events.py ESC10:1 ANIMALS:1 URBANSOUND8K:10 -o FILE", draws
    )
    with tempfile.TemporaryDirectory() as folder:
        keep = options.keep or Path(folder)
        for name, clips, fold in map(load, options.sets):
            train, encoder = np.flatnonzero(clips.fold != fold), keep / f"{name}.zip"
            settings: dict[str, Any] = {"device": "cpu", "workers": 1, "near_copies": False}
            if not encoder.is_file():
                chosen = label_budget(clips, train, LABELS, 0)
                rest = clips[np.setdiff1d(train, chosen)].without_labels()
                SoundClassifier(seed=0, **settings).fit(clips[chosen], unlabelled=rest).save(
                    encoder
                )
            for draw in draws:
                chosen = label_budget(clips, train, LABELS, draw)
                classifier = SoundClassifier(
                    seed=draw, encoder=encoder, objective="none", **settings
                ).fit(clips[chosen], unlabelled=clips[np.setdiff1d(train, chosen)].without_labels())
                with tempfile.TemporaryDirectory() as place:
                    rows += run_draw(name, classifier, clips[clips.fold == fold], draw, Path(place))
                done = {"cpu_seconds": round(time.process_time() - began, 1)}
                done |= {"summary": summary(rows), "comparison": comparison(rows), "draws": rows}
                write_json(options.output, about | done)


if __name__ == "__main__":
    main()
