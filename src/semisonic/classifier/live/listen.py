"""``listen``: events from the microphone, standard input, a stream or a file, as they happen."""

from __future__ import annotations

import json
import logging
import math
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import is_silent
from semisonic.audio.live import (
    BLOCK_TIME,
    LiveBlock,
    LiveGap,
    LiveSource,
    Microphone,
    Pipe,
    Playback,
    Reconnecting,
)
from semisonic.classifier.live.actions import ClipSaver, EventCommand
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
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.options import check
from semisonic.core.parallel import hand_over
from semisonic.core.text import count_text
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
    """The microphone, standard input or a file; a lost microphone is opened again.

    Parameters
    ----------
    input : Path, optional
        A file, or "-" for standard input; the microphone by default.
    device_name, format, rate, channels, speed, began
        Options of ``semisonic listen``. Options without effect for the source are refused.

    Raises
    ------
    OptionError
        If an option has no effect for this source, or one is missing.
    AudioError
        If the microphone or file does not exist.
    """
    refused: dict[str, object]
    if input is None:
        source = "the microphone"
        refused = {"format": format, "speed": speed != 1.0, "began": began}
    elif input == STANDARD_INPUT:
        source, refused = "standard input", {"device_name": device_name}
    else:
        source = "a file"
        refused = {"device_name": device_name, "format": format, "rate": rate}
        refused["channels"] = channels != 1
    for name, given in refused.items():
        if given:
            raise OptionError(f"option '{name}': has no effect for {source}; leave it out")
    if input is None:
        return Reconnecting(Microphone(device_name, rate, channels))
    if input != STANDARD_INPUT:
        return Playback(input, speed)
    if rate is None:
        raise OptionError(
            "option 'rate' is missing: raw samples from standard input need a sample rate, such "
            "as --rate 16000"
        )
    if sys.stdin is None:  # closed by who started us
        raise AudioError("standard input", "it is closed")
    if sys.stdin.isatty():
        raise OptionError(
            "option 'input': standard input is a terminal, expected samples; pipe them into the "
            "command, as in arecord -t raw -f S16_LE -r 16000 | semisonic listen MODEL --input "
            "- --rate 16000"
        )
    stream, kind = sys.stdin.fileno(), format or "s16le"
    return Pipe(stream, rate, format=kind, n_channels=channels, speed=speed)


STALLED_AFTER = 5.0
"""Seconds without a block after which a live source counts as stalled and events end."""

SILENT_AFTER = 30.0
"""Seconds of digital silence after which a warning is given."""

STATUS_EVERY = 10.0
"""Seconds between two status lines, or two warnings about slowness."""

WAITING_SECONDS = 30.0
"""Seconds of sound that may wait before the source must wait (or drop sound)."""

_BLOCKS_IF_FAST = 4

_log = logging.getLogger(__name__)
AnyPath = str | PathLike[str]


class StreamClock:
    """Tells when each moment of a stream was captured, and which windows are too late.

    Parameters
    ----------
    speed : float
        Speed of the source: seconds of sound per second. With 0, there is no capture time; dates
        are counted from ``began`` in real time, and every window is scored.
    hop, max_lag : float
        Seconds.
    began : datetime, optional
        Time of the first sample; by default the time of its capture (with speed 0: now).
    """

    def __init__(self, speed: float, hop: float, max_lag: float, began: datetime | None) -> None:
        self._speed, self._hop, self._max_lag = speed, hop, max_lag
        self._began = _now() if began is None and not speed else began
        self._is_behind, self._warned_at = False, -math.inf
        self.anchor(0.0, time.monotonic())

    def anchor(self, position: float, captured: float) -> None:
        """Record when a second of the stream was captured, by ``time.monotonic``."""
        # The distance of the two clocks is taken anew each time: the one on the wall is set.
        self._known, self._captured = position, captured
        self._distance = time.time() - time.monotonic()

    def lag(self, position: float) -> float:
        """Seconds since a second of the stream was captured; exact near the last block."""
        ago = (self._known - position) / (self._speed or 1.0)
        return time.monotonic() - self._captured + ago

    def at(self, position: float) -> datetime:
        """The date and time of a second of the stream."""
        if self._began is None:
            ago = (self._known - position) / self._speed
            return _date(self._captured - ago + self._distance)
        return _date(self._began.timestamp() + position).astimezone(self._began.tzinfo)

    def wants(self, end_time: float) -> bool:
        """Whether to score the window that ends here; with a long lag, only the newest one."""
        if not self._speed:
            return True
        lag = self.lag(end_time)
        # Down to the newest window, but never below what blocks and filters cost anyway.
        most = max(self._hop, self._max_lag / 2) if self._is_behind else self._max_lag
        self._is_behind = lag > most
        if self._is_behind and time.monotonic() >= self._warned_at + STATUS_EVERY:
            self._warned_at = time.monotonic()
            _log.warning(
                "slower than real time: %.1f s behind, windows are skipped; give a longer --hop "
                "or use a smaller network; for stored sound, give --speed 0",
                lag,
            )
        return not self._is_behind


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone()


def _now() -> datetime:
    return _date(time.time())


def _capture(
    source: LiveSource, patience: float
) -> Generator[LiveBlock | LiveGap | BaseException | None, None, None]:
    """Blocks read in a separate thread, while earlier blocks are scored.

    Yields
    ------
    LiveBlock, LiveGap, BaseException or None
        None if no block came for ``patience`` seconds. An error of the source is the last item.
        Closing the generator closes a device, if it wakes up within a second.
    """
    n_waiting = math.ceil(WAITING_SECONDS / BLOCK_TIME) if source.speed else _BLOCKS_IF_FAST
    waiting: queue.Queue[LiveBlock | LiveGap | BaseException | None] = queue.Queue(n_waiting)
    stopped = threading.Event()

    def work() -> None:
        last: BaseException | None = None
        try:
            with closing(source.blocks()) as blocks:  # type: ignore[type-var]
                for item in blocks:
                    if not hand_over(waiting, item, stopped):
                        return
        except BaseException as error:  # raised by the thread that takes the blocks
            last = error
        hand_over(waiting, last, stopped)

    # A daemon: nothing can wake a thread that waits for standard input.
    thread = threading.Thread(target=work, name="capture", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = waiting.get(timeout=patience)
            except queue.Empty:
                yield None
                continue
            if item is None:
                return
            yield item
            if isinstance(item, BaseException):
                return
    finally:
        stopped.set()
        thread.join(1.0)


KEPT = 10_000
"""Number of windows whose times are kept for medians: more than an hour at a hop of 0.5 s."""


@dataclass
class LiveCounts:
    """Counts of a live run.

    Attributes
    ----------
    hop, speed : float
        Seconds from window to window; speed of the source.
    seconds, busy_seconds : float
        Seconds of sound, without gaps, and of work on it: resampling, features, scores.
    n_windows, n_skipped, n_events : int
        Windows scored; windows skipped because scoring was slower than real time; events begun.
    n_gaps, gap_seconds : int, float
        Gaps between blocks, and their length, if known.
    latencies, processing : deque of float
        For the latest windows: seconds from the capture of the last sample to the scores, and
        seconds of work per window.
    """

    hop: float
    speed: float = 1.0
    seconds: float = 0.0
    busy_seconds: float = 0.0
    n_windows: int = 0
    n_skipped: int = 0
    n_events: int = 0
    n_gaps: int = 0
    gap_seconds: float = 0.0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    processing: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def real_time_factor(self) -> float:
        """Work for a second of sound; above 1, scoring cannot keep up."""
        return self.busy_seconds / self.seconds if self.seconds else 0.0

    def summary(self) -> str:
        """The text for a terminal, in a few lines."""
        lines = [
            f"heard {self.seconds:.1f} s: {count_text(self.n_windows, 'window')} scored, "
            f"{self.n_skipped} skipped, {count_text(self.n_events, 'event')}"
        ]
        if self.n_windows and self.speed:
            middle, high = 1000 * np.quantile(self.latencies, [0.5, 0.95])
            lines.append(
                f"latency from capture to score: median {middle:.0f} ms, 95 % {high:.0f} ms, "
                f"longest {1000 * max(self.latencies):.0f} ms"
            )
        if self.n_windows:
            work = float(np.median(self.processing))
            lines.append(
                f"work: {1000 * work:.1f} ms per window, {100 * work / self.hop:.1f} % of the "
                f"hop of {self.hop:g} s; real-time factor {self.real_time_factor:.3g}"
            )
        if self.n_gaps:
            lines.append(f"{self.n_gaps} gaps, {self.gap_seconds:.1f} s without sound")
        return "\n".join(lines)


class Listening:
    """Detect sounds live; an iterator over events::

        for event in semisonic.listen("runs/model", semisonic.Microphone()):
            print(event.label, event.kind, event.score)

    Parameters
    ----------
    model : SoundModel or path
    source : LiveSource or path
        A microphone, a pipe, a file that is played, or your own source of blocks; a path is a file
        that is read as fast as possible.
    options : EventOptions, optional
        When events begin and end; as for :func:`semisonic.detect`.
    began : datetime, optional
        Date of the first sample; by default that of its capture.
    max_lag : float
        Latency in seconds above which windows of a live source are skipped and counted.
    on_scores : callable, optional
        Called with each window and the date of its end.
    save_clips : Path, optional
        Folder for the sound of each event.
    device : str

    Attributes
    ----------
    meter : LiveCounts
        Counts so far.
    saver : ClipSaver or None

    Raises
    ------
    OptionError
        If an option is wrong or the model does not have a class.
    ModelError, AudioError
        If the model or the file cannot be opened; while iterating, if the source fails.
    """

    def __init__(
        self,
        model: SoundModel | AnyPath,
        source: LiveSource | AnyPath,
        options: EventOptions | None = None,
        *,
        began: datetime | None = None,
        max_lag: float = 2.0,
        on_scores: Callable[[WindowScores, datetime], None] | None = None,
        save_clips: Path | None = None,
        device: str = "cpu",
    ) -> None:
        options = check(options or EventOptions())
        opened = model if isinstance(model, SoundModel) else open_model(model)
        live = Playback(source, speed=0.0) if isinstance(source, str | PathLike) else source
        self._source, self._on_scores = live, on_scores
        self._scorer = LiveScorer(opened, live.sample_rate, options, device=device)
        self._tracker = LiveTracker(self._scorer.frames, options)
        hop = self._scorer.frames.grid.hop
        self._clock = StreamClock(live.speed, hop, max_lag, began)
        self.meter = LiveCounts(hop, live.speed)
        self.saver: ClipSaver | None = None
        if save_clips is not None:
            memory = opened.mel.duration + 2 * hop + options.merge_gap + options.min_duration
            self.saver = ClipSaver(save_clips, live.sample_rate, memory)
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
        """Stop listening; return the ends of the open events."""
        self._events.close()
        return list(self._dated(self._tracker.finish(STOPPED, self._scorer.position)))

    def _run(self) -> Generator[LiveEvent, None, None]:
        self._scorer.warm_up()
        status_at = time.monotonic() + STATUS_EVERY
        error: BaseException | None = None
        with closing(_capture(self._source, STALLED_AFTER)) as items:
            for item in items:
                if isinstance(item, LiveBlock):
                    yield from self._take(item)
                elif isinstance(item, LiveGap):
                    yield from self._miss(item)
                elif item is not None:
                    error = item
                elif self._source.speed and not self._in_gap:
                    yield from self._miss(LiveGap(0.0, f"no sound came for {STALLED_AFTER:g} s"))
                if time.monotonic() >= status_at:
                    status_at = time.monotonic() + STATUS_EVERY
                    _log.info("%s", self.meter.summary())
            yield from self._end(ENDED)
            if error is not None:
                raise error

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
        if self.saver is not None:
            self.saver.add(start, block.samples)
        self._watch_for_silence(start, start + seconds, block.samples)
        self.meter.seconds += seconds
        began = time.perf_counter()
        windows = self._scorer.push(block.samples, self._clock.wants)
        yield from self._track(windows, began)

    def _bridge(self, resumed: float) -> None:
        """Advance the stream's time over a stall of unknown length that ends now."""
        if self._in_gap and self._source.speed and self._last_captured is not None:
            missing = (resumed - self._last_captured) * self._source.speed
            if missing > 0:
                self._scorer.skip(missing)
                self.meter.gap_seconds += missing

    def _miss(self, gap: LiveGap) -> Iterator[LiveEvent]:
        """Skip missing sound: events end, and the average starts again."""
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

    def _end(self, reason: str) -> Iterator[LiveEvent]:
        began = time.perf_counter()
        yield from self._track(self._scorer.finish(self._clock.wants), began)
        yield from self._dated(self._tracker.finish(reason, self._scorer.position))

    def _track(self, windows: list[WindowScores], began: float) -> Iterator[LiveEvent]:
        """Count windows that were scored together, and return the events that follow from them."""
        meter, busy = self.meter, time.perf_counter() - began
        meter.busy_seconds += busy
        meter.n_windows += len(windows)
        meter.n_skipped = self._scorer.n_skipped
        for window in windows:
            meter.latencies.append(self._clock.lag(window.end_time))
            meter.processing.append(busy / len(windows))
            if self._on_scores is not None:
                self._on_scores(window, self._clock.at(window.end_time))
            yield from self._dated(self._tracker.push(window))

    def _dated(self, events: Iterable[LiveEvent]) -> Iterator[LiveEvent]:
        """The events with dates, and with files where sounds are saved."""
        for event in events:
            if event.kind == START:
                self.meter.n_events += 1
                start_at = self._clock.at(event.start_time)
                self._start_of[event.id] = event.start_time, start_at
            elif event.id in self._start_of:
                known_time, start_at = self._start_of.pop(event.id)
                start_at += self._clock.at(event.start_time) - self._clock.at(known_time)
            else:
                continue  # stopped before its start was reported
            end_at = None if event.end_time is None else self._clock.at(event.end_time)
            dated = replace(event, emitted_at=_now(), start_at=start_at, end_at=end_at)
            yield dated if self.saver is None else self.saver.note(dated)

    def _watch_for_silence(self, start: float, end: float, samples: NDArray[np.float32]) -> None:
        """Warn about digital silence, once until there is sound again."""
        if not is_silent(samples):
            self._silent_since = end
        elif self._silent_since is not None and end - self._silent_since >= SILENT_AFTER:
            self._silent_since = None
            _log.warning(
                "%s: digital silence for %g s; is it muted?", self._source.name, SILENT_AFTER
            )


listen = Listening


def _recorded_at(source: Playback) -> datetime | None:
    """When a recording was made, by its name or metadata."""
    from semisonic.classifier.detection.results import recording_table

    moment: datetime | None = recording_table({source.name: 0.0}).recorded_at.iloc[0]
    return moment


def listen_to(
    model: Path,
    source: LiveSource,
    write: Callable[[str], None],
    note: Callable[[str], None],
    *,
    events: EventOptions,
    began: str = "",
    scores: bool = False,
    on_event: str = "",
    save_clips: Path | None = None,
    max_lag: float = 2.0,
    device: str = "auto",
) -> tuple[bool, int]:
    """Listen until the stream ends or is stopped.

    Parameters
    ----------
    write : callable
        Called with each line of the answer, which is JSON.
    note : callable
        Called with the summary at the end, in every case.
    events, began, scores, on_event, save_clips, max_lag, device
        Options of ``semisonic listen``.

    Returns
    -------
    was_stopped : bool
        Whether a person or the system stopped it before the end of the stream.
    n_failed : int
        Commands that failed or were left out, and clips that could not be saved.

    Raises
    ------
    OptionError
        If an option is wrong.
    ModelError, AudioError
        If the model cannot be opened, or the source fails permanently.
    """
    try:
        moment = datetime.fromisoformat(began) if began else None
    except ValueError:
        raise OptionError(
            f"option 'began': found '{began}', expected a date and time such as "
            "2026-05-01T04:30:00+02:00"
        ) from None
    if moment is None and isinstance(source, Playback) and not source.speed:
        moment = _recorded_at(source)
        if moment is None:
            note(
                f"{source.name}: neither name nor metadata give the time of recording, so the "
                "dates of 'start' and 'end' count from now; give it with --began"
            )
    if moment is not None and moment.tzinfo is None:  # it is local
        moment = moment.astimezone()
    network = open_model(model)
    command = EventCommand(on_event) if on_event else None

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

    listening = Listening(
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
    n_failed = listening.saver.n_failed if listening.saver else 0
    return was_stopped, n_failed + (command.n_failed + command.n_left_out if command else 0)
