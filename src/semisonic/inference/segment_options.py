"""How clips are cut into segments, and how segments vote."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.options import option

MEAN, MAJORITY = "mean", "majority"
VOTINGS = (MEAN, MAJORITY)
CLASS_WISE, PITCH, STRETCH, EITHER = "class-wise", "pitch", "stretch", "pitch-or-stretch"
WHITE, PINK = "white", "pink"
COPIES = (CLASS_WISE, PITCH, STRETCH, EITHER, WHITE, PINK)


@dataclass(frozen=True)
class SegmentOptions:
    """How clips are cut into segments of the front end's duration, and how segments vote."""

    hop: float = option(
        0.0, "from the start of a segment to that of the next; 0: segments do not overlap",
        unit="s", minimum=0.0,
    )  # fmt: skip
    rest: bool = option(
        True, "give the rest of a clip a last segment that ends where the clip ends"
    )
    silence_db: float | None = option(
        None, "mean level of a segment at or below which it is left out, unless its clip holds "
        "nothing louder; all are kept if not given", unit="dB", maximum=0.0,
    )  # fmt: skip
    voting: str = option(
        MEAN, "answer for a clip: mean of its segments' probabilities, or their majority",
        choices=VOTINGS,
    )  # fmt: skip
    copies: tuple[str, ...] = option(
        (), "changed copies of each training clip, one for each name: class-wise (delay, pitch and "
        "stretch within Piczak's limits of its class), pitch (up to 4 semitones), stretch (0.8 to "
        "1.2), pitch-or-stretch (one of them), white or pink (noise at 10 to 17 dB)",
        choices=COPIES,
    )  # fmt: skip
