"""``listen``: events from the microphone, standard input, a stream or a file, as they happen."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import is_silent
from semisonic.audio.live import (
    LiveBlock,
    LiveGap,
    LiveSource,
    Microphone,
    Pipe,
    Playback,
    Reconnecting,
)
from semisonic.classifier.live.actions import ClipSaver, EventCommand
from semisonic.classifier.live.realtime import Capture, Ended, LiveCounts, Pace, StreamClock
from semisonic.classifier.live.scorer import (
    ENDED,
    GAP,
    START,
    STOPPED,
    LiveEvent,
    LiveScorer,
    LiveTracker,
    WindowScores,
    stamp,
)
from semisonic.classifier.model_file import open_model
from semisonic.classifier.use_options import EventOptions
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.options import check
from semisonic.models.sound_model import SoundModel

STANDARD_INPUT = Path("-")


def open_source(
    input: Path | None = None,  # noqa: A002
    *,
    device_name: str | None = None,
    format: str | None = None,  # noqa: A002
    rate: int | None = None,
    channels: int = 1,
    speed: float = 1.0,
    began: str = "",
) -> LiveSource:
    """The microphone, standard input or a file; a microphone is asked again when it is lost.

    Parameters
    ----------
    input : Path, optional
        A file, or "-" for standard input; the microphone by default.
    device_name, format, rate, channels, speed, began
        Options of ``semisonic listen``. Each but the default is refused where it has no meaning.

    Raises
    ------
    OptionError
        When an option has no meaning for this source, or one is missing.
    AudioError
        When there is no such microphone or file.
    """
    given = {
        "device_name": device_name is not None,
        "format": format is not None,
        "rate": rate is not None,
        "channels": channels != 1,
        "speed": speed != 1.0,
        "began": bool(began),
    }
    source, refused = {
        None: ("the microphone", ("format", "speed", "began")),
        STANDARD_INPUT: ("standard input", ("device_name",)),
    }.get(input, ("a file", ("device_name", "format", "rate", "channels")))
    for name in refused:
        if given[name]:
            raise OptionError(f"option '{name}': it means nothing for {source}")
    if input is None:
        return Reconnecting(Microphone(device_name, rate, channels))
    if input != STANDARD_INPUT:
        return Playback(input, speed)
    if rate is None:
        raise OptionError(
            "option 'rate': raw samples from standard input do not say their sampling rate; "
            "give it, such as --rate 16000"
        )
    if sys.stdin is None:  # closed by who started us
        raise AudioError("standard input", "it is closed")
    if sys.stdin.isatty():
        raise OptionError(
            "option 'input': standard input is a terminal; pipe samples into the command, such "
            "as arecord -t raw -f S16_LE -r 16000 | semisonic listen MODEL --input - --rate 16000"
        )
    return Pipe(
        sys.stdin.fileno(), rate, format=format or "s16le", n_channels=channels, speed=speed
    )


def _began_at(began: str) -> datetime | None:
    """The date of the first sample, None if not given; without a zone it is local.

    Raises
    ------
    OptionError
        When it is no date.
    """
    if not began:
        return None
    try:
        moment = datetime.fromisoformat(began)
    except ValueError:
        raise OptionError(
            f"option 'began': found '{began}', expected a date and time such as "
            "2026-05-01T04:30:00+02:00"
        ) from None
    return moment if moment.tzinfo else moment.astimezone()


STALLED_AFTER = 5.0
"""Seconds without a block after which a live source counts as stalled and events end."""

SILENT_AFTER = 30.0
"""Seconds of digital silence after which a warning is given."""

STATUS_EVERY = 10.0
"""Seconds between two lines of status."""

_log = logging.getLogger(__name__)
AnyPath = str | PathLike[str]


def listen(
    model: SoundModel | AnyPath,
    source: LiveSource | AnyPath,
    options: EventOptions | None = None,
    *,
    began: datetime | None = None,
    max_lag: float = 2.0,
    on_scores: Callable[[WindowScores, datetime], None] | None = None,
    save_clips: Path | None = None,
    device: str = "cpu",
) -> Listening:
    """Name sounds as they are heard::

        for event in semisonic.listen("runs/model", semisonic.Microphone()):
            print(event.label, event.kind, event.score)

    Parameters
    ----------
    model : SoundModel or path
    source : LiveSource or path
        A microphone, a pipe, a file that is played, or anything of your own that gives blocks;
        a path is a file that is taken as fast as possible.
    options : EventOptions, optional
        When events begin and end; as for :func:`semisonic.detect`.
    began : datetime, optional
        Date of the first sample; by default that of its capture.
    max_lag : float
        Latency in seconds from which on windows of a live source are skipped, and counted.
    on_scores : callable, optional
        Is given each window and the date of its end.
    save_clips : Path, optional
        Folder for the sound of each event.
    device : str

    Returns
    -------
    Listening
        An iterator over events.

    Raises
    ------
    OptionError
        When an option is wrong or the model has no such class.
    ModelError, AudioError
        When the model or the file cannot be opened; while iterating, when the source fails.
    """
    opened = model if isinstance(model, SoundModel) else open_model(model)
    live = Playback(source, speed=0.0) if isinstance(source, str | PathLike) else source
    events = options or EventOptions()
    return Listening(opened, live, events, began, max_lag, on_scores, save_clips, device)


class Listening:
    """An iterator over the events of a live source (see :func:`listen`).

    Attributes
    ----------
    meter : LiveCounts
        What was done so far.
    saver : ClipSaver or None
    """

    def __init__(
        self,
        model: SoundModel,
        source: LiveSource,
        options: EventOptions,
        began: datetime | None,
        max_lag: float,
        on_scores: Callable[[WindowScores, datetime], None] | None,
        save_clips: Path | None,
        device: str,
    ) -> None:
        check(options)
        self._source, self._on_scores = source, on_scores
        self._scorer = LiveScorer(model, source.sample_rate, options, device=device)
        self._tracker = LiveTracker(self._scorer.frames, options)
        hop = self._scorer.frames.grid.hop
        self._clock = StreamClock(source.speed, began)
        self._pace = Pace(self._clock, source.speed, hop, max_lag)
        self.meter = LiveCounts(hop, source.speed)
        self.saver: ClipSaver | None = None
        if save_clips is not None:
            memory = model.mel.duration + 2 * hop + options.merge_gap + options.min_duration
            self.saver = ClipSaver(save_clips, source.sample_rate, memory)
        self._start_of: dict[int, tuple[float, datetime]] = {}  # of events that are open
        self._last_captured: float | None = None
        self._in_gap = False
        self._silent_since: float | None = 0.0
        self._events = self._run()

    def __iter__(self) -> Iterator[LiveEvent]:
        return self

    def __next__(self) -> LiveEvent:
        return next(self._events)

    def stop(self) -> list[LiveEvent]:
        """Listen no more; the ends of the events that were open."""
        self._events.close()
        return list(self._dated(self._tracker.finish(STOPPED, self._scorer.position)))

    def _run(self) -> Generator[LiveEvent, None, None]:
        self._scorer.warm_up()
        capture = Capture(self._source)
        capture.start()
        status_at = time.monotonic() + STATUS_EVERY
        try:
            while True:
                item = capture.get(STALLED_AFTER)
                if isinstance(item, Ended):
                    yield from self._end(ENDED)
                    if item.error is not None:
                        raise item.error
                    return
                if isinstance(item, LiveBlock):
                    yield from self._take(item)
                elif isinstance(item, LiveGap):
                    yield from self._miss(item)
                elif self._source.speed:
                    yield from self._stall()
                if time.monotonic() >= status_at:
                    status_at = time.monotonic() + STATUS_EVERY
                    _log.info("%s", self.meter.summary())
        finally:
            capture.stop()

    def _take(self, block: LiveBlock) -> Iterator[LiveEvent]:
        if not len(block.samples):
            return
        seconds = len(block.samples) / self._source.sample_rate
        self._bridge(block.captured - seconds / (self._source.speed or 1.0))
        if not np.isfinite(block.samples).all():
            yield from self._miss(LiveGap(seconds, "samples that are NaN or infinite"))
            self._last_captured = block.captured
            return
        self._in_gap, self._last_captured = False, block.captured
        start = self._scorer.position
        self._clock.anchor(start + seconds, block.captured)
        self._pace.watch(seconds, block.captured)
        if self.saver is not None:
            self.saver.add(start, block.samples)
        self._watch_for_silence(start, start + seconds, block.samples)
        self.meter.seconds += seconds
        began = time.perf_counter()
        windows = self._scorer.push(block.samples, self._pace.wants)
        yield from self._dated(self._track(windows, began))

    def _bridge(self, resumed: float) -> None:
        """Let the stream's time go on over a stall of unknown length that ends now."""
        if self._in_gap and self._source.speed and self._last_captured is not None:
            missing = (resumed - self._last_captured) * self._source.speed
            if missing > 0:
                self._scorer.skip(missing)
                self.meter.gap_seconds += missing

    def _miss(self, gap: LiveGap) -> Iterator[LiveEvent]:
        """Go over missing sound: events end, and the average begins anew."""
        if not self._in_gap:
            self.meter.n_gaps += 1
            _log.warning("gap at %.1f s: %s", self._scorer.position, gap.reason)
        yield from self._end(GAP)
        self._in_gap = True
        if gap.seconds:
            self._scorer.skip(gap.seconds)
            self.meter.gap_seconds += gap.seconds
            if self._last_captured is not None and self._source.speed:
                self._last_captured += gap.seconds / self._source.speed

    def _stall(self) -> Iterator[LiveEvent]:
        if not self._in_gap:
            yield from self._miss(LiveGap(0.0, f"nothing came for {STALLED_AFTER:g} s"))

    def _end(self, reason: str) -> Iterator[LiveEvent]:
        began = time.perf_counter()
        windows = self._scorer.finish(self._pace.wants)
        events = self._track(windows, began)
        yield from self._dated([*events, *self._tracker.finish(reason, self._scorer.position)])

    def _track(self, windows: list[WindowScores], began: float) -> list[LiveEvent]:
        latencies = [self._clock.lag(window.end_time) for window in windows]
        events = [event for window in windows for event in self._tracker.push(window)]
        busy = time.perf_counter() - began
        self.meter.busy_seconds += busy
        self.meter.n_skipped = self._pace.n_skipped
        self.meter.scored(latencies, busy)
        if self._on_scores is not None:
            for window in windows:
                self._on_scores(window, self._clock.at(window.end_time))
        return events

    def _dated(self, events: Iterable[LiveEvent]) -> Iterator[LiveEvent]:
        """The events with dates, and with files where sounds are saved."""
        for event in events:
            if event.kind == START:
                self.meter.n_events += 1
                start_at = self._clock.at(event.start_time)
                self._start_of[event.id] = event.start_time, start_at
            elif event.id in self._start_of:
                known_time, known_at = self._start_of.pop(event.id)
                later = self._clock.at(event.start_time) - self._clock.at(known_time)
                start_at = known_at + later
            else:
                continue  # stopped before its start was reported
            end_at = None if event.end_time is None else self._clock.at(event.end_time)
            dated = replace(event, emitted_at=self._clock.now(), start_at=start_at, end_at=end_at)
            yield dated if self.saver is None else self.saver.note(dated)

    def _watch_for_silence(self, start: float, end: float, samples: NDArray[np.float32]) -> None:
        """Warn of digital silence, once until there is sound again."""
        if not is_silent(samples):
            self._silent_since = end
        elif self._silent_since is not None and end - self._silent_since >= SILENT_AFTER:
            self._silent_since = None
            _log.warning(
                "%s: digital silence for %g s; is it muted?", self._source.name, SILENT_AFTER
            )


Write = Callable[[str], None]


def listen_to(
    model: Path,
    source: LiveSource,
    write: Write,
    note: Write,
    *,
    events: EventOptions,
    began: str = "",
    scores: bool = False,
    on_event: str = "",
    on_event_timeout: float = 10.0,
    save_clips: Path | None = None,
    max_lag: float = 2.0,
    device: str = "auto",
) -> tuple[bool, int]:
    """Listen until the stream ends or a person stops it.

    Parameters
    ----------
    write : callable
        Is given each line of the answer, which is JSON.
    note : callable
        Is given the summary at the end, however it ended.
    events, began, scores, on_event, on_event_timeout, save_clips, max_lag, device
        Options of ``semisonic listen``.

    Returns
    -------
    was_stopped : bool
        By a person or the system, rather than by the end of the stream.
    n_failed : int
        Commands that failed or were left out, and clips that could not be saved.

    Raises
    ------
    OptionError
        When an option is wrong.
    ModelError, AudioError
        When the model cannot be opened, or the source fails for good.
    """
    moment, network = _began_at(began), open_model(model)
    command = EventCommand(on_event, on_event_timeout) if on_event else None

    def write_scores(window: WindowScores, at: datetime) -> None:
        pairs = zip(network.classes, window.scores.tolist(), strict=True)
        line = {
            "event": "scores",
            "time": stamp(at),
            "start_time": round(window.start_time, 3),
            "end_time": round(window.end_time, 3),
            "silent": window.is_silent,
            "scores": {name: round(score, 4) for name, score in pairs},
        }
        write(json.dumps(line, ensure_ascii=False))

    listening = listen(
        network,
        source,
        events,
        began=moment,
        max_lag=max_lag,
        on_scores=write_scores if scores else None,
        save_clips=save_clips,
        device=device,
    )

    def emit(found: Iterable[LiveEvent]) -> None:
        for event in found:
            if command is not None:
                command.call(event)
            write(event.to_json())

    was_stopped = False
    try:
        emit(listening)
    except KeyboardInterrupt:
        was_stopped = True
        emit(listening.stop())
    finally:
        listening.stop()
        if command is not None:
            command.close()
        note("\n".join([listening.meter.summary(), *([command.summary()] if command else [])]))
    n_failed = 0 if listening.saver is None else listening.saver.n_failed
    if command is not None:
        n_failed += command.n_failed + command.n_left_out
    return was_stopped, n_failed
