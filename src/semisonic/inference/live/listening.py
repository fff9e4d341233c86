"""A model that listens to a source: one loop from blocks of sound to events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import is_silent
from semisonic.audio.live import Block, Gap, LiveSource, Playback
from semisonic.base.options import check
from semisonic.inference.event_options import EventOptions
from semisonic.inference.live.capture import Capture, Ended
from semisonic.inference.live.clock import StreamClock
from semisonic.inference.live.events import ENDED, GAP, START, STOPPED, LiveEvent
from semisonic.inference.live.meter import Meter
from semisonic.inference.live.pace import Pace
from semisonic.inference.live.saving import ClipSaver
from semisonic.inference.live.scorer import LiveScorer, WindowScores
from semisonic.inference.live.tracker import LiveTracker
from semisonic.inference.modelfile import open_model
from semisonic.models import SoundModel

STALLED_AFTER = 5.0
"""Seconds without a block after which a live source counts as stalled and events end."""

SILENT_AFTER = 30.0
"""Seconds of digital silence after which it is said."""

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
    heard = Playback(source, speed=0.0) if isinstance(source, str | PathLike) else source
    return Listening(
        opened, heard, options or EventOptions(), began=began, max_lag=max_lag,
        on_scores=on_scores, save_clips=save_clips, device=device,
    )  # fmt: skip


class Listening:
    """An iterator over the events of a live source (see :func:`listen`).

    Attributes
    ----------
    meter : Meter
        What was done so far.
    saver : ClipSaver or None
    """

    def __init__(
        self,
        model: SoundModel,
        source: LiveSource,
        options: EventOptions,
        *,
        began: datetime | None = None,
        max_lag: float = 2.0,
        on_scores: Callable[[WindowScores, datetime], None] | None = None,
        save_clips: Path | None = None,
        device: str = "cpu",
    ) -> None:
        check(options)
        self._source, self._on_scores = source, on_scores
        self._scorer = LiveScorer(model, source.sample_rate, options, device=device)
        self._tracker = LiveTracker(self._scorer.listener, options)
        hop = self._scorer.listener.grid.hop
        self._clock = StreamClock(source.speed, began)
        self._pace = Pace(self._clock, source.speed, hop, max_lag)
        self.meter = Meter(hop, source.speed)
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
                if isinstance(item, Block):
                    yield from self._hear(item)
                elif isinstance(item, Gap):
                    yield from self._miss(item)
                elif self._source.speed:
                    yield from self._stall()
                if time.monotonic() >= status_at:
                    status_at = time.monotonic() + STATUS_EVERY
                    _log.info("%s", self.meter.summary())
        finally:
            capture.stop()

    def _hear(self, block: Block) -> Iterator[LiveEvent]:
        if not len(block.samples):
            return
        seconds = len(block.samples) / self._source.sample_rate
        self._bridge(block.captured - seconds / (self._source.speed or 1.0))
        if not np.isfinite(block.samples).all():
            yield from self._miss(Gap(seconds, "samples that are NaN or infinite"))
            self._last_captured = block.captured
            return
        self._in_gap, self._last_captured = False, block.captured
        start = self._scorer.position
        self._clock.anchor(start + seconds, block.captured)
        self._pace.watch(seconds, block.captured)
        if self.saver is not None:
            self.saver.hear(start, block.samples)
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

    def _miss(self, gap: Gap) -> Iterator[LiveEvent]:
        """Go over missing sound: events end, the mean forgets."""
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
            yield from self._miss(Gap(0.0, f"nothing came for {STALLED_AFTER:g} s"))

    def _end(self, reason: str) -> Iterator[LiveEvent]:
        began = time.perf_counter()
        windows = self._scorer.finish(self._pace.wants)
        said = self._track(windows, began)
        yield from self._dated([*said, *self._tracker.finish(reason, self._scorer.position)])

    def _track(self, windows: list[WindowScores], began: float) -> list[LiveEvent]:
        latencies = [self._clock.lag(window.end_time) for window in windows]
        said = [event for window in windows for event in self._tracker.push(window)]
        busy = time.perf_counter() - began
        self.meter.busy_seconds += busy
        self.meter.n_skipped = self._pace.n_skipped
        self.meter.scored(latencies, busy)
        if self._on_scores is not None:
            for window in windows:
                self._on_scores(window, self._clock.at(window.end_time))
        return said

    def _dated(self, said: Iterable[LiveEvent]) -> Iterator[LiveEvent]:
        """The events with dates, and with files where sounds are saved."""
        for event in said:
            if event.kind == START:
                self.meter.n_events += 1
                start_at = self._clock.at(event.start_time)
                self._start_of[event.id] = event.start_time, start_at
            elif event.id in self._start_of:
                said_time, said_at = self._start_of.pop(event.id)
                later = self._clock.at(event.start_time) - self._clock.at(said_time)
                start_at = said_at + later
            else:
                continue  # stopped before its start was said
            end_at = None if event.end_time is None else self._clock.at(event.end_time)
            dated = replace(event, said_at=self._clock.now(), start_at=start_at, end_at=end_at)
            yield dated if self.saver is None else self.saver.note(dated)

    def _watch_for_silence(self, start: float, end: float, samples: NDArray[np.float32]) -> None:
        """Say once, until sound is back, that there is nothing but digital silence."""
        if not is_silent(samples):
            self._silent_since = end
        elif self._silent_since is not None and end - self._silent_since >= SILENT_AFTER:
            self._silent_since = None
            _log.warning(
                "%s: digital silence for %g s; is it muted?", self._source.name, SILENT_AFTER
            )
