"""Fitting the rules for unknown sounds, and how a model answers to generated noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from semisonic.classifier.scoring import predict_rows
from semisonic.classifier.windows import features_of_wave
from semisonic.core.seeds import derive, generator
from semisonic.data.synth.signals import coloured, to_level, white
from semisonic.evaluation.calibration import ood_threshold
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import (
    DistanceRule,
    EnergyRule,
    NoiseRule,
    OodLimit,
    OodRule,
    OodRules,
)
from semisonic.models.decision_module import OodModule, in_distribution
from semisonic.models.sound_model import SoundModel

# Fitting the rules for unknown sounds; the papers are named in :mod:`semisonic.models.decision`.
#
# Limits are set by known sounds that neither trained the network nor fitted the rule: the rules are
# fitted anew with each fifth of the recordings left out, and judge those.


ENERGY, DISTANCE, NONE = "energy", "distance", "none"
RULES = (ENERGY, DISTANCE)
MOST_DIRECTIONS = 64
LEAST_ENERGY = 1e-4
"""Energies of known sounds that differ by less say nothing."""
STRENGTH, WIDTH = 100.0, 0.3
"""Of the machine that tells noise: what a point on the wrong side costs, and its kernel's gamma
for standardised statistics, times their number."""
_OPEN = OodLimit(0.0, 1.0)

Table = NDArray[np.float64]
Vector = NDArray[np.float64]
Rows = NDArray[np.int64]


def fit_unknown(
    rule: str,
    logits: Table,
    embeddings: Table,
    target: NDArray[Any],
    groups: NDArray[Any],
    noise: tuple[Table, Table],
    *,
    kept: float = 0.95,
    seed: int = 0,
) -> tuple[OodRules, Vector, Vector]:
    """Fit a rule and the noise rule beside it.

    Parameters
    ----------
    rule : {"energy", "distance", "none"}
        The noise rule alone for "none".
    logits, embeddings : ndarray, shape (n, n_classes) and (n, dim)
        Of known sounds.
    target : ndarray
        Their classes (n,), or 0 and 1, (n, n_classes).
    groups : ndarray, shape (n,)
        The recording of each.
    noise : tuple of ndarray, shape (n, n_statistics) and (n_noise, n_statistics)
        Statistics of the features, of the known sounds and of generated noise.
    kept : float
        Share of known sounds that should pass both.

    Returns
    -------
    unknown : Unknown
    known, no_noise : ndarray, shape (n,)
        How known each sound is, by all rules and by that against noise, none of which was fitted
        on its recording.
    """
    splits = _splits(groups, seed)
    n_classes = logits.shape[1]
    hot = target > 0 if target.ndim == 2 else target[:, None] == np.arange(n_classes)

    def crossed(fit: Callable[[Rows], OodRule]) -> Vector:
        found = np.zeros(len(logits))
        for rows, others in splits:
            found[others] = _ood_scores(fit(rows), logits[others], embeddings[others])
        return found

    of_known, of_noise = np.zeros(len(noise[0])), np.zeros(len(noise[1]))
    part_of = np.arange(len(of_noise)) % len(splits)
    for number, (rows, others) in enumerate(splits):
        left = part_of == number
        part = _noise(noise[0][rows], noise[1][~left])
        of_known[others] = _ood_scores(part, statistics=noise[0][others])
        of_noise[left] = _ood_scores(part, statistics=noise[1][left])
    limit = _limit(of_known, _between(of_known, of_noise, kept))
    parts: list[OodRule] = [replace(_noise(*noise), limit=limit)]
    known = no_noise = _known(limit, of_known)
    if rule != NONE:

        def by_rule(rows: Rows) -> OodRule:
            if rule == ENERGY:
                return EnergyRule(_OPEN)
            return _distance(embeddings[rows], hot[rows])

        ood_score = crossed(by_rule)
        passing = known >= 0.5
        share = min(1.0, kept / max(float(passing.mean()), 1e-9))
        limit = _limit(
            ood_score, ood_threshold(ood_score[passing], share) if passing.any() else np.inf
        )
        parts.insert(0, replace(by_rule(np.arange(len(logits))), limit=limit))
        known = np.minimum(known, _known(limit, ood_score))
    return OodRules(tuple(parts), kept), known, no_noise


def suited_rule(logits: Table) -> str:
    """The rule for sounds of other kinds: energy, unless logits are logarithms of scores.

    Those of trees and neighbours are: their energy is 0 for any sound.
    """
    energy = _ood_scores(EnergyRule(_OPEN), logits)
    return ENERGY if float(np.ptp(energy)) > LEAST_ENERGY else DISTANCE


def _ood_scores(
    part: OodRule,
    logits: Table | None = None,
    embeddings: Table | None = None,
    statistics: Table | None = None,
) -> Vector:
    """OOD scores by a rule, shape (n,), as a model that has it computes them."""
    tables = [
        None if table is None else torch.tensor(np.asarray(table, np.float64))
        for table in (logits, embeddings, statistics)
    ]
    with torch.no_grad():
        found: Vector = OodModule(part)(*tables).numpy()
    return found


def _known(limit: OodLimit, ood_score: Vector) -> Vector:
    known: Vector = in_distribution(limit, torch.from_numpy(ood_score)).numpy()
    return known


def _splits(groups: NDArray[Any], seed: int, folds: int = 5) -> list[tuple[Rows, Rows]]:
    owner = np.unique(groups, return_inverse=True)[1]
    n = min(folds, int(owner.max()) + 1)
    state = derive(seed, "unknown") % 2**32
    return list(GroupKFold(n, shuffle=True, random_state=state).split(owner, groups=owner))


def _between(known: Vector, noise: Vector, kept: float) -> float:
    """The limit: half-way where a gap lies between noise and known sounds.

    Else the one that lets no noise pass, or as little as can be while ``kept`` of the known pass.
    """
    most, least = float(known.max()), float(noise.min())
    if most < least:
        return (most + least) / 2
    return max(least, ood_threshold(known, kept))


def _noise(known: Table, noise: Table) -> NoiseRule:
    """A support vector machine of noise against known sounds, both counting alike."""
    x = np.concatenate([known, noise])
    spread = x.std(axis=0)
    usable = spread > 1e-6 * spread.max() + 1e-12
    gamma = WIDTH / x.shape[1]  # of standardised statistics
    widths = np.where(usable, np.sqrt(gamma) / np.where(usable, spread, 1.0), 0.0)
    answers = np.r_[np.zeros(len(known)), np.ones(len(noise))]
    machine = SVC(C=STRENGTH, kernel="rbf", gamma=1.0, class_weight="balanced")
    machine.fit(x * widths, answers)
    return NoiseRule(
        _OPEN,
        widths.astype(np.float32),
        machine.support_vectors_.astype(np.float32),
        machine.dual_coef_[0].astype(np.float32),
        float(machine.intercept_[0]),
    )


def _limit(known: Vector, value: float) -> OodLimit:
    """A usual known sound is four spreads below the limit: 0.98 known."""
    room = value - float(np.median(known))
    return OodLimit(float(np.nextafter(value, np.inf)), max(room / 4, 1e-6))


def _distance(embeddings: Table, hot: NDArray[np.bool_]) -> DistanceRule:
    """Class means and one covariance, shrunk after Ledoit and Wolf (2004).

    A class without clips gets the mean of another one, so that nothing is near it alone.
    """
    found = [embeddings[own].mean(axis=0) for own in hot.T if own.any()]
    present = np.cumsum(hot.any(axis=0)) - 1
    means = np.stack([found[max(i, 0)] for i in present])
    off = embeddings[:, None] - means[None]
    off[~hot] = np.inf
    nearest = np.square(off).sum(axis=2).argmin(axis=1)
    rest = embeddings - means[nearest]
    covariance = LedoitWolf(assume_centered=True).fit(rest).covariance_
    variance, axes = np.linalg.eigh(covariance)
    rank = min(MOST_DIRECTIONS, len(variance) - 1)
    top = np.argsort(-variance)[:rank]
    left = np.argsort(-variance)[rank:]
    least = 1e-9 * float(variance.max()) + 1e-12
    kept = np.maximum(np.append(variance[top], variance[left].mean()), least)
    return DistanceRule(
        _OPEN,
        means.astype(np.float32),
        axes[:, top].astype(np.float32),
        (1.0 / kept).astype(np.float32),
    )


# Silence and noise made up for the purpose: sounds that nobody wants a name for.
#
# Digital silence, the last bit of a converter, white, pink and brown noise, and mains hum of 50 and
# 60 Hz with its harmonics, each at levels from hardly audible to loud.


Wave = NDArray[np.float32]
KINDS = ("silence", "white", "pink", "brown", "hum")
LEVELS_DB = (-80.0, -6.0)
"""Lowest and highest root mean square, relative to full scale."""
BEYOND_DB = 8.0
"""How much farther levels go to both sides where a rule is fitted: it is asked inside."""
SLOPES_DB = {"pink": -3.0, "brown": -6.0}
"""Level of coloured noise, an octave."""


def make_noise(
    kind: str, n: int, n_samples: int, sample_rate: int, seed: int, *, beyond_db: float = 0.0
) -> list[Wave]:
    """Some stretches of one kind of noise within -1 to 1, each shape (n_samples,).

    Their levels are spread evenly. Every other stretch of silence has its last bit set at random,
    as a converter has without input.
    """
    rng = generator(seed, "made-up noise", kind)
    low, high = LEVELS_DB[0] - beyond_db, LEVELS_DB[1] + beyond_db
    levels = low + (high - low) * (np.arange(n) + rng.random(n)) / n
    return [
        _stretch(kind, number, float(level), n_samples, sample_rate, rng)
        for number, level in enumerate(levels)
    ]


def _stretch(
    kind: str,
    number: int,
    level: float,
    n_samples: int,
    sample_rate: int,
    rng: np.random.Generator,
) -> Wave:
    if kind == "silence":
        steps = rng.integers(-1, 2, n_samples) if number % 2 else np.zeros(n_samples)
        return (steps / 32768.0).astype(np.float32)
    if kind == "white":
        wave = white(rng, n_samples)
    elif kind in SLOPES_DB:
        points = ((20.0, 0.0), (20.0 * 2**10, 10 * SLOPES_DB[kind]))
        wave = coloured(rng, n_samples, sample_rate, points)
    else:
        wave = _hum(rng, n_samples, sample_rate)
    return np.clip(to_level(wave, level), -1.0, 1.0)


def _hum(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Wave:
    """Mains hum: harmonics that fall by 3 to 12 dB an octave, and a little noise."""
    base, slope = rng.choice([50.0, 60.0]), rng.uniform(3.0, 12.0)
    time = np.arange(n_samples) / sample_rate
    wave = 10 ** (rng.uniform(-60.0, -30.0) / 20) * white(rng, n_samples).astype(np.float64)
    for harmonic in range(1, int(min(1000.0, 0.45 * sample_rate) / base) + 1):
        gain = 10 ** (-slope * np.log2(harmonic) / 20) * rng.uniform(0.3, 1.0)
        wave += gain * np.sin(2 * np.pi * (base * harmonic * time + rng.random()))
    return wave.astype(np.float32)


# What a network computes of generated noise, and what the model says of it.


PER_KIND = 72
"""Stretches of each kind to fit a rule by, and as many others to check it."""


@dataclass(frozen=True)
class NoiseRow:
    """What is said of one kind of noise.

    Attributes
    ----------
    kind : str
    n : int
    refused : float
        Share called unknown, 0 to 1.
    surest : float
        The highest score of any class.
    taken_for : str
        The class of that score.
    """

    kind: str
    n: int
    refused: float
    surest: float
    taken_for: str


def features_of_noise(
    mel: MelOptions, *, seed: int, per_kind: int = PER_KIND, beyond_db: float = BEYOND_DB
) -> NDArray[np.float32]:
    """Features of generated noise, kind after kind, ``per_kind`` rows each."""
    extractor = make_extractor(mel)
    return np.stack(
        [
            features_of_wave(wave, mel, extractor)
            for kind in KINDS
            for wave in make_noise(
                kind, per_kind, mel.n_samples, mel.sample_rate, seed, beyond_db=beyond_db
            )
        ]
    )


def check_noise(
    model: SoundModel, *, seed: int, per_kind: int = PER_KIND, device: str | torch.device = "cpu"
) -> tuple[NoiseRow, ...]:
    """What the model says of noise that no rule was fitted by, a row per kind."""
    features = features_of_noise(model.mel, seed=seed, per_kind=per_kind, beyond_db=0.0)
    said = predict_rows(model, features, np.arange(len(features)), device=device)
    rows = []
    for number, kind in enumerate(KINDS):
        part = slice(number * per_kind, (number + 1) * per_kind)
        scores = said.scores[part]
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        rows.append(
            NoiseRow(
                kind,
                per_kind,
                float((said.known[part] < 0.5).mean()),
                float(scores[row, column]),
                model.classes[int(column)],
            )
        )
    return tuple(rows)
