"""``detect``: from a model and recordings to events, tables and a page."""

from __future__ import annotations

import csv
import dataclasses
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import read
from semisonic.classifier.detection.frame_scores import (
    FrameScorer,
    FrameSpan,
    RecordingSpan,
    ScoreStore,
    SpanScores,
    score_spans,
    score_spans_on_cluster,
    unpacked,
)
from semisonic.classifier.detection.page import write_page
from semisonic.classifier.detection.recordings import (
    HourRow,
    RecordingFile,
    RecordingOrigin,
    by_hour,
    list_recordings,
    origins_of,
)
from semisonic.classifier.detection.results import COLUMNS, DetectResult, compare_with_labels
from semisonic.classifier.events import EventRules
from semisonic.classifier.live.actions import LONGEST, PADDING, write_clip
from semisonic.classifier.model_file import model_key, open_model
from semisonic.classifier.use_options import CSV, SCORE_OPTIONS, DetectOptions, EventOptions
from semisonic.core.cluster import open_engine
from semisonic.core.errors import AudioError
from semisonic.core.files import digest, write_csv
from semisonic.core.options import LOCAL, EngineOptions, check, from_mapping
from semisonic.core.parallel import Engine, engine_for
from semisonic.core.progress import bar, track
from semisonic.data.events import Events
from semisonic.data.formats.convert import write_labels
from semisonic.data.outputs import check_folder, placed, refuse_url
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import RunFolder

WORTH_PROCESSES = 7200
"""Seconds of sound from which on processes score them sooner than threads."""

_VERSION = 2  # raise when the same model and options give other scores
_Broken = dict[tuple[str, int], SpanScores]


def detect(
    model: SoundModel | str | PathLike[str],
    files: Iterable[str | PathLike[str]] | str | PathLike[str],
    *,
    output: str | PathLike[str] | None = None,
    engine: str = LOCAL,
    address: str | None = None,
    **settings: Any,
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
    engine : {"local", "ray"}
        Threads of this machine, or a Ray cluster.
    address : str, optional
        Of the Ray cluster: see :class:`semisonic.core.parallel.EngineOptions`.
    **settings
        Options of :class:`EventOptions` (``threshold``, ``hop``, ``times``, ``edge``,
        ``merge_gap``, ``min_duration``, ``classes``, ``background``) and of
        :class:`DetectOptions` (``device``, ``workers``).

    Returns
    -------
    DetectResult
        Its ``events`` are a table; ``events.to_frame()`` is one for pandas.

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
    paths = [files] if isinstance(files, (str, PathLike)) else list(files)
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
    if "threshold" in values:
        values["threshold"] = str(values["threshold"])
    own = {field.name for field in dataclasses.fields(DetectOptions)}
    of_events = {name: value for name, value in values.items() if name not in own}
    options = from_mapping(
        DetectOptions,
        {
            **{name: value for name, value in values.items() if name in own},
            "events": from_mapping(EventOptions, of_events),
            "model": Path(),
            "files": [Path(path) for path in paths],
            "where": EngineOptions(engine, address),
        },
    )
    if output is not None:
        refuse_url(Path(output))
        return _detect_with(opened, options, Path(output))
    with tempfile.TemporaryDirectory(prefix="semisonic-") as place:
        return _detect_with(opened, options, Path(place))


def _detect_with(model: SoundModel, options: DetectOptions, scores: Path) -> DetectResult:
    """The same with options; ``scores`` is the folder that scores are kept in."""
    with open_engine(options.where) as engine:
        return _detect(model, options, scores, engine)


def _detect(
    model: SoundModel, options: DetectOptions, scores: Path, engine: Engine
) -> DetectResult:
    began = time.perf_counter()
    device = options.device if engine.is_local else "cpu"  # of this process
    scorer = FrameScorer(model, options.events.hop, options.events.times, device)
    rules = EventRules.of(scorer, options.events)
    recordings, failures = list_recordings(options.files, options.workers, engine)
    grid = scorer.grid
    spans = {one: grid.spans(one.n_samples(grid.sample_rate)) for one in recordings}
    with ScoreStore(scores, _key(scorer), len(model.classes)) as store:
        missing = [
            (one, span)
            for one in recordings
            for span in spans[one]
            if (one.identity, span.number) not in store
        ]
        n_spans = sum(map(len, spans.values()))
        broken = _score_missing(scorer, missing, store, options, engine, n_spans)
        rows: list[dict[str, Any]] = []
        means: list[float] = []
        durations, reasons = {}, list(failures)
        for one in recordings:
            stored = _StoredScores(store, broken, one, spans[one])
            for row, mean in rules.rows(stored, one.file, one.duration):
                rows.append(row)
                means.append(mean)
            reached = stored.n_frames * rules.frame if stored.reason else one.duration
            durations[one.file] = min(one.duration, reached)
            if stored.reason or one.damage:
                reasons.append((one.file, stored.reason or one.damage))
    audio = sum((span.last - span.first) * rules.frame for _, span in missing)
    return DetectResult(
        Events.from_rows(rows),
        np.array(means, np.float64),
        durations,
        rules.labels,
        rules.thresholds,
        scorer.with_frames,
        tuple(reasons),
        time.perf_counter() - began,
        audio,
        origins=origins_of(durations),
    )


class _StoredScores:
    """The scores of a recording, span by span, up to its end or to where it breaks off."""

    def __init__(
        self, store: ScoreStore, broken: _Broken, recording: RecordingFile, spans: list[FrameSpan]
    ) -> None:
        self._store, self._broken = store, broken
        self._recording, self._spans = recording, spans
        self.n_frames, self.reason = 0, ""

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        for span in self._spans:
            place = self._recording.identity, span.number
            if place in self._broken:
                scores, self.reason = self._broken[place]
            else:
                scores = self._store.get(*place)
            self.n_frames += len(scores)
            yield unpacked(scores)
            if self.reason:
                return


def _score_missing(
    scorer: FrameScorer,
    missing: list[RecordingSpan],
    store: ScoreStore,
    options: DetectOptions,
    engine: Engine,
    n_spans: int,
) -> _Broken:
    """Score the spans that are missing. What breaks off is given back, and tried again later."""
    broken: _Broken = {}
    if not missing:
        return broken
    lengths = [(span.last - span.first) * scorer.grid.frame for _, span in missing]
    done = n_spans - len(missing)
    label = f"detect ({done} of {n_spans} parts are there)" if done else "detect"
    with (
        closing(_scores(scorer, missing, sum(lengths), options, engine)) as found,
        bar(math.ceil(sum(lengths) / 60), label, "min of audio") as shown,
    ):
        scored_s = 0.0
        for length, (recording, span), (scores, reason) in zip(
            lengths, missing, found, strict=True
        ):
            place = recording.identity, span.number
            if reason:
                broken[place] = scores, reason
            else:
                store.put(*place, scores)
            scored_s += length
            shown.update(math.ceil(scored_s / 60) - shown.n)
    return broken


def _scores(
    scorer: FrameScorer,
    missing: list[RecordingSpan],
    duration: float,
    options: DetectOptions,
    engine: Engine,
) -> Generator[SpanScores, None, None]:
    """By threads, by processes where there is much to do, or on a cluster."""
    if scorer.device.type == "cpu":
        engine = engine_for(engine, round(duration), WORTH_PROCESSES, options.workers)
    if engine.in_threads:
        yield from score_spans(scorer, missing, workers=options.workers)
    else:
        yield from score_spans_on_cluster(engine, scorer, missing, options)


def _key(scorer: FrameScorer) -> str:
    """What scores depend on: the model, and the grid that they are on."""
    grid = scorer.grid
    return digest(
        _VERSION,
        model_key(scorer.model),
        grid.n_window,
        grid.n_hop,
        grid.n_frame,
        scorer.with_frames,
    )


TABLE, HOURS, CLIPS = "events.csv", "hours.csv", "clips.csv"
COLUMNS_OF_EVENTS = (
    "file",
    "start_time",
    "end_time",
    "label",
    "score",
    "mean_score",
    "recorded_at",
    "site",
)
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
    with placed(options.output) as folder:
        result = _run(model, dataclasses.replace(options, output=folder))
        files = tuple(
            options.output / file.relative_to(folder) if file.is_relative_to(folder) else file
            for file in result.files
        )
    return dataclasses.replace(result, files=files)


def _run(model: SoundModel, options: DetectOptions) -> DetectResult:
    with RunFolder(options.output, "detect", options, free=_FREE) as run:
        result = _detect_with(model, options, run.path("scores"))
        if options.save_clips is not None:
            result = dataclasses.replace(result, clips=_save_clips(options.save_clips, result))
        run.path("bad_files.csv").unlink(missing_ok=True)  # of the run before this
        if result.failures:
            run.add_bad_files(result.failures)
        files = [_write_events(run.path(TABLE), result)] if CSV in options.format else []
        hours = by_hour(result.events, result.durations, result.origins)
        files += _write_hours(run.path(HOURS), result, hours)
        if options.save_clips is not None:
            files.append(options.save_clips / CLIPS)
        files += _write_others(run, result, options)
        truth = None if options.truth is None else compare_with_labels(result, options.truth)
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


def _write_events(path: Path, result: DetectResult) -> Path:
    """The events as CSV, a row each, in the order of recordings and time."""
    events = result.events
    rows = zip(
        events.file,
        events.start_time,
        events.end_time,
        events.label,
        events.score,
        result.mean_scores,
        strict=True,
    )
    clips = [[clip] for clip in result.clips] or [[] for _ in range(len(events))]
    write_csv(
        path,
        [*COLUMNS_OF_EVENTS, *(["clip"] if result.clips else [])],
        [
            [
                file,
                f"{start:.3f}",
                f"{end:.3f}",
                label,
                f"{score:.4f}",
                f"{mean:.4f}",
                *_origin(result, str(file), float(start)),
                *clip,
            ]
            for (file, start, end, label, score, mean), clip in zip(rows, clips, strict=True)
        ],
    )
    return path


def _origin(result: DetectResult, file: str, start: float) -> tuple[str, str]:
    """When an event began, by the recorder's clock, and where."""
    origin = result.origins.get(file, RecordingOrigin())
    moment = origin.moment(start)
    return ("" if moment is None else moment.isoformat(timespec="seconds"), origin.site)


def _write_hours(path: Path, result: DetectResult, hours: list[HourRow]) -> list[Path]:
    """Events of each class by site and hour of the day; nothing where no time is known."""
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


def _save_clips(folder: Path, result: DetectResult) -> tuple[str, ...]:
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
        moment = result.origins.get(str(file), RecordingOrigin()).moment(float(start))
        try:
            sound, rate = read(str(file), start_time=first, end_time=last)
            names.append(write_clip(folder, number, str(label), moment, sound, rate).name)
        except AudioError as error:
            _log.warning("the sound of an event in '%s' was not saved: %s", file, error.reason)
            names.append("")
    saved = [
        [
            name,
            str(events.label[i]),
            f"{events.score[i]:.4f}",
            str(events.file[i]),
            f"{events.start_time[i]:.3f}",
            f"{events.end_time[i]:.3f}",
            *_origin(result, str(events.file[i]), float(events.start_time[i])),
        ]
        for i, name in enumerate(names)
        if name
    ]
    columns = ["clip", "label", "score", "recording", "start_time", "end_time"]
    write_csv(folder / CLIPS, [*columns, "recorded_at", "site"], saved)
    return tuple(names)
