"""``detect``: find events in recordings with a model, and write tables and a page."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisonic.audio.read import read
from semisonic.audio.remote import stamp_of, url_of
from semisonic.classifier.detection.frame_scores import (
    FrameScorer,
    RecordingFile,
    RecordingSpan,
    SpanScores,
    score_spans,
    score_spans_elsewhere,
    unpacked,
)
from semisonic.classifier.detection.page import write_page
from semisonic.classifier.detection.results import (
    TRUTH_COLUMNS,
    DetectResult,
    compare_with_labels,
    placed_events,
    recording_table,
)
from semisonic.classifier.events import EventRules, EventTracker, TrackedEvent
from semisonic.classifier.live.actions import LONGEST, PADDING, write_clip
from semisonic.classifier.model_file import Fitted, model_key, open_model
from semisonic.classifier.options import EventOptions
from semisonic.classifier.prepare import Failures
from semisonic.core.cluster import open_engine
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.files import digest, read_csv, write_csv, write_frame
from semisonic.core.options import LOCAL, EngineOptions, from_mapping, to_dict
from semisonic.core.parallel import LOCAL_ENGINE, Engine, engine_for
from semisonic.core.progress import bar, track
from semisonic.core.temporary import temporary_folder
from semisonic.data.cache import ArrayCache
from semisonic.data.datasets.load import gather
from semisonic.data.formats.label_files import write_labels
from semisonic.data.outputs import check_file, check_folder, placed, refuse_url, writing
from semisonic.data.windows import read_headers
from semisonic.evaluation.event_thresholds import LOWEST, SHARES, ThresholdChoice
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import RunFolder

WORTH_PROCESSES = 7200
"""Seconds of sound above which processes are faster than threads."""
CSV, TABLE, HOURS, CLIPS = "csv", "events.csv", "hours.csv", "clips.csv"
TRUTH, BY_THRESHOLD = "truth.csv", "by_threshold.csv"
VERB = "detect"
_OF_RECORDINGS = ("audacity", "raven")  # formats with a file for each recording
_SUFFIXES = {"raven-combined": ".txt"}
_SCORE_OPTIONS = ("model", "events.hop", "events.times")  # a folder belongs to one set of these
_VERSION = 5  # raise when the same model and options give other scores

_HERE = EngineOptions()
_log = logging.getLogger(__name__)
Paths = Iterable[str | PathLike[str]]


def detect(
    model: SoundModel | Fitted | str | PathLike[str],
    files: Iterable[str | PathLike[str]] | str | PathLike[str],
    *,
    output: str | PathLike[str] | None = None,
    device: str = "auto",
    workers: int | None = None,
    engine: str = LOCAL,
    address: str | None = None,
    **events: Any,
) -> DetectResult:
    """Find sounds in recordings of any length.

    Parameters
    ----------
    model : SoundModel, SoundClassifier or path
        A model, its file, or the run folder of ``semisonic train``.
    files : path or iterable of path
        Recordings, or folders of them.
    output : path, optional
        A folder that keeps the scores: they are not computed again, and an interrupted call
        continues. Nothing else is written. By default, a temporary folder.
    device : str
    workers : int, optional
        Threads that decode.
    engine : {"local", "ray"}
        Threads of this machine, or a Ray cluster.
    address : str, optional
        Address of the Ray cluster: see :class:`semisonic.core.options.EngineOptions`.
    **events
        Options of :class:`EventOptions`: ``threshold``, ``hop``, ``times``, ``edge``,
        ``merge_gap``, ``min_duration``, ``classes``, ``background``.

    Returns
    -------
    DetectResult
        Its ``events`` are a data frame (:mod:`semisonic.data.events`).

    Raises
    ------
    DataError
        If none of the files exists.
    OptionError
        If an option is unknown or wrong.
    ModelError
        If the model file is missing or damaged.

    Examples
    --------
    >>> events = detect("runs/tones", "recordings", threshold=0.5).events
    >>> set(events["label"]) <= {"noise", "tone"}
    True
    >>> (events["start_time"] < events["end_time"]).all()
    np.True_
    """
    if "threshold" in events:
        events["threshold"] = str(events["threshold"])
    files = (files,) if isinstance(files, (str, PathLike)) else tuple(files)
    with temporary_folder() as temporary:
        folder = Path(temporary if output is None else output)
        refuse_url(folder)
        return _detect(
            open_model(model),
            files,
            from_mapping(EventOptions, events),
            folder,
            EngineOptions(engine, address),
            device,
            workers,
        )


def _detect(
    model: SoundModel,
    files: Paths,
    events: EventOptions,
    folder: Path,
    where: EngineOptions,
    device: str,
    workers: int | None,
    lowest: float | None = None,
) -> DetectResult:
    """The events of recordings; ``folder`` is where scores are kept, span by span.

    With ``lowest``, the result also has the candidates: all events with at least this score.

    They are kept after a run: the same recordings with other thresholds take seconds. A span
    counts once the cache names it, so no scores are lost or incomplete after ``kill -9``.
    """
    began = time.perf_counter()
    with open_engine(where) as engine:
        here = device if engine.is_local else "cpu"  # of this process
        scorer = FrameScorer(model, events.hop, events.times, here)
        rules, grid = EventRules.of(scorer, events), scorer.grid
        wide = rules if lowest is None else rules.down_to(lowest)
        recordings, failures = list_recordings(files, workers, engine)
        spans = {one.file: grid.spans(one.n_samples(grid.sample_rate)) for one in recordings}
        key = digest(_VERSION, model_key(model), *grid, scorer.with_frames)
        rows, durations, reasons = list[dict[str, Any]](), dict[str, float](), list(failures)
        with ArrayCache.open(folder, "scores", {"key": key}, "<u2", anew=True) as cache:
            every = [(one, span) for one in recordings for span in spans[one.file]]
            known = [cache.find((one.identity, span.first), ()) for one, span in every]
            stored = dict(zip(every, known, strict=True))
            missing = [one for one in every if stored[one] is None]
            n_there = len(every) - len(missing)
            with closing(_score(scorer, missing, n_there, engine, device, workers)) as scored:
                for recording in recordings:
                    tracker, found, reason = EventTracker(wide), list[TrackedEvent](), ""
                    durations[recording.file] = recording.duration
                    for span in spans[recording.file]:
                        place, torn = stored[recording, span], ""
                        if place is None:
                            scores, torn = next(scored)
                            if not torn:  # what breaks off is tried again later
                                name = recording.identity, span.first
                                cache.add((name, (), scores.astype("<u2"), None))
                        else:
                            scores = cache.read(place).reshape(-1, len(model.classes))
                        if not reason:
                            found += tracker.push(unpacked(scores))
                        if torn and not reason:
                            reason, reached = torn, (span.first + len(scores)) * grid.frame
                            durations[recording.file] = min(recording.duration, reached)
                    rows += rules.rows(
                        [*found, *tracker.open()], recording.file, recording.duration
                    )
                    if reason or recording.damage:
                        reasons.append((recording.file, reason or recording.damage))
    table = recording_table(durations, files)
    events_found = [row for row in rows if row["score"] >= rules.thresholds[row["label"]]]
    return DetectResult(
        placed_events(events_found, table),
        table,
        rules.thresholds,
        scorer.with_frames,
        tuple(reasons),
        time.perf_counter() - began,
        sum((span.last - span.first) * grid.frame for _, span in missing),
        candidates=None if lowest is None else placed_events(rows, table),
        background=()
        if events.classes
        else tuple(name for name in model.classes if name not in rules.thresholds),
    )


def list_recordings(
    files: Paths,
    workers: int | None = None,
    engine: Engine = LOCAL_ENGINE,
) -> tuple[list[RecordingFile], Failures]:
    """The recordings that some paths name; headers are read, nothing is decoded.

    Parameters
    ----------
    files : paths
        Recordings, folders of them, or a table that names whole recordings.
    workers : int, optional
    engine : Engine
        Where the headers are read.

    Returns
    -------
    recordings : list of RecordingFile
        Sorted by name.
    failures : tuple of (str, str)
        Files that cannot be opened, and why.

    Raises
    ------
    DataError
        If none of the paths exists.
    OptionError
        For a table that names parts of recordings.
    """
    clips, missing = gather(files)
    if (clips.start_time > 0).any() or not np.isnan(clips.end_time).all():
        raise OptionError(
            "found a table with times, expected whole recordings, as 'detect' finds the times; "
            "for a table of clips, use 'predict'"
        )
    recordings, failures = [], list(missing)
    names: list[str] = clips.file.tolist()
    headers = read_headers(clips.root, names, workers, engine)
    for file, path, info in zip(names, clips.paths, headers, strict=True):
        if isinstance(info, str):
            failures.append((file, info))
            continue
        try:
            identity = digest(url_of(path) or os.path.realpath(path), *stamp_of(path))
        except OSError as error:  # it was there when its header was read
            failures.append((file, f"cannot be opened ({error.strerror})"))
            continue
        recordings.append(RecordingFile(clips.root, file, identity, info.duration, info.damage))
    return recordings, tuple(failures)


def _score(
    scorer: FrameScorer,
    missing: Sequence[RecordingSpan],
    n_there: int,
    engine: Engine,
    device: str,
    workers: int | None,
) -> Generator[SpanScores, None, None]:
    """The scores of missing spans, in order."""
    if not missing:
        return
    ends = np.cumsum([(span.last - span.first) * scorer.grid.frame for _, span in missing])
    if scorer.device.type == "cpu":
        engine = engine_for(engine, round(float(ends[-1])), WORTH_PROCESSES, workers)
    found: Any = (
        score_spans(scorer, missing, workers=workers)
        if engine.in_threads
        else score_spans_elsewhere(engine, scorer, missing, device=device, workers=workers)
    )
    label = f"detect ({n_there} of {n_there + len(missing)} parts are already scored)" * bool(
        n_there
    )
    minutes = np.ceil(ends / 60).astype(int).tolist()
    with closing(found), bar(minutes[-1], label or "detect", "min of audio") as shown:
        for minute, one in zip(minutes, found, strict=True):
            shown.update(minute - shown.n)
            yield one


def run_detect(
    model: Path,
    files: Sequence[Path],
    output: Path,
    events: EventOptions,
    *,
    format: Sequence[str] = (CSV,),  # noqa: A002
    truth: Path | None = None,
    save_thresholds: Path | None = None,
    max_false_alarms: float | None = None,
    save_clips: Path | None = None,
    where: EngineOptions = _HERE,
    device: str = "auto",
    workers: int | None = None,
) -> DetectResult:
    """Find sounds in recordings, and write the events into a run folder.

    With the same folder and other thresholds, gaps, classes or more recordings, the existing
    scores are used.

    Parameters
    ----------
    model, files, output, events, format, truth, save_thresholds, max_false_alarms, save_clips,
    where, device, workers
        Options of ``semisonic detect``.

    Raises
    ------
    OptionError
        If an option is wrong or lacks another one, or the run folder belongs to another run.
    DataError
        If none of the files exists, or ``truth`` has no labels for them.
    ModelError
        If the model file is missing or damaged.
    """
    options = {**locals(), "events": to_dict(events), "where": to_dict(where)}
    free = {*options, *(f"events.{name}" for name in to_dict(events))} - {"events", *_SCORE_OPTIONS}
    if save_clips is not None:
        check_folder(save_clips, "clips of events", {CLIPS})
    if save_thresholds is None and max_false_alarms is not None:
        raise OptionError(
            "option 'max_false_alarms': it limits what --save-thresholds chooses, which is not "
            "given; expected both"
        )
    if save_thresholds is not None:
        if truth is None:
            raise OptionError(
                "option 'save_thresholds': thresholds are chosen by a comparison with annotated "
                "events; give their label files with --truth"
            )
        inputs: list[Path | str] = [truth, events.threshold]
        check_file(save_thresholds, VERB, {".csv"}, inputs=inputs, option="save_thresholds")
    opened = open_model(model)
    with placed(output) as folder, RunFolder(folder, VERB, options, free=free) as run:
        lowest = None if truth is None else LOWEST
        result = _detect(opened, files, events, run.path("scores"), where, device, workers, lowest)
        if save_clips is not None:
            clips = _save_clips(save_clips, result)
            result = dataclasses.replace(result, events=result.events.assign(clip=clips))
        if truth is not None:
            scores = compare_with_labels(result, truth)
            if save_thresholds is not None:
                scores = scores.choose(max_false_alarms)
            result = dataclasses.replace(result, truth=scores)
        for name in (TABLE, HOURS, TRUTH, BY_THRESHOLD, "bad_files.csv"):  # of the run before this
            run.path(name).unlink(missing_ok=True)
        if result.failures:
            run.add_bad_files(result.failures)
        written = _write_tables(run, result, format)
        if result.truth is not None and save_thresholds is not None:
            _write_thresholds(save_thresholds, result, result.truth.chosen)
            written.append(save_thresholds)
        if save_clips is not None:
            written.append(save_clips / CLIPS)
        mel = opened.mel
        written.append(write_page(run.folder, result, model, events, mel.sample_rate))
        run.note(n_events=len(result.events), n_recordings=len(result.recordings))
    places = (
        output / file.relative_to(folder) if file.is_relative_to(folder) else file
        for file in written
    )
    return dataclasses.replace(result, files=tuple(places))


def _write_thresholds(output: Path, result: DetectResult, chosen: ThresholdChoice | None) -> None:
    """Write the threshold of each class that was searched for."""
    kept = {
        label: chosen.of(label, now) if chosen else now for label, now in result.thresholds.items()
    }
    with writing(output, VERB) as temporary:
        rows = [(label, f"{threshold:g}") for label, threshold in kept.items()]
        write_csv(temporary, ["label", "threshold"], rows)


def _write_tables(run: RunFolder, result: DetectResult, formats: Sequence[str]) -> list[Path]:
    """Write the events as CSV and for other programs, by hour, and the comparison; the files."""
    written: list[Path] = []
    if CSV in formats:
        write_frame(run.path(TABLE), _texts(result.to_frame()))
        written.append(run.path(TABLE))
    labels = result.by_class().label.tolist()
    rows = [
        (site, hour, f"{seconds / 3600:.4f}", label, n)
        for site, hour, seconds, counts in result.by_hour(labels)
        for label, n in zip(labels, counts, strict=True)
    ]
    if result.recordings.recorded_at.notna().any():
        write_csv(run.path(HOURS), ["site", "hour", "hours_of_audio", "label", "events"], rows)
        written.append(run.path(HOURS))
    if result.truth is not None:
        write_csv(run.path(TRUTH), TRUTH_COLUMNS, result.truth.rows())
        table = _in_digits(
            result.truth.by_threshold.table, dict.fromkeys(("threshold", *SHARES), 4)
        )
        write_frame(run.path(BY_THRESHOLD), table)
        written += [run.path(TRUTH), run.path(BY_THRESHOLD)]
    for name in dict.fromkeys(formats):
        if name == CSV:
            continue
        folder = run.path("labels", name)
        shutil.rmtree(folder, ignore_errors=True)  # of the run before this
        is_folder = name in _OF_RECORDINGS
        output = folder if is_folder else folder / f"events{_SUFFIXES.get(name, '.csv')}"
        durations = result.durations
        files = write_labels(result.events, output, name, root=Path.cwd(), durations=durations)
        written += [folder] if is_folder else files
    return written


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    """The events as texts for a CSV file."""
    digits = {"start_time": 3, "end_time": 3, "score": 4, "mean_score": 4}
    moments = [time.isoformat(timespec="seconds") if time else "" for time in table.recorded_at]
    return _in_digits(table, digits).assign(recorded_at=moments)


def _in_digits(table: pd.DataFrame, digits: Mapping[str, int]) -> pd.DataFrame:
    """Numbers as texts with so many decimals; what is not known is empty."""
    texts = {
        name: ["" if np.isnan(value) else f"{value:.{n}f}" for value in table[name]]
        for name, n in digits.items()
    }
    return table.assign(**texts)


def _save_clips(folder: Path, result: DetectResult) -> list[str]:
    """Cut the sound of each event out of its recording; return the names of the files."""
    if (folder / CLIPS).is_file():  # of the run before this
        for row in read_csv(folder / CLIPS):
            (folder / Path(row["clip"]).name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for number, event in enumerate(track(result.events.to_dict("records"), "save clips", "clip")):
        file, first = event["file"], max(0.0, event["start_time"] - PADDING)
        last = min(event["end_time"], first + LONGEST + PADDING) + PADDING
        try:
            sound, rate = read(file, start_time=first, end_time=min(last, result.durations[file]))
            moment, label = event["recorded_at"], event["label"]
            names.append(write_clip(folder, number, label, moment, sound, rate).name)
        except AudioError as error:
            _log.warning("the sound of an event in '%s' was not saved: %s", file, error.reason)
            names.append("")
    saved = _texts(result.to_frame()).assign(clip=names).rename(columns={"file": "recording"})
    columns = ["clip", "label", "score", "recording", "start_time", "end_time"]
    columns += ["recorded_at", "site"]
    write_frame(folder / CLIPS, saved.loc[saved["clip"] != "", columns])
    return names
