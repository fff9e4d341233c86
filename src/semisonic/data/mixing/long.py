"""A long recording with known sounds in it, to measure a detector by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.data.events import Events
from semisonic.data.mixing.adding import add_sound, rms
from semisonic.data.mixing.cutting import Cut

Wave = NDArray[np.float32]
_MARGIN = 0.5
"""Seconds without a sound at both ends."""


@dataclass(frozen=True, eq=False)
class Composed:
    """A recording, samples of shape (n,), and what is heard in it when."""

    wave: Wave
    events: Events


def compose(
    sounds: Sequence[Cut],
    background: Wave,
    sample_rate: int,
    *,
    file: str,
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> Composed:
    """Put sounds into a background, in random order with random pauses; none overlap.

    Parameters
    ----------
    sounds : sequence of Cut
        One of several labels gives an event for each.
    background : ndarray of float32, shape (n,)
        As long as the recording is to be; it is not changed.
    sample_rate : int
        Hz, of all of them.
    file : str
        What the recording is called in the events.
    snr_db : (float, float)
        Lowest and highest level of a sound over that of the whole background, dB.
    rng : numpy.random.Generator

    Raises
    ------
    OptionError
        When the sounds are longer than the recording.
    """
    wave, level = background.astype(np.float32), rms(background)
    margin = round(_MARGIN * sample_rate)
    free = len(wave) - 2 * margin - sum(len(sound.wave) for sound in sounds)
    if free < 0 or level <= 0:
        raise OptionError(
            f"background: found {len(wave) / sample_rate:g} s at a level of {level:g}, expected "
            f"sound, and {-free / sample_rate:.1f} s more for {len(sounds)} sounds"
        )
    pauses = np.sort(rng.integers(0, free + 1, len(sounds)))
    rows, heard = [], 0
    for pause, i in zip(pauses.tolist(), rng.permutation(len(sounds)).tolist(), strict=True):
        sound = sounds[i]
        at = margin + pause + heard
        heard += len(sound.wave)
        snr = float(rng.uniform(*snr_db))
        if add_sound(wave, sound.wave, at, snr, level, sample_rate) is None:
            continue  # silence is no event
        times = {"start_time": at / sample_rate, "end_time": (at + len(sound.wave)) / sample_rate}
        rows += [{"file": file, "label": label, **times} for label in sound.labels]
    return Composed(wave, Events.from_rows(rows))
