"""From what a network computes to scores: the one place where this is done."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.models.decision import (
    KNOWN_THRESHOLD,
    MAX_NOISE_SHARE,
    Decision,
    NoiseRule,
    OodLimit,
    OodRule,
)


class DecisionModule(nn.Module):
    """A decision, in operations that can be exported.

    Parameters
    ----------
    decision : Decision
    multi_label : bool
    dtype : torch.dtype
        What it computes in; float32 for files.
    """

    def __init__(
        self, decision: Decision, *, multi_label: bool, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.multi_label, self.dtype = multi_label, dtype
        calibration = decision.calibration
        self.register_buffer("scale", _numbers(calibration.scale or (1.0,), dtype))
        self.register_buffer("offset", _numbers(calibration.offset or (0.0,), dtype))
        self.rules = nn.ModuleList(OodModule(part, dtype) for part in decision.unknown.parts)

    def forward(self, logits: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scores, and how known each sound is.

        Little is claimed of what seems mere noise: its scores keep at most a quarter of their way
        from one over the number of classes (or, with several labels per clip, from 0), and less the
        surer that is. Their order stays. Other unknown sounds keep their scores.

        Parameters
        ----------
        logits : Tensor, shape (batch, n_classes)
        statistics : Tensor, shape (batch, n_statistics), optional
            Of the features; the rule against noise needs them.

        Returns
        -------
        scores : Tensor, shape (batch, n_classes)
            Calibrated probabilities; they sum to one unless multi-label.
        known : Tensor, shape (batch,)
            0 to 1: unknown below 0.5, by the strictest rule. No probability. All 1 without a rule.

        Raises
        ------
        ModelError
            Without what a rule needs.
        """
        scores = self.calibrated(logits)
        known = torch.ones_like(scores[:, 0])
        for rule in map(_as_ood_module, self.rules):
            one = rule.in_distribution(logits.to(self.dtype), statistics)
            known = torch.minimum(known, one)
            if rule.is_of_noise:
                scores = self.tempered(scores, one)
        return scores, known

    def calibrated(self, logits: Tensor) -> Tensor:
        """Probabilities without the rules for unknown sounds, shape (..., n_classes)."""
        moved = logits.to(self.dtype) * self.get_buffer("scale") + self.get_buffer("offset")
        return probabilities(moved, multi_label=self.multi_label)

    def tempered(self, scores: Tensor, no_noise: Tensor) -> Tensor:
        """Scores of which little is left where a sound seems noise; see :meth:`forward`."""
        left = no_noise * (MAX_NOISE_SHARE / KNOWN_THRESHOLD)
        share = torch.where(no_noise >= KNOWN_THRESHOLD, torch.ones_like(left), left).unsqueeze(1)
        nothing = 0.0 if self.multi_label else 1.0 / scores.shape[1]
        return nothing + share * (scores - nothing)


def probabilities(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Scores by the network alone.

    Parameters
    ----------
    logits : Tensor, shape (..., class)
    multi_label : bool

    Returns
    -------
    Tensor, shape (..., class)
        The softmax over the classes or, where a clip may have several, the sigmoid of each.
    """
    return torch.sigmoid(logits) if multi_label else torch.softmax(logits, dim=-1)


class OodModule(nn.Module):
    """One rule for unknown sounds: the OOD score of a sound, and whether it is too high.

    Parameters
    ----------
    part : EnergyRule or NoiseRule
    dtype : torch.dtype
    """

    def __init__(self, part: OodRule, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.limit, self.dtype = part.limit, dtype
        self.is_of_noise = isinstance(part, NoiseRule)
        self.measure = _NoiseScore(part, dtype) if isinstance(part, NoiseRule) else _EnergyScore()

    def forward(self, logits: Tensor | None = None, statistics: Tensor | None = None) -> Tensor:
        """OOD scores, shape (batch,): by energy or likeness to noise."""
        name, seen = (
            ("statistics of features", statistics) if self.is_of_noise else ("logits", logits)
        )
        if seen is None:
            raise ModelError(f"a rule for unknown sounds of this model needs {name}; found none")
        ood_score: Tensor = self.measure(seen.to(self.dtype))
        return ood_score

    def in_distribution(self, logits: Tensor, statistics: Tensor | None = None) -> Tensor:
        """How known sounds are, 0 to 1, shape (batch,): 0.5 at the limit."""
        return in_distribution(self.limit, self(logits, statistics))


def _as_ood_module(module: nn.Module) -> OodModule:
    return cast(OodModule, module)


def in_distribution(limit: OodLimit, ood_score: Tensor) -> Tensor:
    """In-distribution scores of sounds.

    Parameters
    ----------
    limit : OodLimit
    ood_score : Tensor

    Returns
    -------
    Tensor
        Of the same shape, from 0 to 1: 0.5 at the limit.
    """
    return torch.sigmoid(torch.clamp((limit.value - ood_score) / limit.scale, -10.0, 10.0))


class _EnergyScore(nn.Module):
    """High for sounds that no logit is high for."""

    def forward(self, logits: Tensor) -> Tensor:
        return -torch.logsumexp(logits, dim=1)


class _NoiseScore(nn.Module):
    """How much more a sound is like generated noise than like known sounds."""

    def __init__(self, part: NoiseRule, dtype: torch.dtype) -> None:
        super().__init__()
        self.moved = part.offset
        for name in ("widths", "centres", "weights"):
            self.register_buffer(name, _numbers(getattr(part, name), dtype))

    def forward(self, statistics: Tensor) -> Tensor:
        centres, x = self.get_buffer("centres"), statistics * self.get_buffer("widths")
        squares = (x * x).sum(dim=1, keepdim=True) + (centres * centres).sum(dim=1)
        kernels = torch.exp(-torch.relu(squares - 2.0 * x @ centres.T))
        return kernels @ self.get_buffer("weights") + self.moved


def _numbers(
    values: tuple[float, ...] | NDArray[np.float32], dtype: torch.dtype = torch.float64
) -> Tensor:
    # By name, as models are built on the device "meta" before their weights are read.
    return torch.tensor(values, dtype=dtype, device="cpu")
