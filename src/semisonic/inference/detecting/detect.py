"""From a model and recordings to events: hear what was not heard yet, then find."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.files import digest
from semisonic.base.options import from_mapping
from semisonic.base.progress import bar
from semisonic.data.events import Events
from semisonic.data.outputs import refuse_url
from semisonic.engines import LOCAL, Engine, EngineOptions, open_engine, spread
from semisonic.inference.detecting.afar import hear_afar
from semisonic.inference.detecting.grid import Stretch
from semisonic.inference.detecting.hearing import Listener, hear
from semisonic.inference.detecting.options import DetectOptions
from semisonic.inference.detecting.origins import origins_of
from semisonic.inference.detecting.recordings import Recording, list_recordings
from semisonic.inference.detecting.result import DetectResult
from semisonic.inference.detecting.score_store import Scores, ScoreStore, packed, unpacked
from semisonic.inference.event_options import EventOptions
from semisonic.inference.modelfile import open_model
from semisonic.inference.tracking import EventRules
from semisonic.models import SoundModel
from semisonic.training.checkpoint import weights_digest

WORTH_PROCESSES = 7200
"""Seconds of sound from which on processes hear them sooner than threads."""

_VERSION = 2  # raise when the same model and options give other scores
_Broken = dict[tuple[str, int], tuple[Scores, str]]


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
        Of the Ray cluster: see :class:`semisonic.engines.EngineOptions`.
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
        return detect_with(opened, options, Path(output))
    with tempfile.TemporaryDirectory(prefix="semisonic-") as place:
        return detect_with(opened, options, Path(place))


def detect_with(model: SoundModel, options: DetectOptions, scores: Path) -> DetectResult:
    """The same with options; ``scores`` is the folder that scores are kept in."""
    with open_engine(options.where) as engine:
        return _detect(model, options, scores, engine)


def _detect(
    model: SoundModel, options: DetectOptions, scores: Path, engine: Engine
) -> DetectResult:
    began = time.perf_counter()
    device = options.device if engine.is_local else "cpu"  # of this process
    listener = Listener(model, options.events.hop, options.events.times, device)
    rules = EventRules.of(listener, options.events)
    recordings, failures = list_recordings(options.files, options.workers, engine)
    grid = listener.grid
    places = {one: grid.parts(one.n_samples(grid.sample_rate)) for one in recordings}
    with ScoreStore(scores, _key(listener), len(model.classes)) as store:
        missing = [
            (one, part) for one in recordings for part in places[one]
            if (one.identity, part.number) not in store
        ]  # fmt: skip
        broken = _hear(listener, missing, store, options, engine, sum(map(len, places.values())))
        rows: list[dict[str, Any]] = []
        means: list[float] = []
        durations, reasons = {}, list(failures)
        for one in recordings:
            heard = _Heard(store, broken, one, places[one])
            for row, mean in rules.rows(heard, one.file, one.duration):
                rows.append(row)
                means.append(mean)
            reached = heard.n_frames * rules.frame if heard.reason else one.duration
            durations[one.file] = min(one.duration, reached)
            if heard.reason or one.damage:
                reasons.append((one.file, heard.reason or one.damage))
    audio = sum((part.last - part.first) * rules.frame for _, part in missing)
    return DetectResult(
        Events.from_rows(rows), np.array(means, np.float64), durations, rules.labels,
        rules.thresholds, listener.with_frames, tuple(reasons), time.perf_counter() - began, audio,
        origins=origins_of(durations),
    )  # fmt: skip


class _Heard:
    """The scores of a recording, part by part, up to its end or to where it breaks off."""

    def __init__(
        self, store: ScoreStore, broken: _Broken, recording: Recording, parts: list[Stretch]
    ) -> None:
        self._store, self._broken = store, broken
        self._recording, self._parts = recording, parts
        self.n_frames, self.reason = 0, ""

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        for part in self._parts:
            place = self._recording.identity, part.number
            if place in self._broken:
                scores, self.reason = self._broken[place]
            else:
                scores = self._store.get(*place)
            self.n_frames += len(scores)
            yield unpacked(scores)
            if self.reason:
                return


def _hear(
    listener: Listener,
    missing: list[tuple[Recording, Stretch]],
    store: ScoreStore,
    options: DetectOptions,
    engine: Engine,
    n_parts: int,
) -> _Broken:
    """Score the parts that are missing. What breaks off is given back, and tried again later."""
    broken: _Broken = {}
    if not missing:
        return broken
    lengths = [(part.last - part.first) * listener.grid.frame for _, part in missing]
    done = n_parts - len(missing)
    label = f"detect ({done} of {n_parts} parts are there)" if done else "detect"
    with (
        closing(_scores(listener, missing, options, engine)) as heard,
        bar(math.ceil(sum(lengths) / 60), label, "min of audio") as shown,
    ):
        heard_s = 0.0
        for length, (recording, part), (scores, reason) in zip(
            lengths, missing, heard, strict=True
        ):
            place = recording.identity, part.number
            if reason:
                broken[place] = scores, reason
            else:
                store.put(*place, scores)
            heard_s += length
            shown.update(math.ceil(heard_s / 60) - shown.n)
    return broken


def _scores(
    listener: Listener,
    missing: list[tuple[Recording, Stretch]],
    options: DetectOptions,
    engine: Engine,
) -> Generator[tuple[Scores, str], None, None]:
    """The scores of each part, and why they end early, if they do; in the order of the parts."""
    if listener.device.type == "cpu":
        duration = sum(part.last - part.first for _, part in missing) * listener.grid.frame
        engine = spread(engine, round(duration), WORTH_PROCESSES, options.workers)
    if not engine.in_threads:
        yield from hear_afar(engine, listener, missing, options)
        return
    for heard in hear(listener, missing, workers=options.workers):
        yield packed(heard.scores), heard.reason


def _key(listener: Listener) -> str:
    """What scores depend on: weights, front end, grid."""
    model, grid = listener.model, listener.grid
    return digest(
        _VERSION, model.name, model.classes, model.multi_label, model.mel,
        weights_digest(model), model.decision.key, grid.n_window, grid.n_hop, grid.n_frame,
        listener.with_frames,
    )  # fmt: skip
