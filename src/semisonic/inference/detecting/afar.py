"""Scores of parts that are computed on a cluster: a model goes out, scores come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from semisonic.engines import Engine, in_order
from semisonic.inference.detecting.grid import Stretch
from semisonic.inference.detecting.hearing import Listener, hear
from semisonic.inference.detecting.options import DetectOptions
from semisonic.inference.detecting.recordings import Recording
from semisonic.inference.detecting.score_store import Scores, packed
from semisonic.models import SoundModel

Part = tuple[Recording, Stretch]
Heard = list[tuple[Scores, str]]
"""The scores of each part, and why they end early, if they do."""

CALL_DURATION = 300.0
"""Seconds of sound for one call; short recordings are heard together."""
CALL_PARTS = 256


def hear_afar(
    engine: Engine, listener: Listener, parts: list[Part], options: DetectOptions
) -> Iterator[tuple[Scores, str]]:
    """Scores of parts of recordings, in the order of the parts.

    Parameters
    ----------
    engine : Engine
    listener : Listener
        On the CPU, made with the same options; every worker makes one of its own.
    parts : list of (Recording, Stretch)
    options : DetectOptions
        The device "auto" is the processor.
    """
    device = "cpu" if options.device == "auto" else options.device
    make = partial(_hearer, listener.model, options.events.hop, options.events.times, device)
    with engine.calls(make, workers=options.workers, device=device) as calls:
        for heard in in_order(calls, _together(parts, listener.grid.frame)):
            yield from heard


def _hearer(
    model: SoundModel, hop: float | None, times: str, device: str
) -> Callable[[list[Part]], Heard]:
    return partial(_heard, Listener(model, hop, times, device))


def _heard(listener: Listener, parts: list[Part]) -> Heard:
    return [(packed(one.scores), one.reason) for one in hear(listener, parts, workers=1)]


def _together(parts: Iterable[Part], frame: float) -> Iterator[list[Part]]:
    """Neighbours below one folder, up to the length of a call."""
    group: list[Part] = []
    duration = 0.0
    for recording, part in parts:
        own = (part.last - part.first) * frame
        if group and (
            duration + own > CALL_DURATION
            or len(group) == CALL_PARTS
            or recording.root != group[0][0].root
        ):
            yield group
            group, duration = [], 0.0
        group.append((recording, part))
        duration += own
    if group:
        yield group
