"""A model that tells hums and sweeps from hiss, and long recordings with known events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf
from tiny_sounds import RATE, sound

from semisonic.core.seeds import generator
from semisonic.data.events import Events, make_events

EVENTS = ((3.07, 1.03, "hum"), (6.56, 0.59, "sweep"), (9.17, 1.4, "hum"), (14.31, 0.47, "sweep"))
"""Start, length and class."""


def long_wave(
    seconds: float = 20.0, events: tuple[tuple[float, float, str], ...] = EVENTS
) -> np.ndarray:
    """Hiss, and tones over it at known times."""
    wave = generator(3, "long").normal(0, 0.02, round(seconds * RATE)).astype(np.float32)
    for number, (start, length, kind) in enumerate(events):
        tone = sound(kind, 900 + number, length)
        at = round(start * RATE)
        wave[at : at + len(tone)] += tone[: len(wave) - at]
    return wave


def write_long(path: Path, seconds: float = 20.0) -> Events:
    """A recording, and the true events."""
    sf.write(path, long_wave(seconds), RATE)
    return make_events(
        {"file": str(path), "start_time": start, "end_time": start + length, "label": label}
        for start, length, label in EVENTS
        if start + length <= seconds
    )


def write_detection_kinds(folder: Path, n: int) -> Path:
    """Windows of half a second: hums and sweeps at any time over hiss, and hiss alone."""
    for kind in ("hum", "sweep", "background"):
        (folder / kind).mkdir(parents=True)
        for number in range(n):
            rng = generator(number, "window", kind)
            wave = rng.normal(0, 0.02, RATE // 2).astype(np.float32)
            if kind != "background":
                tone = sound(kind, number)
                at = int(rng.integers(-len(tone) // 2, len(tone) // 2))
                part = tone[max(0, -at) : len(tone) - max(0, at)]
                wave[max(0, at) : max(0, at) + len(part)] += part
            sf.write(folder / kind / f"{number:02d}.wav", wave, RATE)
    return folder
