"""Scores and events of a stream of samples while it comes.

It has no thread and no clock, so a server may use it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import MIN_DURATION, is_silent
from semisonic.audio.resample import LiveResampler
from semisonic.classifier.detection.frame_scores import FrameScorer, packed, unpacked
from semisonic.classifier.events import EventRules, EventTracker, TrackedEvent
from semisonic.classifier.options import EventOptions
from semisonic.classifier.windows import WindowCutter, features_of_wave
from semisonic.core.errors import AudioError, OptionError
from semisonic.features.frontend import make_extractor
from semisonic.models.sound_model import SoundModel

START, END = "start", "end"
QUIET, GAP, ENDED, STOPPED = "quiet", "gap", "end of stream", "stopped"
"""Why an event ended: the score fell, sound was missing, the stream ended, a person stopped it."""
TOO_SHORT = "too short"
"""Why a reported event is withdrawn: later scores were so much higher that its rest is too short.
"""


@dataclass(frozen=True)
class LiveEvent:
    """The start or the end of an event.

    Attributes
    ----------
    kind : {"start", "end"}
    id : int
        The same number for both; counts from 1.
    label : str
    start_time : float
        Seconds since the stream began. At the start, a first estimate: the end has the final time.
    score : float
        The highest score, at the start the highest so far; 0 to 1.
    threshold : float
        Threshold of the class.
    end_time : float or None
        Seconds since the stream began; None at the start.
    reason : str
        At the end: "quiet", "gap", "end of stream", "stopped", or "too short" for an event that is
        withdrawn.
    start_at, end_at, emitted_at : datetime or None
        The same two times, and the time of this line, as dates.
    clip : str
        The file of its sound.
    """

    kind: str
    id: int
    label: str
    start_time: float
    score: float
    threshold: float
    end_time: float | None = None
    reason: str = ""
    start_at: datetime | None = None
    end_at: datetime | None = None
    emitted_at: datetime | None = None
    clip: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without those that are not known."""
        values = {
            "event": self.kind,
            "id": self.id,
            "label": self.label,
            "time": self.emitted_at and stamp(self.emitted_at),
            "start": self.start_at and stamp(self.start_at),
            "start_time": round(self.start_time, 3),
            "end": self.end_at and stamp(self.end_at),
            "end_time": None if self.end_time is None else round(self.end_time, 3),
            "score": round(self.score, 4),
            "threshold": round(self.threshold, 4),
            "reason": self.reason,
            "clip": self.clip,
        }
        return {key: value for key, value in values.items() if value not in (None, "")}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def stamp(moment: datetime) -> str:
    """ISO 8601 with milliseconds and the offset from UTC."""
    return moment.isoformat(timespec="milliseconds")


WindowFilter = Callable[[float], bool]
"""Called with the end of a window, in seconds of the stream; False skips the window."""


class WindowScores(NamedTuple):
    """One window of a stream.

    Attributes
    ----------
    start_time, end_time : float
        Seconds since the stream began.
    scores : ndarray of float64, shape (n_classes,)
        Scores from 0 to 1.
    is_silent : bool
        Whether there is nothing to name: a peak below -80 dB of full scale, or only noise by the
        model's rule.
    along : ndarray of float64, shape (n_points, n_classes), or None
        Scores along the window's time, if the network has them.
    """

    start_time: float
    end_time: float
    scores: NDArray[np.float64]
    is_silent: bool
    along: NDArray[np.float64] | None = None


class LiveScorer:
    """Scores the windows of a stream of samples.

    Windows have the model's clip length, start every ``hop``, and go through the same steps as in
    :func:`semisonic.predict` and :func:`semisonic.detect`: the scores are the same.

    Parameters
    ----------
    model : SoundModel
        Moved to ``device``.
    sample_rate : int
        Of the samples that will be pushed, Hz.
    options : EventOptions, optional
        Only ``hop``, seconds from window to window, and ``times`` are used.

    Attributes
    ----------
    frames : FrameScorer
        The model, and the grid of the windows.
    position : float
        Seconds of the stream so far, including gaps.
    n_skipped : int
        Windows that were skipped.
    """

    def __init__(
        self,
        model: SoundModel,
        sample_rate: int,
        options: EventOptions | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        events = options or EventOptions()
        self.frames = FrameScorer(model, events.hop, events.times, device)
        self._mel = model.mel
        self._extractor = make_extractor(model.mel)
        self._rate_in, rate = int(sample_rate), model.mel.sample_rate
        self._resampler = LiveResampler(sample_rate, rate)
        self._cutter = WindowCutter(model.mel.n_samples, self.frames.grid.n_hop, rate)
        self._began = 0.0  # stream seconds of the segment's first sample
        self._n_in = 0  # samples pushed since then
        self.n_skipped = 0

    @property
    def position(self) -> float:
        """Seconds of the stream so far."""
        return self._began + self._n_in / self._rate_in

    def warm_up(self) -> None:
        """Score silence once: a network's first call takes far longer than the others."""
        self.frames.scores(np.zeros((1, *self._mel.shape), np.float32))

    def push(
        self, samples: NDArray[np.float32], wanted: WindowFilter | None = None
    ) -> list[WindowScores]:
        """Score the windows that end within these samples.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            The next samples of the stream; any number.
        wanted : callable, optional
            See :data:`WindowFilter`; all windows by default.

        Raises
        ------
        AudioError
            For samples that are NaN or infinite; none of the samples are used.
        """
        samples = np.asarray(samples, np.float32)
        if not np.isfinite(samples).all():
            raise AudioError("stream", f"NaN or infinite samples at {self.position:.2f} s")
        self._n_in += len(samples)
        return self._score(self._cutter.push(self._resampler.push(samples)), wanted)

    def finish(self, wanted: WindowFilter | None = None) -> list[WindowScores]:
        """Score the remaining samples, as at the end of a file; the next samples are a new
        segment.
        """
        rest = chain(self._cutter.push(self._resampler.finish()), self._cutter.finish())
        windows = self._score(rest, wanted)
        self._began, self._n_in = self.position, 0
        return windows

    def skip(self, seconds: float) -> None:
        """Advance the stream's time without sound; call :meth:`finish` before."""
        if self._n_in:
            raise OptionError("skip: a segment of sound is open; call finish first")
        self._began += seconds

    def _score(
        self, cut: Iterable[tuple[int, NDArray[np.float32]]], wanted: WindowFilter | None
    ) -> list[WindowScores]:
        """Scores of the wanted windows, without those too short to contain a sound."""
        mel, times, silent, features = self._mel, list[tuple[float, float]](), [], []
        for start, wave in cut:
            if len(wave) < MIN_DURATION * mel.sample_rate:
                continue
            end_time = self._began + (start + len(wave)) / mel.sample_rate
            if wanted is not None and not wanted(end_time):
                self.n_skipped += 1
                continue
            times.append((self._began + start / mel.sample_rate, end_time))
            silent.append(is_silent(wave))
            features.append(features_of_wave(wave, mel, self._extractor))
        if not times:
            return []
        whole, along, is_noise = self.frames.scores(np.stack(features))
        silent = (np.array(silent) | is_noise).tolist()
        return [
            WindowScores(*time, whole[row], silent[row], None if along is None else along[row])
            for row, time in enumerate(times)
        ]


class LiveTracker:
    """Tells when events begin and end in a stream.

    Events are the same as those of :func:`semisonic.detect`, as both put scores on the same grid
    and use :class:`EventTracker`. The score of a moment is final when a window starts after it, so
    an event is reported about a clip length late.

    Parameters
    ----------
    scorer : FrameScorer
        The attribute ``frames`` of a :class:`LiveScorer`.
    options : EventOptions, optional
        ``hop`` and ``times`` are those of the scorer, and not used here.
    """

    def __init__(self, scorer: FrameScorer, options: EventOptions | None = None) -> None:
        self._frames = scorer
        self._rules = EventRules.of(scorer, options or EventOptions())
        self._n_events = 0
        self._open: dict[int, int] = {}  # numbers of reported events that are open, by class
        self._origin: float | None = None  # stream seconds of the first window of the segment
        self._begin()

    def push(self, window: WindowScores) -> list[LiveEvent]:
        """Take the next window; return the starts and ends that follow from it."""
        if self._origin is None:
            self._origin = window.start_time
        start, self._end = window.start_time - self._origin, window.end_time
        scores = window.scores if window.along is None else window.along
        if window.is_silent:
            scores = np.zeros_like(scores)
        self._average.add(start, window.end_time - self._origin, scores)
        return self._follow(self._average.take(self._average.frame_of(start)))

    def finish(self, reason: str = ENDED, end_time: float | None = None) -> list[LiveEvent]:
        """End all events, at the end of the stream or at a gap; the next window is a new segment.

        Parameters
        ----------
        reason : str
            Why they end.
        end_time : float, optional
            Where the sound ends, in seconds of the stream; by default the end of the last window.
        """
        if end_time is not None and self._origin is not None:
            self._end = max(self._end, end_time)
        events = self._follow(self._average.take())
        events += self._ended(self._tracker.open(), reason)
        self._begin()
        return events

    def _begin(self) -> None:
        self._average = self._frames.average()
        self._tracker = EventTracker(self._rules)
        self._origin = None
        self._end = 0.0

    def _follow(self, scores: NDArray[np.float64]) -> list[LiveEvent]:
        over = self._tracker.push(unpacked(packed(scores)))  # as ``detect`` stores them
        events = self._ended(over, QUIET)
        for event in self._tracker.open():
            if event.column not in self._open and not event.is_short:
                events.append(self._live(START, event))
        return events

    def _ended(self, over: list[TrackedEvent], reason: str) -> list[LiveEvent]:
        events: list[LiveEvent] = []
        for event in sorted(over):
            if event.column not in self._open and not event.is_short:
                events.append(self._live(START, event))
            if event.column in self._open:
                events.append(self._live(END, event, TOO_SHORT if event.is_short else reason))
        return events

    def _live(self, kind: str, event: TrackedEvent, reason: str = "") -> LiveEvent:
        origin, frame, end = self._origin or 0.0, self._rules.frame, None
        if kind == START:
            self._n_events += 1
            number = self._open[event.column] = self._n_events
        else:
            number = self._open.pop(event.column)
            end = min(origin + event.last * frame, self._end)
        start, threshold = origin + event.first * frame, self._rules.thresholds[event.label]
        return LiveEvent(kind, number, event.label, start, event.score, threshold, end, reason)
