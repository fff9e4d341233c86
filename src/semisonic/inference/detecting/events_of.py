"""The events of one recording, from scores that come part by part."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.detecting.finding import EventFinder, Found
from semisonic.inference.detecting.hearing import Listener
from semisonic.inference.detecting.options import (
    EDGE_OF_FRAMES,
    EDGE_OF_WINDOWS,
    DetectOptions,
)
from semisonic.inference.thresholds import event_classes, thresholds_for

_CLOSE = 1e-6  # of a frame


@dataclass(frozen=True)
class Rules:
    """What is an event, of each class that counts.

    Attributes
    ----------
    columns : tuple of int
    labels : tuple of str
    thresholds : ndarray of float64, shape (n,)
    edge : float
        Share of an event's largest score at its ends.
    gap, shortest : int
        Frames.
    frame : float
        Seconds.
    """

    columns: tuple[int, ...]
    labels: tuple[str, ...]
    thresholds: NDArray[np.float64]
    edge: float
    gap: int
    shortest: int
    frame: float

    @classmethod
    def of(cls, listener: Listener, options: DetectOptions) -> Rules:
        """The rules that the options ask for.

        Raises
        ------
        OptionError
            For an unknown class, or when no class is left.
        """
        model = listener.model
        wanted = event_classes(model, options.classes, options.background)
        labels = tuple(dict.fromkeys(wanted))
        columns = tuple(model.classes.index(name) for name in labels)
        thresholds = thresholds_for(model, options.threshold)[list(columns)]
        edge = options.edge
        if edge is None:
            edge = EDGE_OF_FRAMES if listener.with_frames else EDGE_OF_WINDOWS
        frame = listener.grid.frame
        return cls(
            columns, labels, thresholds, edge,
            gap=int(options.merge_gap / frame + _CLOSE),
            shortest=max(1, math.ceil(options.min_duration / frame - _CLOSE)),
            frame=frame,
        )  # fmt: skip

    def events(self, parts: Iterable[NDArray[np.float64]]) -> list[Found]:
        """The events of a recording whose scores come part by part, in the order of time."""
        finders = [
            EventFinder(column, float(threshold), self.edge, self.gap, self.shortest)
            for column, threshold in zip(self.columns, self.thresholds, strict=True)
        ]
        found: list[Found] = []
        for scores in parts:
            for finder in finders:
                found += finder.feed(scores[:, finder.column])
        for finder in finders:
            found += finder.finish()
        return sorted(found, key=lambda one: (one.first, one.last, one.column))
