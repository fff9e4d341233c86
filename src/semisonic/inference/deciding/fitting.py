"""A model's decision from clips that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.calibration import METHODS, Calibration
from semisonic.base.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.evaluation.class_thresholds import MISSED, SHOWN, ClassThreshold, class_thresholds
from semisonic.inference.deciding import unknown as rules
from semisonic.inference.deciding.calibrating import calibrated, choose_calibration
from semisonic.inference.deciding.noise_check import features_of_noise
from semisonic.inference.prepare import Prepared
from semisonic.inference.scoring import compute_rows, mean_by, statistics_of_rows
from semisonic.inference.selection import targets_of
from semisonic.models import SoundModel
from semisonic.models.decision import Decision
from semisonic.models.decision_module import DecisionModule

AUTO = "auto"
MIN_CLIPS = 20
"""Fewer clips than this calibrate nothing."""
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Held:
    """What a network computes of clips that it was not trained on, a row per window.

    Attributes
    ----------
    logits, embeddings, statistics : ndarray, shape (n, n_classes), (n, dim) and (n, n_statistics)
    clips : Clips
        The clips, with the model's classes in the model's order.
    owner : ndarray of int64, shape (n,)
        The row of ``clips`` that each window is of, rising.
    silent : ndarray of bool, shape (n,)
        Windows with nothing to hear.
    """

    logits: Table
    embeddings: Table
    statistics: Table
    clips: Clips
    owner: NDArray[np.int64]
    silent: NDArray[np.bool_]

    @classmethod
    def of(
        cls, model: SoundModel, prepared: Prepared, rows: Any, clips: Clips, device: Any = "cpu"
    ) -> Held:
        """Run the network over some rows of features of a table of clips."""
        index = np.asarray(rows, np.int64)
        computed = compute_rows(model, prepared.features, index, device=device)
        used, owner = np.unique(prepared.source[index], return_inverse=True)
        return cls(*computed, clips[used], owner, prepared.is_silent[index])

    def target(self, multi_label: bool) -> NDArray[Any]:
        """Of the clips: class numbers (n_clips,) or 0 and 1, (n_clips, n_classes)."""
        return targets_of(self.clips, multi_label=multi_label)


@dataclass(frozen=True)
class Fitted:
    """A decision, and how it does on clips that it was not fitted on.

    Attributes
    ----------
    decision : Decision
    held : Held
    before, after : ndarray, shape (n_clips, n_classes)
        Scores of the network as it was learned; scores with a decision that was fitted on other
        recordings.
    known : ndarray, shape (n_clips,)
        How known the clips are, by rules fitted on other recordings.
    losses : mapping of str to float
        Log loss of each method of calibration, on recordings it was not fitted on.
    thresholds : tuple of ClassThreshold
        In the order of the classes; empty when none were wanted.
    """

    decision: Decision
    held: Held
    before: Table
    after: Table
    known: NDArray[np.float64]
    losses: Mapping[str, float]
    thresholds: tuple[ClassThreshold, ...]


def fit_decision(
    model: SoundModel,
    held: Held,
    *,
    method: str = AUTO,
    unknown: str = AUTO,
    thresholds: bool = True,
    precision: float = 0.9,
    level: float = 0.9,
    kept: float = 0.95,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Fitted:
    """Fit calibration, rules for unknown sounds, and thresholds, in this order.

    Parameters
    ----------
    model : SoundModel
        Stays as it is.
    method : {"auto", "temperature", "vector", "isotonic", "none"}
    unknown : {"auto", "energy", "distance", "none"}
        Auto is energy, which did better on classes left out (benchmarks/unknown.py), or distance
        where a classifier has no energy. With a rule there is one against noise beside it.
    thresholds : bool
        Whether to look for them.
    precision, level
        See :func:`semisonic.evaluation.class_thresholds.class_thresholds`.
    kept : float
        Share of known clips that should not be called unknown.
    seed : int
        Of folds and of made-up noise.

    Raises
    ------
    OptionError
        When energy is asked for of a classifier that has none.
    """
    several = model.multi_label
    of_clips = held.target(several)
    target, groups = of_clips[held.owner], held.clips.group[held.owner]
    weights = 1.0 / np.bincount(held.owner)[held.owner]
    chosen = choose_calibration(
        held.logits, target, groups, multi_label=several, weights=weights, seed=seed,
        methods=METHODS if method == AUTO else (method,),
    )  # fmt: skip
    decision = Decision(chosen.calibration)
    known, no_noise = np.ones((2, len(held.owner)))
    if unknown != rules.NONE:
        made_up = features_of_noise(model.mel, seed=2 * seed)
        noise = statistics_of_rows(model, made_up, np.arange(len(made_up)), device=device)
        heard = ~held.silent if not held.silent.all() else np.ones_like(held.silent)
        suited = rules.suited_rule(held.logits[heard])
        if unknown == rules.ENERGY != suited:
            raise OptionError(
                f"option 'unknown': found 'energy', but that of '{model.name}' is the same for "
                "any sound, as its logits are logarithms of scores; choose 'distance'"
            )
        found, known[heard], no_noise[heard] = rules.fit_unknown(
            suited if unknown == AUTO else unknown,
            held.logits[heard], held.embeddings[heard], target[heard], groups[heard],
            (held.statistics[heard], noise), kept=kept, seed=seed,
        )  # fmt: skip
        decision = replace(decision, unknown=found)
    plain = calibrated(Calibration(), held.logits, multi_label=several)
    before = mean_by(held.owner, plain)[1]
    of_windows = (
        DecisionModule(decision, multi_label=several)
        .tempered(torch.from_numpy(chosen.scores), torch.from_numpy(no_noise))
        .numpy()
    )
    after = mean_by(held.owner, of_windows)[1]
    clip_known = mean_by(held.owner, known[:, None])[1][:, 0]
    limits: tuple[ClassThreshold, ...] = ()
    if thresholds:
        n_classes = len(model.classes)
        hot = of_clips if several else of_clips[:, None] == np.arange(n_classes)
        limits = class_thresholds(
            hot,
            after,
            precision=precision,
            level=level,
            least=decision.least_threshold(n_classes, multi_label=several),
        )
        named = {name: t.value for name, t in zip(model.classes, limits, strict=True)}
        decision = replace(decision, thresholds=named)
    note: dict[str, Any] = {
        "clips": len(held.clips),
        "recordings": len(set(held.clips.group.tolist())),
        "known clips that pass": round(float((clip_known >= 0.5).mean()), 4),
    }
    if limits:
        counts = {word: sum(t.outcome == word for t in limits) for word in (SHOWN, MISSED)}
        note |= {
            "wanted precision": precision,
            "classes for which it is shown": counts[SHOWN],
            "classes for which it is not reached": counts[MISSED],
        }
    decision = replace(decision, note=note)
    return Fitted(decision, held, before, after, clip_known, chosen.losses, limits)
