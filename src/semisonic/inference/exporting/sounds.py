"""Sounds to try a file with: made up, or windows of given recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import fit_length, read_blocks
from semisonic.base.errors import AudioError
from semisonic.base.progress import track
from semisonic.base.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.readers import load_clips
from semisonic.features import MelOptions
from semisonic.inference.windowing import cut_stream

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """One sound in windows of the model's clip length, and its class numbers where known.

    Attributes
    ----------
    waves : ndarray of float32, shape (n_windows, n_samples)
        As decoded and resampled, a short one followed by zeros.
    labels : tuple of int
    """

    waves: Wave
    labels: tuple[int, ...] = ()


@dataclass
class Recordings:
    """Clips of a folder or table; those that cannot be read are listed in ``failures``."""

    clips: Clips
    mel: MelOptions
    classes: Sequence[str]
    failures: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, mel: MelOptions, classes: Sequence[str], labels: str) -> Recordings:
        """Those that a path names."""
        return cls(load_clips(path, labels=labels), mel, classes)

    def heard(self, label: str) -> Iterator[Heard]:
        """All of them, one after the other, whole."""
        number = {name: i for i, name in enumerate(self.classes)}
        for row in track(range(len(self.clips)), label, "clip"):
            found = self._windows(row)
            names = self.clips.labels[row]
            known = all(name in number for name in names)
            if found:
                yield Heard(np.stack(found), tuple(number[n] for n in names) if known else ())

    def windows(self, most: int) -> list[Wave]:
        """The first window of up to so many of them, spread evenly over the table."""
        rows = np.unique(np.linspace(0, len(self.clips) - 1, most).round().astype(int))
        return [found[0] for row in rows.tolist() if (found := self._windows(row, most=1))]

    def _windows(self, row: int, most: int | None = None) -> list[Wave]:
        clips, rate = self.clips, self.mel.sample_rate
        n, end = self.mel.n_samples, clips.end_time[row]
        found: list[Wave] = []
        try:
            blocks = read_blocks(
                clips.root / str(clips.file[row]), block_time=self.mel.duration, sample_rate=rate,
                start_time=float(clips.start_time[row]),
                end_time=None if np.isnan(end) else float(end),
            )  # fmt: skip
            for _, wave in cut_stream(blocks, n, n):
                found.append(fit_length(wave, n))
                if len(found) == most:
                    break
        except AudioError as error:
            self.failures.append((clips.ids[row], error.reason))
            return []
        return found


def made_up(mel: MelOptions) -> list[Heard]:
    """Eight sounds of one window each: noises, tones, clicks, silence, overload, a short one."""
    rng = generator(0, "sounds to try a file with")
    n = mel.n_samples
    time = np.arange(n) / mel.sample_rate
    top = mel.sample_rate / 2
    hiss = rng.normal(0, 1, n)
    walk = np.cumsum(rng.normal(0, 1, n))
    walk = (walk - walk.mean()) / np.abs(walk).max()
    chirp = np.sin(2 * np.pi * (0.02 * top * time + 0.3 * top * time**2 / max(mel.duration, 1e-3)))
    clicks = np.zeros(n)
    clicks[rng.integers(0, n, 12)] = rng.uniform(-0.9, 0.9, 12)
    tone = np.sin(2 * np.pi * 0.05 * top * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    short = np.where(np.arange(n) < n // 3, 0.1 * hiss, 0.0)
    sounds = (
        0.1 * hiss, 0.002 * hiss, 0.5 * walk + 0.003 * hiss, 0.4 * chirp + 0.003 * hiss,
        clicks + 0.002 * hiss, 1.4 * tone + 0.01 * hiss, short, np.zeros(n),
    )  # fmt: skip
    return [Heard(np.asarray(sound, np.float32)[None]) for sound in sounds]
