"""``detect``: from a model and recordings to events, tables and a page."""

from __future__ import annotations

import dataclasses
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.audio.read import read
from semisonic.classifier.detection.frame_scores import (
    FrameScorer,
    FrameSpan,
    RecordingSpan,
    ScoreStore,
    SpanScores,
    score_spans,
    score_spans_in_processes,
    unpacked,
)
from semisonic.classifier.detection.page import write_page
from semisonic.classifier.detection.recordings import by_hour, list_recordings, recording_table
from semisonic.classifier.detection.results import (
    TRUTH_COLUMNS,
    DetectResult,
    compare_with_labels,
)
from semisonic.classifier.events import EventRules
from semisonic.classifier.live.actions import LONGEST, PADDING, write_clip
from semisonic.classifier.model_file import model_key, open_model
from semisonic.classifier.use_options import CSV, SCORE_OPTIONS, DetectOptions, EventOptions
from semisonic.core.cluster import open_engine
from semisonic.core.errors import AudioError
from semisonic.core.files import digest, read_csv, write_csv
from semisonic.core.options import LOCAL, EngineOptions, check, from_mapping
from semisonic.core.parallel import Engine, engine_for
from semisonic.core.progress import bar, track
from semisonic.data.events import make_events
from semisonic.data.formats.convert import write_labels
from semisonic.data.outputs import check_folder, placed, refuse_url
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import RunFolder

WORTH_PROCESSES = 7200
"""Seconds of sound from which on processes score them sooner than threads."""
TABLE, HOURS, CLIPS = "events.csv", "hours.csv", "clips.csv"
COLUMNS = ["file", "start_time", "end_time", "label", "score", "mean_score", "recorded_at", "site"]
_OF_RECORDINGS = ("audacity", "raven")  # formats with a file for each recording
_SUFFIXES = {"raven-combined": ".txt"}
_NAMES = (
    *(f.name for f in dataclasses.fields(DetectOptions) if f.name != "events"),
    *(f"events.{f.name}" for f in dataclasses.fields(EventOptions)),
)
_FREE = tuple(name for name in _NAMES if name not in SCORE_OPTIONS)
_VERSION = 2  # raise when the same model and options give other scores

_log = logging.getLogger(__name__)
_Broken = dict[tuple[str, int], SpanScores]


def detect(
    model: SoundModel | str | PathLike[str],
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
    model : SoundModel or path
        A model, its file, or the run folder of ``semisonic train``.
    files : path or iterable of path
        Recordings, or folders of them.
    output : path, optional
        A folder that keeps the scores: what is in it is not computed again, and a call that
        was interrupted goes on. Nothing else is written. A temporary folder by default.
    device : str
    workers : int, optional
        Threads that decode.
    engine : {"local", "ray"}
        Threads of this machine, or a Ray cluster.
    address : str, optional
        Of the Ray cluster: see :class:`semisonic.core.options.EngineOptions`.
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
        When none of the files exists.
    OptionError
        When a setting is unknown or wrong.
    ModelError
        When the model file is missing or damaged.
    """
    opened = model if isinstance(model, SoundModel) else open_model(model)
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in events.items()}
    if "threshold" in values:
        values["threshold"] = str(values["threshold"])
    options = DetectOptions(
        Path(),
        (Path(files),) if isinstance(files, (str, PathLike)) else tuple(map(Path, files)),
        events=from_mapping(EventOptions, values),
        device=device,
        workers=workers,
        where=EngineOptions(engine, address),
    )
    if output is not None:
        refuse_url(Path(output))
        return _detect(opened, options, Path(output))
    with tempfile.TemporaryDirectory(prefix="semisonic-") as place:
        return _detect(opened, options, Path(place))


def _detect(model: SoundModel, options: DetectOptions, folder: Path) -> DetectResult:
    """The same with options; ``folder`` is where scores are kept."""
    began = time.perf_counter()
    with open_engine(options.where) as engine:
        device = options.device if engine.is_local else "cpu"  # of this process
        scorer = FrameScorer(model, options.events.hop, options.events.times, device)
        rules, grid = EventRules.of(scorer, options.events), scorer.grid
        recordings, failures = list_recordings(options.files, options.workers, engine)
        spans = {one: grid.spans(one.n_samples(grid.sample_rate)) for one in recordings}
        key = digest(
            _VERSION,
            model_key(model),
            grid.n_window,
            grid.n_hop,
            grid.n_frame,
            scorer.with_frames,
        )
        with ScoreStore(folder, key, len(model.classes)) as store:
            missing = [
                (one, span)
                for one in recordings
                for span in spans[one]
                if (one.identity, span.number) not in store
            ]
            n_there = sum(map(len, spans.values())) - len(missing)
            broken = _score_missing(scorer, missing, store, options, engine, n_there)
            rows: list[dict[str, Any]] = []
            durations, reasons = {}, list(failures)
            for one in recordings:
                parts = _parts(store, broken, one.identity, spans[one])
                rows += rules.rows(parts, one.file, one.duration)
                torn = [span for span in spans[one] if (one.identity, span.number) in broken]
                durations[one.file], reason = one.duration, one.damage
                if torn:
                    scores, reason = broken[one.identity, torn[0].number]
                    reached = (torn[0].first + len(scores)) * grid.frame
                    durations[one.file] = min(one.duration, reached)
                if reason:
                    reasons.append((one.file, reason))
    return DetectResult(
        make_events(rows),
        np.array([row["mean_score"] for row in rows], np.float64),
        recording_table(durations),
        dict(zip(rules.labels, rules.thresholds.tolist(), strict=True)),
        scorer.with_frames,
        tuple(reasons),
        time.perf_counter() - began,
        sum((span.last - span.first) * grid.frame for _, span in missing),
    )


def _parts(
    store: ScoreStore, broken: _Broken, identity: str, spans: list[FrameSpan]
) -> Iterator[NDArray[np.float64]]:
    """The scores of a recording, span by span, up to its end or to where it breaks off."""
    for span in spans:
        place = identity, span.number
        if place in broken:
            yield unpacked(broken[place][0])
            return
        yield unpacked(store.get(*place))


def _score_missing(
    scorer: FrameScorer,
    missing: list[RecordingSpan],
    store: ScoreStore,
    options: DetectOptions,
    engine: Engine,
    n_there: int,
) -> _Broken:
    """Score the spans that are missing. What breaks off is given back, and tried again later."""
    broken: _Broken = {}
    if not missing:
        return broken
    ends = np.cumsum([(span.last - span.first) * scorer.grid.frame for _, span in missing])
    if scorer.device.type == "cpu":
        engine = engine_for(engine, round(float(ends[-1])), WORTH_PROCESSES, options.workers)
    found: Any = (
        score_spans(scorer, missing, workers=options.workers)
        if engine.in_threads
        else score_spans_in_processes(
            engine, scorer, missing, device=options.device, workers=options.workers
        )
    )
    label = (
        f"detect ({n_there} of {n_there + len(missing)} parts are there)" if n_there else "detect"
    )
    with closing(found), bar(math.ceil(ends[-1] / 60), label, "min of audio") as shown:
        for end, (recording, span), (scores, reason) in zip(
            ends.tolist(), missing, found, strict=True
        ):
            place = recording.identity, span.number
            if reason:
                broken[place] = scores, reason
            else:
                store.put(*place, scores)
            shown.update(math.ceil(end / 60) - shown.n)
    return broken


def run_detect(options: DetectOptions) -> DetectResult:
    """Find sounds in recordings, and write the events into a run folder.

    The same folder again with other thresholds, gaps, classes or more recordings uses the
    scores that are there.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    DataError
        When none of the files exists, or ``truth`` has labels of none of them.
    ModelError
        When the model file is missing or damaged.
    """
    check(options)
    if options.save_clips is not None:
        check_folder(options.save_clips, "clips of events", {CLIPS})
    model = open_model(options.model)
    with (
        placed(options.output) as folder,
        RunFolder(folder, "detect", dataclasses.replace(options, output=folder), free=_FREE) as run,
    ):
        result = _detect(model, options, run.path("scores"))
        if options.save_clips is not None:
            clips = _save_clips(options.save_clips, result)
            result = dataclasses.replace(result, clips=clips)
        if options.truth is not None:
            truth = compare_with_labels(result, options.truth)
            write_csv(run.path("truth.csv"), TRUTH_COLUMNS, truth.rows())
            result = dataclasses.replace(result, truth=truth)
        run.path("bad_files.csv").unlink(missing_ok=True)  # of the run before this
        if result.failures:
            run.add_bad_files(result.failures)
        files = _write_tables(run, result, options)
        files.append(write_page(run.folder, result, options, model.mel.sample_rate))
        run.note(n_events=len(result.events), n_recordings=len(result.recordings))
    placed_files = [
        options.output / file.relative_to(folder) if file.is_relative_to(folder) else file
        for file in files
    ]
    return dataclasses.replace(result, files=tuple(placed_files))


def _write_tables(run: RunFolder, result: DetectResult, options: DetectOptions) -> list[Path]:
    """The events as CSV and for other programs, and their hours of the day; the files."""
    written: list[Path] = []
    frame = _event_texts(result)
    if CSV in options.format:
        write_csv(run.path(TABLE), list(map(str, frame)), frame.itertuples(index=False))
        written.append(run.path(TABLE))
    run.path(HOURS).unlink(missing_ok=True)  # of the run before this
    hours = by_hour(result.to_frame(), result.recordings)
    if hours:
        labels = [row[0] for row in result.by_class()]
        rows = [
            (site, hour, f"{seconds / 3600:.4f}", label, counts[label])
            for site, hour, seconds, counts in hours
            for label in labels
        ]
        write_csv(run.path(HOURS), ["site", "hour", "hours_of_audio", "label", "events"], rows)
        written.append(run.path(HOURS))
    if options.save_clips is not None:
        written.append(options.save_clips / CLIPS)
    for name in dict.fromkeys(options.format):
        if name == CSV:
            continue
        folder = run.path("labels", name)
        shutil.rmtree(folder, ignore_errors=True)  # of the run before this
        is_folder = name in _OF_RECORDINGS
        output = folder if is_folder else folder / f"events{_SUFFIXES.get(name, '.csv')}"
        files = write_labels(
            result.events, output, name, root=Path.cwd(), durations=result.durations
        )
        written += [folder] if is_folder else files
    return written


def _event_texts(result: DetectResult) -> pd.DataFrame:
    """The events as texts for a CSV file, a row each, in the order of recordings and time."""
    frame = result.to_frame()[COLUMNS]
    for name, digits in (("start_time", 3), ("end_time", 3), ("score", 4), ("mean_score", 4)):
        frame[name] = [f"{value:.{digits}f}" for value in frame[name]]
    frame["recorded_at"] = [
        "" if moment is None else moment.isoformat(timespec="seconds")
        for moment in frame.recorded_at
    ]
    return frame.assign(clip=list(result.clips)) if result.clips else frame


def _save_clips(folder: Path, result: DetectResult) -> tuple[str, ...]:
    """Cut the sound of each event out of its recording; the names of the files."""
    if (folder / CLIPS).is_file():  # of the run before this
        for row in read_csv(folder / CLIPS):
            (folder / Path(row["clip"]).name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    frame, names = result.to_frame(), list[str]()
    for number, event in enumerate(track(frame.to_dict("records"), "save clips", "clip")):
        file, start = event["file"], event["start_time"]
        first = max(0.0, start - PADDING)
        last = min(
            event["end_time"] + PADDING, result.durations[file], first + LONGEST + 2 * PADDING
        )
        try:
            sound, rate = read(file, start_time=first, end_time=last)
            moment, label = event["recorded_at"], event["label"]
            names.append(write_clip(folder, number, label, moment, sound, rate).name)
        except AudioError as error:
            _log.warning("the sound of an event in '%s' was not saved: %s", file, error.reason)
            names.append("")
    saved = _event_texts(result).assign(clip=names).rename(columns={"file": "recording"})
    columns = ["clip", "label", "score", "recording", "start_time", "end_time"]
    columns += ["recorded_at", "site"]
    write_csv(
        folder / CLIPS, columns, saved.loc[saved["clip"] != "", columns].itertuples(index=False)
    )
    return tuple(names)
