"""Fitting the rules for unknown sounds; the papers are named in :mod:`semisonic.models.unknown`.

Limits are set by known sounds that neither trained the network nor fitted the rule: the rules are
fitted anew with each fifth of the recordings left out, and judge those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from semisonic.base.seeds import derive
from semisonic.evaluation.strangers import limit_for
from semisonic.models.decision_module import Rule, known_within
from semisonic.models.unknown import Distance, Energy, Limit, Noise, Part, Unknown

ENERGY, DISTANCE, NONE = "energy", "distance", "none"
RULES = (ENERGY, DISTANCE)
MOST_DIRECTIONS = 64
LEAST_ENERGY = 1e-4
"""Energies of known sounds that differ by less say nothing."""
STRENGTH, WIDTH = 100.0, 0.3
"""Of the machine that tells noise: what a point on the wrong side costs, and its kernel's gamma
for standardised statistics, times their number."""
_OPEN = Limit(0.0, 1.0)

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
) -> tuple[Unknown, Vector, Vector]:
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
        Statistics of the features, of the known sounds and of made-up noise.
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

    def crossed(fit: Callable[[Rows], Part]) -> Vector:
        found = np.zeros(len(logits))
        for rows, others in splits:
            found[others] = _strangeness(fit(rows), logits[others], embeddings[others])
        return found

    of_known, of_noise = np.zeros(len(noise[0])), np.zeros(len(noise[1]))
    part_of = np.arange(len(of_noise)) % len(splits)
    for number, (rows, others) in enumerate(splits):
        left = part_of == number
        part = _noise(noise[0][rows], noise[1][~left])
        of_known[others] = _strangeness(part, statistics=noise[0][others])
        of_noise[left] = _strangeness(part, statistics=noise[1][left])
    limit = _limit(of_known, _between(of_known, of_noise, kept))
    parts: list[Part] = [replace(_noise(*noise), limit=limit)]
    known = no_noise = _known(limit, of_known)
    if rule != NONE:

        def by_rule(rows: Rows) -> Part:
            if rule == ENERGY:
                return Energy(_OPEN)
            return _distance(embeddings[rows], hot[rows])

        strange = crossed(by_rule)
        passing = known >= 0.5
        share = min(1.0, kept / max(float(passing.mean()), 1e-9))
        limit = _limit(strange, limit_for(strange[passing], share) if passing.any() else np.inf)
        parts.insert(0, replace(by_rule(np.arange(len(logits))), limit=limit))
        known = np.minimum(known, _known(limit, strange))
    return Unknown(tuple(parts), kept), known, no_noise


def suited_rule(logits: Table) -> str:
    """The rule for sounds of other kinds: energy, unless logits are logarithms of scores.

    Those of trees and neighbours are: their energy is 0 for any sound.
    """
    energy = _strangeness(Energy(_OPEN), logits)
    return ENERGY if float(np.ptp(energy)) > LEAST_ENERGY else DISTANCE


def _strangeness(
    part: Part,
    logits: Table | None = None,
    embeddings: Table | None = None,
    statistics: Table | None = None,
) -> Vector:
    """How strange sounds are by a rule, shape (n,), as a model that has it computes it."""
    tables = [
        None if table is None else torch.tensor(np.asarray(table, np.float64))
        for table in (logits, embeddings, statistics)
    ]
    with torch.no_grad():
        found: Vector = Rule(part)(*tables).numpy()
    return found


def _known(limit: Limit, strangeness: Vector) -> Vector:
    known: Vector = known_within(limit, torch.from_numpy(strangeness)).numpy()
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
    return max(least, limit_for(known, kept))


def _noise(known: Table, noise: Table) -> Noise:
    """A support vector machine of noise against known sounds, both counting alike."""
    x = np.concatenate([known, noise])
    spread = x.std(axis=0)
    usable = spread > 1e-6 * spread.max() + 1e-12
    gamma = WIDTH / x.shape[1]  # of standardised statistics
    widths = np.where(usable, np.sqrt(gamma) / np.where(usable, spread, 1.0), 0.0)
    answers = np.r_[np.zeros(len(known)), np.ones(len(noise))]
    machine = SVC(C=STRENGTH, kernel="rbf", gamma=1.0, class_weight="balanced")
    machine.fit(x * widths, answers)
    return Noise(
        _OPEN, widths.astype(np.float32), machine.support_vectors_.astype(np.float32),
        machine.dual_coef_[0].astype(np.float32), float(machine.intercept_[0])
    )  # fmt: skip


def _limit(known: Vector, value: float) -> Limit:
    """A usual known sound is four spreads below the limit: 0.98 known."""
    room = value - float(np.median(known))
    return Limit(float(np.nextafter(value, np.inf)), max(room / 4, 1e-6))


def _distance(embeddings: Table, hot: NDArray[np.bool_]) -> Distance:
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
    return Distance(
        _OPEN, means.astype(np.float32), axes[:, top].astype(np.float32),
        (1.0 / kept).astype(np.float32),
    )  # fmt: skip
