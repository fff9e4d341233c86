"""Long recordings with known events, and training sets for them, from short labelled clips.

The material of ``detect_long.py``. Of each clip the longest stretch without a gap is one event;
events are mixed at random times into a synthetic quiet background. A recording's background comes
from one place, and so do the minutes of background that a training may hear, at another time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from long_recording import Sound, compose

from semisonic.audio.write import write
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.events import Events
from semisonic.data.synth.mixing import mix, synthetic_backgrounds

RATE = 16_000
WINDOW = 2.0
QUIET_SECONDS = 300.0


def write_recording(
    path: Path,
    sounds: Sequence[Sound],
    draw: int,
    *,
    seconds: float,
    snr_db: tuple[float, float],
) -> Events:
    """Mix sounds into a long recording, in random order with random pauses; the true events."""
    wave, events = compose(
        sounds,
        synthetic_backgrounds(draw, seconds, RATE),
        RATE,
        file=path.as_posix(),
        snr_db=snr_db,
        rng=generator(draw, "recording"),
    )
    write(path, wave, RATE, overload="scale")
    return events


def write_training(
    folder: Path, clips: Clips, sounds: Sequence[Sound], draw: int, kind: str
) -> Path:
    """A folder of windows to train from, of the clips that the sounds were cut from.

    ``clean``: each sound alone, which the front end fills up with silence. ``placed+background``:
    each sound in two windows of background, at random times and levels, and a class
    ``background`` of quiet windows. ``clean+background``: the first, with such a class.
    """
    quiet = synthetic_backgrounds(draw, QUIET_SECONDS, RATE, take=1)
    if kind == "placed+background":
        place = folder.with_name("background")
        write(place / "quiet.wav", quiet, RATE)
        mix(
            clips[[sound.row for sound in sounds]],
            folder,
            background=place,
            window=WINDOW,
            copies=2,
            snr_db=(0.0, 25.0),
            background_windows=300,
            sample_rate=RATE,
            seed=draw,
            workers=1,
        )
        return folder
    n_window = round(WINDOW * RATE)
    for i, sound in enumerate(sounds):
        peak = max(float(np.abs(sound.wave).max()), 1e-9)
        write(folder / sound.labels[0] / f"{i:04d}.wav", 0.5 * sound.wave[:n_window] / peak, RATE)
    if kind == "clean+background":
        rng = generator(draw, "training", kind)
        for i in range(150):
            at = int(rng.integers(len(quiet) - n_window))
            write(folder / "background" / f"{i:04d}.wav", quiet[at : at + n_window], RATE)
    return folder
