"""``detect``: the run folder with tables of events and a page."""

from __future__ import annotations

import csv
import dataclasses
import logging
import shutil
from pathlib import Path

from semisonic.audio import read
from semisonic.base.errors import AudioError
from semisonic.base.files import write_csv
from semisonic.base.options import check
from semisonic.base.progress import track
from semisonic.data.labels import write_labels
from semisonic.data.outputs import check_folder, placed
from semisonic.inference.detecting.detect import detect_with
from semisonic.inference.detecting.options import CSV, SCORE_OPTIONS, DetectOptions
from semisonic.inference.detecting.origins import HourRow, Origin, by_hour
from semisonic.inference.detecting.page import write_page
from semisonic.inference.detecting.result import DetectResult
from semisonic.inference.detecting.truth import hold_against
from semisonic.inference.detecting.truth_scores import COLUMNS
from semisonic.inference.event_options import EventOptions
from semisonic.inference.live.saving import LONGEST, PADDING, write_clip
from semisonic.inference.modelfile import open_model
from semisonic.models import SoundModel
from semisonic.training import RunFolder

TABLE, HOURS, CLIPS = "events.csv", "hours.csv", "clips.csv"
COLUMNS_OF_EVENTS = (
    "file", "start_time", "end_time", "label", "score", "mean_score", "recorded_at", "site",
)  # fmt: skip
OF_RECORDINGS = ("audacity", "raven")
"""Formats with a file for each recording."""
_SUFFIXES = {"raven-combined": ".txt"}
_NAMES = (
    *(f.name for f in dataclasses.fields(DetectOptions) if f.name != "events"),
    *(f"events.{f.name}" for f in dataclasses.fields(EventOptions)),
)
_FREE = tuple(name for name in _NAMES if name not in SCORE_OPTIONS)

_log = logging.getLogger(__name__)


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
    if options.save_clips is not None:
        check_folder(options.save_clips, "clips of events", {CLIPS})
    model = open_model(options.model)
    with placed(options.output) as folder:
        result = _run(model, dataclasses.replace(options, output=folder))
        files = tuple(
            options.output / file.relative_to(folder) if file.is_relative_to(folder) else file
            for file in result.files
        )
    return dataclasses.replace(result, files=files)


def _run(model: SoundModel, options: DetectOptions) -> DetectResult:
    with RunFolder(options.output, "detect", options, free=_FREE) as run:
        result = detect_with(model, options, run.path("scores"))
        if options.save_clips is not None:
            result = dataclasses.replace(result, clips=save_clips(options.save_clips, result))
        run.path("bad_files.csv").unlink(missing_ok=True)  # of the run before this
        if result.failures:
            run.add_bad_files(result.failures)
        files = [write_table(run.path(TABLE), result)] if CSV in options.format else []
        hours = by_hour(result.events, result.durations, result.origins)
        files += write_hours(run.path(HOURS), result, hours)
        if options.save_clips is not None:
            files.append(options.save_clips / CLIPS)
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
    clips = [[clip] for clip in result.clips] or [[] for _ in range(len(events))]
    write_csv(
        path,
        [*COLUMNS_OF_EVENTS, *(["clip"] if result.clips else [])],
        [
            [file, f"{start:.3f}", f"{end:.3f}", label, f"{score:.4f}", f"{mean:.4f}",
             *_origin(result, str(file), float(start)), *clip]
            for (file, start, end, label, score, mean), clip in zip(rows, clips, strict=True)
        ],
    )  # fmt: skip
    return path


def _origin(result: DetectResult, file: str, start: float) -> tuple[str, str]:
    """When an event began, by the recorder's clock, and where."""
    origin = result.origins.get(file, Origin())
    moment = origin.moment(start)
    return ("" if moment is None else moment.isoformat(timespec="seconds"), origin.site)


def write_hours(path: Path, result: DetectResult, hours: list[HourRow]) -> list[Path]:
    """Events of each class by site and hour of the day; nothing where no time is told."""
    path.unlink(missing_ok=True)  # of the run before this
    if not hours:
        return []
    labels = [row[0] for row in result.by_class()]
    write_csv(
        path,
        ["site", "hour", "hours_of_audio", "label", "events"],
        [
            [one.site, one.hour, f"{one.seconds / 3600:.4f}", label, one.counts.get(label, 0)]
            for one in hours
            for label in labels
        ],
    )
    return [path]


def save_clips(folder: Path, result: DetectResult) -> tuple[str, ...]:
    """Cut the sound of each event out of its recording; the names of the files."""
    if (folder / CLIPS).is_file():  # of the run before this
        with (folder / CLIPS).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                (folder / Path(row["clip"]).name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    events, names = result.events, []
    for number, (file, start, end, label) in enumerate(
        track(
            list(zip(events.file, events.start_time, events.end_time, events.label, strict=True)),
            "save clips",
            "clip",
        )
    ):
        first = max(0.0, float(start) - PADDING)
        last = min(float(end) + PADDING, result.durations[str(file)], first + LONGEST + 2 * PADDING)
        moment = result.origins.get(str(file), Origin()).moment(float(start))
        try:
            sound, rate = read(str(file), start_time=first, end_time=last)
            names.append(write_clip(folder, number, str(label), moment, sound, rate).name)
        except AudioError as error:
            _log.warning("the sound of an event in '%s' was not saved: %s", file, error.reason)
            names.append("")
    saved = [
        [name, str(events.label[i]), f"{events.score[i]:.4f}", str(events.file[i]),
         f"{events.start_time[i]:.3f}", f"{events.end_time[i]:.3f}",
         *_origin(result, str(events.file[i]), float(events.start_time[i]))]
        for i, name in enumerate(names) if name
    ]  # fmt: skip
    columns = ["clip", "label", "score", "recording", "start_time", "end_time"]
    write_csv(folder / CLIPS, [*columns, "recorded_at", "site"], saved)
    return tuple(names)
