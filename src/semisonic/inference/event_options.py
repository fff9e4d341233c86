"""When a sound is an event: options of ``detect``, ``listen`` and the app. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.options import option

AUTO = "auto"
BACKGROUND = ("background", "noise", "silence", "other")
FRAMES, WINDOWS = "frames", "windows"
TIMES = (AUTO, FRAMES, WINDOWS)
EDGE_OF_FRAMES, EDGE_OF_WINDOWS = 0.6, 0.8


@dataclass(frozen=True)
class EventOptions:
    """When a sound is an event, from when to when."""

    threshold: str = option(
        AUTO,
        "score that an event must reach: a number from 0 to 1; a CSV file with the columns label "
        "and threshold; or auto, the model's own where it has some, else 0.5",
    )
    hop: float | None = option(
        None,
        "step between windows; a quarter of the model's clip length if not given",
        unit="s",
        minimum=0.001,
    )
    times: str = option(
        AUTO,
        "what times come from: frames, the network's answer along time, which is sharper; "
        "windows, its answers to whole windows; auto: frames where the network has them",
        choices=TIMES,
    )
    edge: float | None = option(
        None,
        "an event reaches as far as its score is at least this share of its largest; if not "
        "given 0.6 with frames, 0.8 with windows",
        minimum=0.05,
        maximum=1.0,
    )
    merge_gap: float = option(
        0.3, "events of a class with at most this between them are one", unit="s", minimum=0.0
    )
    min_duration: float = option(0.1, "shorter events are left out", unit="s", minimum=0.0)
    classes: tuple[str, ...] = option((), "only these classes; all but background if none given")
    background: tuple[str, ...] = option(
        BACKGROUND, "classes that are no events, as far as the model has them"
    )
