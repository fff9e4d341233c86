"""How well found events are the true ones, second by second: segment-based scores.

Mesaros, Heittola and Virtanen (2016), "Metrics for polyphonic sound event detection": time is
cut into segments of one length; a class is active in a segment when an event of it overlaps it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.data.events import POSITIVE, Events
from semisonic.evaluation.events import EventCounts, EventScores

SEGMENT = 1.0
_EDGE = 1e-6  # of a segment: an event that ends where a segment begins does not overlap it


def score_segments(true: Events, found: Events, *, segment: float = SEGMENT) -> EventScores:
    """Count active segments instead of events.

    Parameters
    ----------
    true, found : Events
        Their files must have the same names. Only positive events count.
    segment : float
        Length of a segment, s.

    Returns
    -------
    EventScores
        ``n_true``, ``n_found`` and ``n_matched`` are segments; there are no errors of times.

    Raises
    ------
    OptionError
        For a length of 0 or less.
    """
    if not segment > 0:
        raise OptionError(f"option 'segment': found {segment:g} s, expected more than 0 s")
    true, found = true[true.presence == POSITIVE], found[found.presence == POSITIVE]
    by_class = {}
    for label in sorted({*true.label.tolist(), *found.label.tolist()}):
        a = _active(true[true.label == label], segment)
        b = _active(found[found.label == label], segment)
        by_class[label] = EventCounts(len(a), len(b), len(a & b))
    counts = by_class.values()
    overall = EventCounts(
        sum(one.n_true for one in counts),
        sum(one.n_found for one in counts),
        sum(one.n_matched for one in counts),
    )
    return EventScores(overall, by_class)


def _active(events: Events, segment: float) -> set[tuple[str, int]]:
    """The segments that some events of one class overlap."""
    first: NDArray[np.int64] = np.floor(events.start_time / segment + _EDGE).astype(np.int64)
    last: NDArray[np.int64] = np.ceil(events.end_time / segment - _EDGE).astype(np.int64)
    return {
        (str(file), number)
        for file, a, b in zip(events.file, first.tolist(), last.tolist(), strict=True)
        for number in range(a, max(b, a + 1))
    }
