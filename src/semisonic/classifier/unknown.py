"""Fit the rules for unknown sounds, and measure a model on synthetic noise.

The papers are named in :mod:`semisonic.models.decision`. Limits are set by known sounds that were
used neither to train the network nor to fit the rule: the rule is fitted again without each fifth
of the recordings, and applied to these. Noise is silence, the last bit of a converter, white, pink
and brown noise, noise of other spectra, and mains hum of 50 and 60 Hz with its harmonics, each at
levels from hardly audible to loud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from semisonic.classifier.scoring import NetworkOutputs, predict_rows
from semisonic.classifier.windows import features_of_wave
from semisonic.core.seeds import generator
from semisonic.data.synth.signals import Points, band, coloured, to_level, white
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import (
    KNOWN_THRESHOLD,
    NoiseScore,
    OodLimit,
    UnknownRules,
    doubt_of,
)
from semisonic.models.sound_model import SoundModel

Vector = NDArray[np.float64]
Table = NDArray[np.float64]
Floats = NDArray[np.float32]

_STRENGTH, _WIDTH = 100.0, 0.3
# Of the support vector machine: what a point on the wrong side costs, and its kernel's gamma for
# standardised statistics, times their number.
_MOST_KNOWN = 500  # known sounds that the machine is fitted by
_OPEN = OodLimit(0.0, 1.0)
_MOST_DIRECTIONS = 256
_LEAST_SPREAD = 0.05  # of doubts, nats: less is no measure of anything
_FAR, _NEAR = 0.2, 0.5  # shares of the pool taken for something else, and for known sounds
_LINE_STRENGTH = 0.01
_LEAST_POOL, _MOST_POOL = 50, 2000  # sounds of the pool to find the line by


def pool_rows(rows: NDArray[Any], group: NDArray[Any], known: NDArray[Any]) -> NDArray[Any]:
    """The rows of a pool for the rule of distance: at most 2 000, spread evenly.

    Parameters
    ----------
    rows : ndarray of int64
        Of the pool.
    group : ndarray, shape (n,)
        The recording of every row.
    known : ndarray of int64
        Rows with a label. Their recordings are left out.
    """
    rest = rows[~np.isin(group[rows], group[known])]
    return rest[np.linspace(0, len(rest) - 1, min(len(rest), _MOST_POOL)).astype(np.int64)]


class PoolSounds(NamedTuple):
    """Sounds without labels, of recordings that no label is from: see :func:`pool_rows`.

    Attributes
    ----------
    embeddings : ndarray, shape (n, dim)
    scores : ndarray, shape (n, n_classes)
        Probabilities, as the model gives them.
    """

    embeddings: Table
    scores: Table


def fit_unknown(
    outputs: NetworkOutputs,
    scores: Table,
    target: NDArray[Any],
    noise: Table,
    splits: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    *,
    learned: tuple[Table, NDArray[Any]] | None = None,
    pool: PoolSounds | None = None,
    kept: float = 0.95,
) -> tuple[UnknownRules, Vector, Vector]:
    """Fit the rule of distance and the rule against noise.

    Parameters
    ----------
    outputs : NetworkOutputs
        Of known sounds, n of them.
    scores : ndarray, shape (n, n_classes)
        Probabilities of the known sounds, as the model will give them.
    target : ndarray
        Class numbers (n,), or 0 and 1, (n, n_classes), with several labels per clip.
    noise : ndarray, shape (n_noise, n_statistics)
        Statistics of the features of synthetic noise.
    splits : sequence of (rows, others)
        Known sounds to fit by, and those of other recordings to judge.
    learned : (embeddings, target), optional
        Embeddings of the sounds that the network was trained on. They give the places of the
        classes, and the known sounds give the limit.
    pool : PoolSounds, optional
        The fifth of them that is farthest from every class represents sounds of other classes.
        With fewer than 50, the pool is not used.
    kept : float
        Share of known sounds that should pass both rules.

    Returns
    -------
    rules : UnknownRules
    known, no_noise : ndarray, shape (n,)
        How known each sound is, by both rules and by that against noise, neither of which was
        fitted on its recording.
    """
    statistics, embeddings = outputs.statistics, outputs.embeddings
    of_known, of_noise, distance = (np.zeros(n) for n in (len(target), len(noise), len(target)))
    place, nearest = None if learned is None else _class_places(*learned), []
    for number, (rows, others) in enumerate(splits):
        left = np.arange(len(noise)) % len(splits) == number
        rule = _noise_rule(statistics[rows], noise[~left])
        of_known[others], of_noise[left] = (
            _ood_scores(NoiseScore(rule), table) for table in (statistics[others], noise[left])
        )
        near = place or _class_places(embeddings[rows], target[rows])
        nearest.append(near)
        distance[others] = _distances(embeddings[others], near)
    noise_rule = _noise_rule(statistics, noise)
    # What is like neither gets the rule's offset, and is no noise for that.
    most, least = max(float(of_known.max()), noise_rule.offset), float(of_noise.min())
    # Half-way where a gap lies between them; else no noise passes, or as little as can be where
    # the share that is to pass does so in each class, or all clips but one: rain is noise, too.
    classes_of = target if target.ndim == 2 else target[:, None] == np.unique(target)
    passed = max(
        _quantile(of_known, kept),
        *(
            _quantile(of_known[one > 0], min(kept, 1 - 1 / np.sum(one > 0)))
            for one in classes_of.T
            if one.any()
        ),
    )
    value = (most + least) / 2 if most < least else max(least, passed)
    limit = _limit(of_known, value)
    no_noise = limit.in_distribution(torch.from_numpy(of_known)).numpy()
    doubts = _doubts(scores, target)
    doubt = float(distance.std() / max(float(doubts.std()), _LEAST_SPREAD))
    strange = distance + doubt * doubts  # both with the same spread
    directions, means = place or _class_places(embeddings, target)
    other = None
    if pool is not None and len(pool.embeddings) >= _LEAST_POOL:
        rest, unsure = pool.embeddings, doubt * _doubts(pool.scores, target)
        likeness = np.zeros(len(target))
        for (rows, others), near in zip(splits, nearest, strict=True):
            line = _line(embeddings[rows], rest, _distances(rest, near) + unsure)
            likeness[others] = embeddings[others] @ line
        line = _line(embeddings, rest, _distances(rest, (directions, means)) + unsure)
        share = float(strange.std() / max(float(likeness.std()), 1e-9))
        other, strange = (share * line).astype(np.float32), strange + share * likeness
    passing = no_noise >= KNOWN_THRESHOLD
    share = min(1.0, kept / max(float(passing.mean()), 1e-9))
    far = _limit(strange, _quantile(strange[passing], share) if passing.any() else np.inf)
    known = np.where(passing, far.in_distribution(torch.from_numpy(strange)).numpy(), 0.0)
    rules = replace(
        noise_rule,
        distance=far,
        noise=limit,
        directions=directions,
        means=means,
        doubt=doubt,
        kept=kept,
        other=other,
    )
    return rules, known, no_noise


def _doubts(scores: Table, target: NDArray[Any]) -> Vector:
    found: Vector = doubt_of(torch.from_numpy(scores), multi_label=target.ndim == 2).numpy()
    return found


def _distances(embeddings: Table, places: tuple[Floats, Floats]) -> Vector:
    """To the nearest class, shape (n,)."""
    moved = embeddings @ places[0].astype(np.float64)
    squares = np.square(moved[:, None] - places[1].astype(np.float64)).sum(axis=2)
    return np.asarray(np.sqrt(squares.min(axis=1)))


def _line(known: Table, pool: Table, strange: Vector) -> Vector:
    """Direction from known sounds to the farthest sounds of the pool, shape (dim,).

    First the sounds that are surely unknown are found, then a classifier learns to distinguish
    them from known ones: two-step learning from positive and unlabelled examples (Liu et al.,
    "Building text classifiers using positive and unlabeled examples", ICDM 2003).
    """
    order = np.argsort(strange, kind="stable")
    near, far = order[: int(_NEAR * len(order))], order[-int(_FAR * len(order)) :]
    x = np.concatenate([known, pool[near], pool[far]])
    is_other = np.arange(len(x)) >= len(x) - len(far)
    scale = StandardScaler().fit(x)
    line = LogisticRegression(C=_LINE_STRENGTH, class_weight="balanced", max_iter=500)
    line.fit(scale.transform(x), is_other)
    return np.asarray(line.coef_[0] / scale.scale_)


def _class_places(embeddings: Table, target: NDArray[Any]) -> tuple[Floats, Floats]:
    """Directions in which classes spread by 1, (dim, n), and the classes' means there.

    The spread is that of all classes together, shrunk (Ledoit and Wolf, 2004). With several labels
    per clip there is one place for all.
    """
    owner = np.unique(target, return_inverse=True)[1] if target.ndim == 1 else np.zeros(len(target))
    spread = embeddings.std(axis=0)
    usable = spread > 1e-6 * spread.max() + 1e-12
    first = np.diag(np.where(usable, 1.0 / np.where(usable, spread, 1.0), 0.0))
    if len(spread) > _MOST_DIRECTIONS:
        most = min(_MOST_DIRECTIONS, len(embeddings))
        first = first @ PCA(most, random_state=0).fit(embeddings @ first).components_.T
    x = embeddings @ first
    means = np.stack([x[owner == one].mean(axis=0) for one in np.unique(owner)])
    within = LedoitWolf(assume_centered=True).fit(x - means[owner.astype(np.int64)]).covariance_
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(np.maximum(values, 1e-6))
    return (first @ whiten).astype(np.float32), (means @ whiten).astype(np.float32)


def _quantile(known: Vector, kept: float) -> float:
    """The least score up to which a share of known sounds pass."""
    return float(np.quantile(known, kept, method="inverted_cdf"))


def _noise_rule(known: Table, noise: Table) -> UnknownRules:
    """A support vector machine of noise against known sounds, both counting alike."""
    known = known[np.linspace(0, len(known) - 1, min(len(known), _MOST_KNOWN)).astype(np.int64)]
    x = np.concatenate([known, noise])
    spread = x.std(axis=0)
    usable = spread > 1e-6 * spread.max() + 1e-12
    gamma = _WIDTH / x.shape[1]  # of standardised statistics
    widths = np.where(usable, np.sqrt(gamma) / np.where(usable, spread, 1.0), 0.0)
    is_noise = np.repeat([0.0, 1.0], [len(known), len(noise)])
    machine = SVC(C=_STRENGTH, kernel="rbf", gamma=1.0, class_weight="balanced")
    machine.fit(x * widths, is_noise)
    return UnknownRules(
        _OPEN,
        _OPEN,
        widths.astype(np.float32),
        machine.support_vectors_.astype(np.float32),
        machine.dual_coef_[0].astype(np.float32),
        float(machine.intercept_[0]),
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.float32),
    )


def _ood_scores(rule: NoiseScore, *tables: Table) -> Vector:
    """As a model that has the rule computes them, shape (n,)."""
    with torch.no_grad():
        found: Vector = rule(*map(torch.from_numpy, tables)).numpy()
    return found


def _limit(known: Vector, value: float) -> OodLimit:
    """A usual known sound is four spreads below the limit: 0.98 known."""
    room = value - float(np.median(known))
    return OodLimit(float(np.nextafter(value, np.inf)), max(room / 4, 1e-6))


# Synthetic silence and noise: sounds that nobody wants a name for.

Wave = NDArray[np.float32]
KINDS = ("silence", "white", "pink", "brown", "filtered", "hum")
PER_KIND = 72
"""Waves of each kind to fit a rule by, and as many others to check it."""
_LEVELS_DB = (-80.0, -6.0)  # lowest and highest root mean square, relative to full scale
_BEYOND_DB = 8.0  # how much farther levels go where a rule is fitted: it is asked inside
_SLOPES_DB = {"pink": -3.0, "brown": -6.0}  # an octave


def make_noise(
    kind: str, n: int, n_samples: int, sample_rate: int, seed: int, *, beyond_db: float = 0.0
) -> list[Wave]:
    """Waves of one kind of noise within -1 to 1, each shape (n_samples,).

    Their levels are spread evenly. Every other wave of silence has its last bit set at random,
    as a converter has without input.
    """
    rng = generator(seed, "synthetic noise", kind)
    low, high = _LEVELS_DB[0] - beyond_db, _LEVELS_DB[1] + beyond_db
    levels = low + (high - low) * (np.arange(n) + rng.random(n)) / n
    waves = []
    for number, level in enumerate(levels.tolist()):
        if kind == "silence":
            steps = rng.integers(-1, 2, n_samples) if number % 2 else np.zeros(n_samples)
            waves.append((steps / 32768.0).astype(np.float32))
            continue
        if kind == "white":
            wave = white(rng, n_samples)
        elif kind in _SLOPES_DB:
            points = ((20.0, 0.0), (20.0 * 2**10, 10 * _SLOPES_DB[kind]))
            wave = coloured(rng, n_samples, sample_rate, points)
        elif kind == "filtered":
            wave = coloured(rng, n_samples, sample_rate, _spectrum(rng))
        else:
            wave = _hum(rng, n_samples, sample_rate)
        waves.append(np.clip(to_level(wave, level), -1.0, 1.0))
    return waves


def _spectrum(rng: np.random.Generator) -> Points:
    """A spectrum with two bends, as rooms, ventilators and microphones have, or a single band."""
    low = float(rng.uniform(60.0, 1500.0))
    high = low * float(rng.uniform(1.5, 12.0))
    if rng.random() < 0.5:
        return band(low, high)
    down, middle, up = (float(one) for one in rng.uniform((-6, -9, -15), (6, 3, 0)))
    return (
        (low / 2, -down),
        (low, 0.0),
        (high, middle * np.log2(high / low)),
        (2 * high, middle * np.log2(high / low) + up),
    )


def _hum(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Wave:
    """Mains hum: harmonics that fall by 3 to 12 dB an octave, and a little noise."""
    base, slope = rng.choice([50.0, 60.0]), rng.uniform(3.0, 12.0)
    time = np.arange(n_samples) / sample_rate
    wave = 10 ** (rng.uniform(-60.0, -30.0) / 20) * white(rng, n_samples).astype(np.float64)
    for harmonic in range(1, int(min(1000.0, 0.45 * sample_rate) / base) + 1):
        gain = 10 ** (-slope * np.log2(harmonic) / 20) * rng.uniform(0.3, 1.0)
        wave += gain * np.sin(2 * np.pi * (base * harmonic * time + rng.random()))
    return wave.astype(np.float32)


def features_of_noise(
    mel: MelOptions, *, seed: int, per_kind: int = PER_KIND, beyond_db: float = _BEYOND_DB
) -> NDArray[np.float32]:
    """Features of synthetic noise, kind after kind, ``per_kind`` rows each."""
    extractor = make_extractor(mel)
    waves = [
        wave
        for kind in KINDS
        for wave in make_noise(
            kind, per_kind, mel.n_samples, mel.sample_rate, seed, beyond_db=beyond_db
        )
    ]
    return np.stack([features_of_wave(wave, mel, extractor) for wave in waves])


def check_noise(
    model: SoundModel, *, seed: int, per_kind: int = PER_KIND, device: str | torch.device = "cpu"
) -> pd.DataFrame:
    """Measure how a model answers noise that no rule was fitted on.

    Parameters
    ----------
    model : SoundModel
    seed : int
        Of the noise.
    per_kind : int
        Waves of each kind.
    device : str

    Returns
    -------
    DataFrame
        A row per kind of ``noise``: how many ``clips``, the share ``called unknown``, 0 to 1, the
        ``highest score`` of any class, and ``of`` which class that is.
    """
    features = features_of_noise(model.mel, seed=seed, per_kind=per_kind, beyond_db=0.0)
    found = predict_rows(model, features, np.arange(len(features)), device=device)
    rows = []
    for number, kind in enumerate(KINDS):
        part = slice(number * per_kind, (number + 1) * per_kind)
        scores, refused = found.scores[part], float((found.known[part] < KNOWN_THRESHOLD).mean())
        best = int(scores.max(axis=0).argmax())
        rows.append((kind, per_kind, refused, float(scores.max()), model.classes[best]))
    return pd.DataFrame(rows, columns=["noise", "clips", "called unknown", "highest score", "of"])
