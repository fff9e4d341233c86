"""Whether an exported file computes what the model computes, on the same sounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from semisonic.audio.read import read_blocks
from semisonic.audio.resample import fit_length
from semisonic.classifier.export.module import AUDIO, EMBEDDINGS, LEVELS, SCORES, Runner
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.windows import cut_stream, features_of_wave
from semisonic.core.errors import AudioError, ModelError
from semisonic.core.progress import track
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.stores import as_stored
from semisonic.evaluation.metrics import lwlrap
from semisonic.features.frontend import make_extractor
from semisonic.features.options import WAVE, MelOptions
from semisonic.models.sound_model import SoundModel

Waves = NDArray[np.float32]
Sound = tuple[Waves, tuple[int, ...]]
"""Windows of the model's clip length, shape (n_windows, n_samples), a short one followed by zeros;
and the sound's class numbers, where known."""

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


def compare(
    model: SoundModel,
    kind: str,
    file: Runner,
    sounds: Iterable[Sound],
    levels: Runner | None = None,
) -> Parity:
    """Compare a file with its model on sounds.

    Parameters
    ----------
    model : SoundModel
        On the CPU.
    kind : {"audio", "features"}
        What the file takes.
    file : Runner
        Gives scores, and embeddings if it has them.
    sounds : iterable of (windows, classes)
    levels : Runner, optional
        The same file with its features as an output; they are not compared without.

    Raises
    ------
    ModelError
        Without any sound.
    """
    extractor = make_extractor(model.mel)
    ours, theirs, of_levels, of_embeddings = [], [], [], []
    hot: list[NDArray[np.bool_]] = []
    for waves, labels in sounds:
        features = np.stack([features_of_wave(wave, model.mel, extractor) for wave in waves])
        rows = np.arange(len(features))
        found = file(waves if kind == AUDIO else features)
        ours.append(score_rows(model, features, rows).mean(axis=0))
        theirs.append(found[SCORES].mean(axis=0, dtype=np.float64))
        hot.append(np.isin(np.arange(len(model.classes)), labels))
        if EMBEDDINGS in found:
            exact = embed_rows(model, features, rows)
            of_embeddings.append(np.abs(found[EMBEDDINGS] - exact).max() / np.abs(exact).max())
        if levels is not None:
            for wave, level in zip(waves, levels(waves)[LEVELS], strict=True):
                own = extractor(as_stored(wave))
                far = np.abs(level - own)
                cells = far if model.mel.input == WAVE else far[_audible(own)]
                of_levels.append(cells.max(initial=0.0))
    if not ours:
        raise ModelError("found no sound to compare the file on; give --check-on other ones")
    a, b, truth = np.stack(ours), np.stack(theirs), np.stack(hot)
    known = truth.any(axis=1)
    quality = None
    if known.any():
        quality = (
            _quality(a[known], truth[known], model.multi_label),
            _quality(b[known], truth[known], model.multi_label),
        )
    return Parity(
        len(a),
        float(np.abs(a - b).max()),
        float(np.abs(a - b).mean()),
        float((a.argmax(axis=1) == b.argmax(axis=1)).mean()),
        None if levels is None else float(np.max(of_levels)),
        float(np.max(of_embeddings)) if of_embeddings else None,
        quality,
        int(known.sum()),
    )


def _quality(scores: NDArray[np.float64], hot: NDArray[np.bool_], multi_label: bool) -> float:
    if multi_label:
        return lwlrap(hot, scores)
    return float(hot[np.arange(len(hot)), scores.argmax(axis=1)].mean())


def _audible(level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells of (channel, mel, frame) that hold sound; deltas where all that they look at does."""
    loud: NDArray[np.bool_] = level[:1] >= level[:1].max(axis=1, keepdims=True) - AUDIBLE_DB
    if len(level) == 1:
        return loud
    around = minimum_filter1d(loud.astype(np.uint8), 17, axis=2, mode="nearest")
    return np.concatenate((loud, around.astype(bool)))


def read_sounds(
    clips: Clips, model: SoundModel, failures: list[tuple[str, str]]
) -> Iterator[Sound]:
    """The sounds of a table, whole; those that cannot be read are added to ``failures``."""
    number = {name: i for i, name in enumerate(model.classes)}
    for row in track(range(len(clips)), "compare", "clip"):
        names = clips.labels[row]
        waves = read_windows(clips, row, model.mel, failures)
        if waves:
            is_known = all(name in number for name in names)
            yield np.stack(waves), tuple(number[name] for name in names) if is_known else ()


def read_windows(
    clips: Clips,
    row: int,
    mel: MelOptions,
    failures: list[tuple[str, str]],
    most: int | None = None,
) -> list[Waves]:
    """The windows of a clip, or the first few; none, and a failure, if it cannot be read."""
    end, found = clips.end_time[row], list[Waves]()
    try:
        blocks = read_blocks(
            clips.root / str(clips.file[row]),
            block_time=mel.duration,
            sample_rate=mel.sample_rate,
            start_time=float(clips.start_time[row]),
            end_time=None if np.isnan(end) else float(end),
        )
        for _, wave in cut_stream(blocks, mel.n_samples, mel.n_samples):
            found.append(fit_length(wave, mel.n_samples))
            if len(found) == most:
                break
    except AudioError as error:
        failures.append((clips.ids[row], error.reason))
        return []
    return found


def synthetic_sounds(mel: MelOptions) -> list[Sound]:
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
    sounds = (
        0.1 * hiss,
        0.002 * hiss,
        0.5 * walk + 0.003 * hiss,
        0.4 * chirp + 0.003 * hiss,
        clicks + 0.002 * hiss,
        1.4 * tone + 0.01 * hiss,
        np.where(np.arange(n) < n // 3, 0.1 * hiss, 0.0),
        np.zeros(n),
    )
    return [(np.asarray(sound, np.float32)[None], ()) for sound in sounds]
