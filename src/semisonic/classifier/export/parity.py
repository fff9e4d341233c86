"""Whether an exported file computes what the model computes, on the same sounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from semisonic.audio.read import read_blocks
from semisonic.audio.resample import fit_length
from semisonic.classifier.export.module import EMBEDDINGS, LEVELS, SCORES, Runner
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.use_options import AUDIO
from semisonic.classifier.windows import cut_stream, features_of_wave
from semisonic.core.errors import AudioError, ModelError
from semisonic.core.progress import track
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.sample_store import as_stored, full_scale
from semisonic.evaluation.metrics import lwlrap
from semisonic.features.frontend import make_extractor
from semisonic.features.options import WAVE, MelOptions
from semisonic.models.sound_model import SoundModel

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class ParitySound:
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
class WindowSample:
    """Clips of a folder or table; those that cannot be read are listed in ``failures``."""

    clips: Clips
    mel: MelOptions
    classes: Sequence[str]
    failures: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, mel: MelOptions, classes: Sequence[str], labels: str) -> WindowSample:
        """Those that a path names."""
        return cls(load_clips(path, labels=labels), mel, classes)

    def sounds(self, label: str) -> Iterator[ParitySound]:
        """All of them, one after the other, whole."""
        number = {name: i for i, name in enumerate(self.classes)}
        for row in track(range(len(self.clips)), label, "clip"):
            found = self._windows(row)
            names = self.clips.labels[row]
            known = all(name in number for name in names)
            if found:
                yield ParitySound(np.stack(found), tuple(number[n] for n in names) if known else ())

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
                clips.root / str(clips.file[row]),
                block_time=self.mel.duration,
                sample_rate=rate,
                start_time=float(clips.start_time[row]),
                end_time=None if np.isnan(end) else float(end),
            )
            for _, wave in cut_stream(blocks, n, n):
                found.append(fit_length(wave, n))
                if len(found) == most:
                    break
        except AudioError as error:
            self.failures.append((clips.ids[row], error.reason))
            return []
        return found


def synthetic_sounds(mel: MelOptions) -> list[ParitySound]:
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
        0.1 * hiss,
        0.002 * hiss,
        0.5 * walk + 0.003 * hiss,
        0.4 * chirp + 0.003 * hiss,
        clicks + 0.002 * hiss,
        1.4 * tone + 0.01 * hiss,
        short,
        np.zeros(n),
    )
    return [ParitySound(np.asarray(sound, np.float32)[None]) for sound in sounds]


MOST_DB = 0.05
AUDIBLE_DB = 70.0
"""Cells further below the loudest of their frame hold the rounding of float32, not the sound."""

MOST_SAMPLE = 2.0**-15
"""For networks that hear samples: one step of 16 bits."""

MOST_SCORE = 1e-3
MOST_EMBEDDING = 1e-2
"""Share of the largest value. Features are rounded to float16 before they are embedded, and a
cell that falls on the other side of a step is 0.06 dB away."""

LEAST_AGREEMENT = 0.85
MOST_MEAN_SCORE = 0.05
"""For eight bits: share of sounds with the same best class, and mean distance of scores."""


@dataclass(frozen=True)
class Parity:
    """How far the file is from the model.

    Attributes
    ----------
    n_sounds : int
    scores, mean_scores : float
        Largest and mean absolute difference over sounds and classes.
    agreement : float
        Share of sounds with the same best class, 0 to 1.
    features : float or None
        Largest difference in dB of cells up to 70 dB below the loudest of their frame (for
        networks of waves: of samples). None where the file takes features.
    embeddings : float or None
        Largest difference as a share of the largest value.
    quality : (float, float) or None
        Accuracy of the model and of the file, 0 to 1, on sounds with labels (of several labels
        a sound: lwlrap).
    n_labelled : int
    """

    n_sounds: int
    scores: float
    mean_scores: float
    agreement: float
    features: float | None = None
    embeddings: float | None = None
    quality: tuple[float, float] | None = None
    n_labelled: int = 0

    def faults(self, *, waves: bool, int8: bool) -> list[str]:
        """What is too far; empty if the file may be kept."""
        if int8:
            rules = [
                ("share of the same best class", -self.agreement, -LEAST_AGREEMENT),
                ("mean distance of scores", self.mean_scores, MOST_MEAN_SCORE),
            ]
        else:
            unit, most = ("", MOST_SAMPLE) if waves else (" in dB", MOST_DB)
            rules = [
                ("scores", self.scores, MOST_SCORE),
                (f"features{unit}", self.features or 0.0, most),
                ("embeddings", self.embeddings or 0.0, MOST_EMBEDDING),
            ]
        return [
            f"{name}: found {abs(found):.3g}, expected at {'least' if most < 0 else 'most'} "
            f"{abs(most):.3g}"
            for name, found, most in rules
            if not found <= most  # so that NaN is a fault
        ]


class ParityCheck:
    """Compares a file with its model on sounds.

    Parameters
    ----------
    model : SoundModel
        On the CPU.
    kind : {"audio", "features"}
        What the file takes.
    """

    def __init__(self, model: SoundModel, kind: str) -> None:
        self.model, self.kind = model, kind
        self.extractor = make_extractor(model.mel)

    def run(
        self, file: Runner, sounds: Iterable[ParitySound], levels: Runner | None = None
    ) -> Parity:
        """Let both hear the sounds.

        Parameters
        ----------
        file : Runner
            Gives scores, and embeddings if it has them.
        sounds : iterable of Heard
        levels : Runner, optional
            The same file with its features as an output; they are not compared without.
        """
        ours, theirs, apart, far, labels = [], [], [0.0], [0.0], []
        has_embeddings = False
        for sound in sounds:
            features = np.stack([self._features(wave) for wave in sound.waves])
            rows = np.arange(len(features))
            found = file(sound.waves if self.kind == AUDIO else features)
            ours.append(score_rows(self.model, features, rows).mean(axis=0))
            theirs.append(found[SCORES].mean(axis=0, dtype=np.float64))
            labels.append(sound.labels)
            if EMBEDDINGS in found:
                has_embeddings = True
                exact = embed_rows(self.model, features, rows)
                far.append(float(np.abs(found[EMBEDDINGS] - exact).max() / np.abs(exact).max()))
            if levels is not None:
                for wave, level in zip(sound.waves, levels(sound.waves)[LEVELS], strict=True):
                    apart.append(self._apart(wave, level))
        if not ours:
            raise ModelError("found no sound to compare the file on; give --check-on other ones")
        return _summary(
            np.stack(ours),
            np.stack(theirs),
            labels,
            features=None if levels is None else float(np.max(apart)),
            embeddings=float(np.max(far)) if has_embeddings else None,
            multi_label=self.model.multi_label,
        )

    def _features(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return features_of_wave(wave, self.model.mel, self.extractor)

    def _apart(self, wave: NDArray[np.float32], found: NDArray[np.float32]) -> float:
        """How far the file's features of a window are from ours, before ours are rounded."""
        scale = max(1.0, full_scale(wave))
        exact = self.extractor(as_stored(wave, scale))
        difference = np.abs(found - exact)
        if self.model.mel.input != WAVE:
            difference = difference[_audible(exact)]
        return float(difference.max(initial=0.0))


def _audible(level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells of (channel, mel, frame) that hold sound; deltas where all that they look at does."""
    heard: NDArray[np.bool_] = level[:1] >= level[:1].max(axis=1, keepdims=True) - AUDIBLE_DB
    if len(level) == 1:
        return heard
    around = minimum_filter1d(heard.astype(np.uint8), 17, axis=2, mode="nearest")
    return np.concatenate((heard, around.astype(bool)))


def _summary(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    labels: list[tuple[int, ...]],
    *,
    features: float | None,
    embeddings: float | None,
    multi_label: bool,
) -> Parity:
    """The comparison of scores (sound, class), with what was found of features and embeddings."""
    difference = np.abs(ours - theirs)
    same = np.asarray(ours.argmax(axis=1) == theirs.argmax(axis=1))
    known = np.array([len(row) > 0 for row in labels])
    quality = None
    if known.any():
        truth = [row for row in labels if row]
        quality = (
            _quality(ours[known], truth, multi_label),
            _quality(theirs[known], truth, multi_label),
        )
    return Parity(
        len(ours),
        float(difference.max()),
        float(difference.mean()),
        float(same.mean()),
        features,
        embeddings,
        quality,
        int(known.sum()),
    )


def _quality(
    scores: NDArray[np.float64], labels: list[tuple[int, ...]], multi_label: bool
) -> float:
    if not multi_label:
        return float(np.mean(scores.argmax(axis=1) == [row[0] for row in labels]))
    hot = np.zeros(scores.shape)
    for number, row in enumerate(labels):
        hot[number, list(row)] = 1.0
    return lwlrap(hot, scores)
