"""What is measured of an encoder on clips that it does not learn from, without any labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.seeds import derive
from semisonic.data.streams import batches
from semisonic.inference.pretext_objectives import frontend_of
from semisonic.inference.scoring import BATCH_SIZE, evaluating
from semisonic.learning import Objective, Spread, TwoViews, pooled, spread_of
from semisonic.models import DeadUnits, PretrainedEncoder, dead_units
from semisonic.training.randomness import kept_randomness, seed_torch

Rows = NDArray[np.int64]
MAX_MEASURED = 512
"""Held-out clips whose embeddings are measured after each epoch."""


def held_out_terms(
    objective: Objective, features: Any, rows: Rows, device: torch.device, seed: int
) -> dict[str, float]:
    """Mean over clips of an objective's loss and terms.

    What it draws at random (noise, masks, views) is drawn anew from the seed each time, so
    that epochs are measured alike. Objectives of two views also give ``deviation`` and
    ``rank`` of the embeddings, see :class:`semisonic.learning.Spread`.
    """
    means: dict[str, float] = {}
    with evaluating(objective), kept_randomness(device):
        for number, batch in enumerate(batches(features, rows, BATCH_SIZE, device)):
            seed_torch(derive(seed, "held-out clips", number), device)
            terms = objective({"unlabelled": batch})
            for name, value in terms.items():
                share = len(batch.x) / len(rows)
                means[name] = means.get(name, 0.0) + share * float(value)
        if isinstance(objective, TwoViews) and len(rows) > 1:
            parts = batches(features, rows[:MAX_MEASURED], BATCH_SIZE, device)
            spread = spread_of(torch.cat([objective.embed(batch.x).float() for batch in parts]))
            means |= {"deviation": spread.deviation, "rank": spread.rank}
    return means


def spread_over(
    network: PretrainedEncoder, features: Any, rows: Rows, device: torch.device
) -> Spread:
    """How far and in how many directions the embeddings of some rows differ.

    A single row is no spread: all its numbers are zero.
    """
    if len(rows) < 2:
        return Spread(0.0, 0.0, network.encoder.out_channels)
    standardize = frontend_of(network).standardize
    with evaluating(network):
        parts = [
            pooled(network.encode(standardize(batch.x))).float()
            for batch in batches(features, rows, BATCH_SIZE, device)
        ]
        return spread_of(torch.cat(parts))


def never_active(
    network: PretrainedEncoder, features: Any, rows: Rows, device: torch.device
) -> tuple[DeadUnits, ...]:
    """Units of the encoder that none of some rows activates, layer by layer."""
    standardize = frontend_of(network).standardize
    with torch.no_grad():
        parts = (standardize(b.x) for b in batches(features, rows, BATCH_SIZE, device))
        return tuple(dead_units(network.encoder, parts))
