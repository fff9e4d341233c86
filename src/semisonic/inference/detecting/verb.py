"""``detect``: the run folder with tables of events and a page."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from semisonic.base.files import write_csv
from semisonic.base.options import check
from semisonic.data.labels import write_labels
from semisonic.data.outputs import placed
from semisonic.inference.detecting.detect import detect_with
from semisonic.inference.detecting.options import CSV, SCORE_OPTIONS, DetectOptions
from semisonic.inference.detecting.page import write_page
from semisonic.inference.detecting.result import DetectResult
from semisonic.inference.detecting.truth import hold_against
from semisonic.inference.detecting.truth_scores import COLUMNS
from semisonic.inference.event_options import EventOptions
from semisonic.inference.modelfile import open_model
from semisonic.models import SoundModel
from semisonic.training import RunFolder

TABLE = "events.csv"
OF_RECORDINGS = ("audacity", "raven")
"""Formats with a file for each recording."""
_SUFFIXES = {"raven-combined": ".txt"}
_NAMES = (
    *(f.name for f in dataclasses.fields(DetectOptions) if f.name != "events"),
    *(f"events.{f.name}" for f in dataclasses.fields(EventOptions)),
)
_FREE = tuple(name for name in _NAMES if name not in SCORE_OPTIONS)


def run_detect(options: DetectOptions) -> DetectResult:
    """Find sounds in recordings, and write what was found into a run folder.

    The same folder again with other thresholds, gaps, classes or more recordings uses the
    scores that are there.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    DataError
        When none of the files exists, or ``truth`` speaks of none of them.
    ModelError
        When the model file is missing or damaged.
    """
    check(options)
    model = open_model(options.model)
    with placed(options.output) as folder:
        result = _run(model, dataclasses.replace(options, output=folder))
        files = tuple(options.output / file.relative_to(folder) for file in result.files)
    return dataclasses.replace(result, files=files)


def _run(model: SoundModel, options: DetectOptions) -> DetectResult:
    with RunFolder(options.output, "detect", options, free=_FREE) as run:
        result = detect_with(model, options, run.path("scores"))
        run.path("bad_files.csv").unlink(missing_ok=True)  # of the run before this
        if result.failures:
            run.add_bad_files(result.failures)
        files = [write_table(run.path(TABLE), result)] if CSV in options.format else []
        files += _write_others(run, result, options)
        truth = None if options.truth is None else hold_against(result, options.truth)
        if truth is not None:
            write_csv(run.path("truth.csv"), list(COLUMNS), truth.rows())
        files.append(write_page(run.folder, result, options, model.mel.sample_rate, truth))
        run.note(n_events=len(result.events), n_recordings=len(result.durations))
    return dataclasses.replace(result, files=tuple(files), truth=truth)


def _write_others(run: RunFolder, result: DetectResult, options: DetectOptions) -> list[Path]:
    """Files of events for other programs, in a folder for each format."""
    written: list[Path] = []
    for name in dict.fromkeys(options.format):
        if name == CSV:
            continue
        folder = run.path("labels", name)
        shutil.rmtree(folder, ignore_errors=True)  # of the run before this
        output = (
            folder if name in OF_RECORDINGS else folder / f"events{_SUFFIXES.get(name, '.csv')}"
        )
        files = write_labels(
            result.events, output, name, root=Path.cwd(), durations=result.durations
        )
        written += [folder] if name in OF_RECORDINGS else files
    return written


def write_table(path: Path, result: DetectResult) -> Path:
    """The events as CSV, a row each, in the order of recordings and time."""
    events = result.events
    rows = zip(
        events.file, events.start_time, events.end_time, events.label, events.score,
        result.mean_scores, strict=True,
    )  # fmt: skip
    write_csv(
        path,
        ["file", "start_time", "end_time", "label", "score", "mean_score"],
        [
            [file, f"{start:.3f}", f"{end:.3f}", label, f"{score:.4f}", f"{mean:.4f}"]
            for file, start, end, label, score, mean in rows
        ],
    )
    return path
