"""Samples to scores of windows, as they come. No thread and no clock: a server may use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import MIN_DURATION, is_silent
from semisonic.audio.live import LiveResampler
from semisonic.base.errors import AudioError, OptionError
from semisonic.features import make_extractor
from semisonic.inference.detecting.hearing import Listener
from semisonic.inference.event_options import EventOptions
from semisonic.inference.pipeline import features_of_wave
from semisonic.inference.windowing import WindowCutter
from semisonic.models import SoundModel

Wanted = Callable[[float], bool]


@dataclass(frozen=True)
class WindowScores:
    """One window of a stream.

    Attributes
    ----------
    start_time, end_time : float
        Seconds since the stream began.
    scores : ndarray of float64, shape (n_classes,)
        Probabilities.
    is_silent : bool
        Whether there was nothing to hear: a peak below -80 dB of full scale.
    along : ndarray of float64, shape (n_points, n_classes), or None
        Scores along the window's time, where the network has them.
    """

    start_time: float
    end_time: float
    scores: NDArray[np.float64]
    is_silent: bool
    along: NDArray[np.float64] | None = None


class LiveScorer:
    """Scores the windows of a stream of samples.

    Windows have the model's clip length and start every ``hop``, and take the very steps of
    :func:`semisonic.predict` and :func:`semisonic.detect`: the scores are the same.

    Parameters
    ----------
    model : SoundModel
        Moved to ``device``.
    sample_rate : int
        Of the samples that will be pushed, Hz.
    options : EventOptions, optional
        ``hop``, seconds from window to window, and ``times`` are read.

    Attributes
    ----------
    listener : Listener
        The model, and the grid of the windows.
    position : float
        Seconds of the stream so far, gaps included.
    n_skipped : int
        Windows that nobody wanted.
    """

    def __init__(
        self,
        model: SoundModel,
        sample_rate: int,
        options: EventOptions | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        how = options or EventOptions()
        self.listener = Listener(model, how.hop, how.times, device)
        self._mel = model.mel
        self._extractor = make_extractor(model.mel)
        self._rate_in, rate = int(sample_rate), model.mel.sample_rate
        self._resampler = LiveResampler(sample_rate, rate)
        self._cutter = WindowCutter(model.mel.n_samples, self.listener.grid.n_hop)
        self._began = 0.0  # stream seconds of the segment's first sample
        self._n_in = 0  # samples pushed since then
        self.n_skipped = 0

    @property
    def position(self) -> float:
        """Seconds of the stream so far."""
        return self._began + self._n_in / self._rate_in

    def warm_up(self) -> None:
        """Score silence once: a network's first call takes far longer than the others."""
        self._score([(0, np.zeros(self._mel.n_samples, np.float32))])

    def push(
        self, samples: NDArray[np.float32], wanted: Wanted | None = None
    ) -> list[WindowScores]:
        """Score the windows that end within these samples.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            They follow those before; any number.
        wanted : callable, optional
            Is given the end of each window (stream seconds); false leaves the window out.

        Raises
        ------
        AudioError
            For samples that are NaN or infinite; nothing of them is taken.
        """
        samples = np.asarray(samples, np.float32)
        if not np.isfinite(samples).all():
            raise AudioError("stream", f"NaN or infinite samples at {self.position:.2f} s")
        self._n_in += len(samples)
        return self._score(self._wanted(self._cutter.push(self._resampler.push(samples)), wanted))

    def finish(self, wanted: Wanted | None = None) -> list[WindowScores]:
        """Score what is left, as at the end of a file; what comes next is a new stretch."""
        rest = self._cutter.push(self._resampler.finish())
        waves = self._wanted(rest, wanted)
        waves += self._wanted(self._cutter.finish(), wanted)
        windows = self._score(waves)
        self._began, self._n_in = self.position, 0
        return windows

    def skip(self, seconds: float) -> None:
        """Let the stream's time go on without sound; call :meth:`finish` before."""
        if self._n_in:
            raise OptionError("skip: a stretch of sound is open; call finish first")
        self._began += seconds

    def _wanted(
        self, cut: Iterable[tuple[int, NDArray[np.float32]]], wanted: Wanted | None
    ) -> list[tuple[int, NDArray[np.float32]]]:
        """The windows to be scored, those too short to hold a sound left out."""
        rate, kept = self._mel.sample_rate, []
        for start, wave in cut:
            if len(wave) < MIN_DURATION * rate:
                continue
            if wanted is None or wanted(self._began + (start + len(wave)) / rate):
                kept.append((start, wave))
            else:
                self.n_skipped += 1
        return kept

    def _score(self, waves: list[tuple[int, NDArray[np.float32]]]) -> list[WindowScores]:
        if not waves:
            return []
        features = np.stack(
            [features_of_wave(wave, self._mel, self._extractor) for _, wave in waves]
        )
        whole, along = self.listener.scores(features)
        rate = self._mel.sample_rate
        return [
            WindowScores(
                self._began + start / rate,
                self._began + (start + len(wave)) / rate,
                whole[row],
                is_silent(wave),
                None if along is None else along[row],
            )
            for row, (start, wave) in enumerate(waves)
        ]
