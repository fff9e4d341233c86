"""A minute of sound with known events, made of clips that a model was not trained on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.write import write
from semisonic.core.errors import AudioError
from semisonic.core.files import write_csv
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.synth.mixing import LEVEL, add_sound, find_event, synthetic_backgrounds

SECONDS = 60.0
_MOST_EVENTS = 10
_LONGEST = 2.5
"""Seconds of a sound, so that pauses are left between them."""
_SNR_DB = (15.0, 25.0)


def write_minute(clips: Clips, folder: Path, sample_rate: int, seed: int) -> tuple[Path, Path]:
    """Mix clips into a quiet background, with pauses between them.

    Parameters
    ----------
    clips : Clips
        With one label each. Classes take turns; the longest segment of sound of a clip is used.
    folder : Path
    sample_rate : int
        Hz.
    seed : int

    Returns
    -------
    recording, table : Path
        The recording, and its events as ``file,start_time,end_time,label``; no rows if all clips
        are silent.
    """
    rng = generator(seed, "a minute of sound")
    wave = synthetic_backgrounds(seed, SECONDS, sample_rate, place="a minute of sound")
    by_class: dict[str, list[int]] = {}
    for row in rng.permutation(len(clips)).tolist():
        by_class.setdefault(clips.labels[row][0], []).append(row)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_class.values()))
    sounds: list[tuple[str, NDArray[np.float32]]] = []
    for row in turns:
        if row is None or len(sounds) == _MOST_EVENTS:
            continue
        try:
            sound = clips.read(row, sample_rate)
        except AudioError:
            continue
        found = find_event(sound, sample_rate)
        if found is not None:
            first, end = found
            end = min(end, first + round(_LONGEST * sample_rate))
            sounds.append((clips.labels[row][0], sound[first:end]))
    rows, slot = [], len(wave) // max(1, len(sounds))
    for i, (label, sound) in enumerate(sounds):
        at = i * slot + int(rng.integers(max(1, slot - len(sound) - slot // 6))) + slot // 12
        place = add_sound(wave, sound, at, rng.uniform(*_SNR_DB), LEVEL, sample_rate)
        if place is not None:
            times = [round(n / sample_rate, 3) for n in place]
            rows.append(["minute.wav", *times, label])
    folder.mkdir(parents=True, exist_ok=True)
    recording, table = folder / "minute.wav", folder / "minute.csv"
    write(recording, wave, sample_rate, overload="scale")
    write_csv(table, ["file", "start_time", "end_time", "label"], rows)
    return recording, table
