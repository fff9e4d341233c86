"""Sounds out of clips: the longest stretch that is not much quieter than the loudest moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import read
from semisonic.base.errors import AudioError
from semisonic.base.progress import track
from semisonic.data.clips import Clips
from semisonic.data.mixing.options import CutOptions

Wave = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cut:
    """One sound of a clip: samples of shape (n,), labels, the clip's row, group and fold."""

    wave: Wave
    labels: tuple[str, ...]
    row: int
    group: str
    fold: int


def find_event(wave: Wave, sample_rate: int, rules: CutOptions) -> tuple[int, int] | None:
    """The longest stretch of sound, as its first sample and the one behind its last.

    The level is taken every 10 ms. None for digital silence.
    """
    frame = max(1, round(sample_rate / 100))
    n = len(wave) // frame
    level = np.square(wave[: n * frame].reshape(n, frame), dtype=np.float64).mean(axis=1)
    if not n or not level.any():
        return None
    loud = np.flatnonzero(level >= level.max() * 10 ** (-rules.depth_db / 10))
    breaks = np.flatnonzero(np.diff(loud) > rules.gap * sample_rate / frame)
    starts = loud[np.r_[0, breaks + 1]]
    ends = loud[np.r_[breaks, len(loud) - 1]] + 1
    best = int(np.argmax(ends - starts))
    return int(starts[best]) * frame, int(ends[best]) * frame


def cut_sound(wave: Wave, sample_rate: int, rules: CutOptions) -> Wave | str:
    """What of a clip is mixed, or why nothing is."""
    if not rules.cut:
        return wave if wave.any() else "digital silence"
    found = find_event(wave, sample_rate, rules)
    if found is None:
        return "digital silence"
    first, end = found
    length = (end - first) / sample_rate
    if rules.shortest <= length <= rules.longest:
        return wave[first:end]
    return (
        f"its longest stretch of sound has {length:.2f} s, "
        f"expected {rules.shortest:g} to {rules.longest:g} s"
    )


def read_sound(clips: Clips, row: int, sample_rate: int, rules: CutOptions) -> Wave | str:
    """Decode a clip and cut its sound out.

    Raises
    ------
    AudioError
        When the clip cannot be decoded.
    """
    end = float(clips.end_time[row])
    wave, _ = read(
        clips.paths[row], sample_rate=sample_rate, start_time=float(clips.start_time[row]),
        end_time=None if np.isnan(end) else end,
    )  # fmt: skip
    return cut_sound(wave, sample_rate, rules)


def cut_sounds(
    clips: Clips, sample_rate: int, rules: CutOptions | None = None
) -> tuple[list[Cut], list[tuple[str, str]]]:
    """The sounds of labelled clips, all in memory; for a folder of windows take :func:`mix`.

    Returns
    -------
    sounds : list of Cut
        In the order of ``clips``.
    passed_over : list of (clip, reason)
        Labelled clips without a suitable sound, or that cannot be decoded.
    """
    rules = rules or CutOptions()
    sounds, passed_over = list[Cut](), list[tuple[str, str]]()
    for row in track(np.flatnonzero(clips.is_labelled).tolist(), "cut", "clip"):
        try:
            found = read_sound(clips, row, sample_rate, rules)
        except AudioError as error:
            found = error.reason
        if isinstance(found, str):
            passed_over.append((clips.ids[row], found))
            continue
        sounds.append(
            Cut(found, clips.labels[row], row, str(clips.group[row]), int(clips.fold[row]))
        )
    return sounds, passed_over
