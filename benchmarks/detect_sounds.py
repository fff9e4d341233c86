"""Long recordings with known events, and training sets for them, from short labelled clips.

The material of ``detect_long.py``. Of each clip the longest stretch without a gap is one event;
events are mixed at random times into a made-up quiet background. A recording's background comes
from one place, and so do the minutes of background that a training may hear, at another time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio import read
from semisonic.base.errors import AudioError
from semisonic.base.seeds import generator
from semisonic.data import Clips
from semisonic.data.events import Events
from semisonic.data.synth.backgrounds import background

RATE = 16_000
WINDOW = 2.0
LEVEL = 0.01  # of a background, full scale 1: -40 dB
LONGEST, SHORTEST = 4.0, 0.3
_FRAME = 160
_GAP = 0.4
Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """One event's samples, its class, and the clip it was cut from."""

    wave: Wave
    label: str
    clip: str


def cut_event(wave: Wave) -> Wave | None:
    """The longest stretch without a gap of 0.4 s, if it is 0.3 to 4 s long."""
    n = len(wave) // _FRAME
    level = np.square(wave[: n * _FRAME].reshape(n, _FRAME)).mean(axis=1)
    loud = np.flatnonzero(level > level.max() * 10**-2.5) if n and level.any() else []
    if not len(loud):
        return None
    breaks = np.flatnonzero(np.diff(loud) > _GAP * RATE / _FRAME)
    starts = loud[np.r_[0, breaks + 1]]
    ends = loud[np.r_[breaks, len(loud) - 1]] + 1
    best = int(np.argmax(ends - starts))
    event = wave[starts[best] * _FRAME : ends[best] * _FRAME]
    return event if SHORTEST * RATE <= len(event) <= LONGEST * RATE else None


def cut_events(clips: Clips) -> list[Sound]:
    """One event of each clip that has a suitable one."""
    found = []
    for path, labels, clip in zip(clips.paths, clips.labels, clips.ids, strict=True):
        try:
            event = cut_event(read(path, sample_rate=RATE)[0])
        except AudioError:
            continue
        if event is not None:
            found.append(Sound(event, labels[0], clip))
    return found


def place(draw: int, take: int, seconds: float) -> Wave:
    """Quiet background of the place of a draw; each take is another time there."""
    minute, n = 60 * RATE, round(seconds * RATE)
    parts = [
        background(generator(draw, "place"), generator(draw, "take", take, i), minute, RATE)
        for i in range(-(-n // minute))
    ]
    return (LEVEL * np.concatenate(parts)[:n]).astype(np.float32)


def add(wave: Wave, sound: Wave, at: int, snr_db: float) -> None:
    """Mix a sound into a background, so many dB above it, with soft ends of 10 ms."""
    n = min(len(sound), len(wave) - at)
    fade = np.minimum(1.0, np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / _FRAME)
    gain = LEVEL * 10 ** (snr_db / 20) / max(float(np.sqrt(np.square(sound).mean())), 1e-9)
    wave[at : at + n] += (gain * fade * sound[:n]).astype(np.float32)


def write_recording(
    path: Path, sounds: list[Sound], draw: int, *, seconds: float, snr_db: tuple[float, float]
) -> Events:
    """Mix sounds into a long recording, in random order with random pauses; the true events."""
    rng = generator(draw, "recording")
    wave = place(draw, 0, seconds)
    free = seconds - sum(len(s.wave) for s in sounds) / RATE - 1.0
    pauses = np.sort(rng.uniform(0, free, len(sounds)))
    rows, heard = [], 0.0
    for pause, i in zip(pauses, rng.permutation(len(sounds)), strict=True):
        sound = sounds[i]
        at = round((pause + heard + 0.5) * RATE)
        add(wave, sound.wave, at, rng.uniform(*snr_db))
        heard += len(sound.wave) / RATE
        end = at + len(sound.wave)
        rows.append({"file": path.as_posix(), "start_time": at / RATE, "end_time": end / RATE,
                     "label": sound.label})  # fmt: skip
    sf.write(path, np.clip(wave, -1, 1), RATE)
    return Events.from_rows(rows)


def write_training(
    folder: Path, sounds: list[Sound], draw: int, kind: str, *, copies: int = 2
) -> Path:
    """A folder of class folders.

    ``clean``: each sound alone, which the front end fills up with silence. ``placed``: each sound
    in two windows of background, at random times and levels. With ``+background`` there is a
    class ``background`` of quiet windows as well.
    """
    rng = generator(draw, "training", kind)
    n_window = round(WINDOW * RATE)
    quiet = place(draw, 1, 300.0)

    def window() -> Wave:
        at = int(rng.integers(len(quiet) - n_window))
        return quiet[at : at + n_window].copy()

    def write(label: str, name: str, wave: Wave) -> None:
        (folder / label).mkdir(parents=True, exist_ok=True)
        sf.write(folder / label / f"{name}.wav", np.clip(wave, -1, 1), RATE)

    for i, sound in enumerate(sounds):
        if kind.startswith("clean"):
            peak = max(float(np.abs(sound.wave).max()), 1e-9)
            write(sound.label, f"{i:04d}", 0.5 * sound.wave[:n_window] / peak)
            continue
        for copy in range(copies):
            wave = window()
            more = len(sound.wave) - n_window
            part = sound.wave[int(rng.integers(more)) :][:n_window] if more > 0 else sound.wave
            half = len(part) // 2
            at = int(rng.integers(-min(half, n_window // 4), n_window - half))
            add(wave, part[max(0, -at) :], max(0, at), rng.uniform(0, 25))
            write(sound.label, f"{i:04d}-{copy}", wave)
    if kind.endswith("background"):
        for i in range(150 if kind.startswith("clean") else 300):
            write("background", f"{i:04d}", window())
    return folder
