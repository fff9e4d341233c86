"""Random numbers of an augmentation in words."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Say = Callable[[float], str]


def in_words(drawn: dict[str, Tensor], seconds_per_step: float) -> str:
    """What was drawn for the first row.

    Parameters
    ----------
    drawn : mapping of str to Tensor
        As ``draw`` of an augmentation gives them.
    seconds_per_step : float
        Of a frame, or of a sample.
    """
    said: dict[str, Say] = {
        "shift": lambda v: f"{v * seconds_per_step:+.2f} s",
        "factor": lambda v: f"{v:.2f} times as fast",
        "semitones": lambda v: f"{v:+.1f} semitones",
        "gain_db": lambda v: f"{v:+.1f} dB",
        "snr_db": lambda v: f"{v:.1f} dB above it",
        "cut": lambda v: f"{v * seconds_per_step:.1f} s",
        "cut_bands": lambda v: f"{v:.1f} bands cut away",
    }
    parts = [say(float(drawn[name].flatten()[0])) for name, say in said.items() if name in drawn]
    if (points := drawn.get("point_db")) is not None:
        parts.append(", ".join(f"{v:+.0f}" for v in points[0].tolist()) + " dB, low to high")
    return ", ".join(parts).replace("-", "−")
