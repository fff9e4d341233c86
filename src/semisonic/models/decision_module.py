"""A decision as a module of torch, for files that other programs run: numbers in, scores out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from semisonic.models.decision import KNOWN_FROM, MOST_LEFT, Decision
from semisonic.models.unknown import Noise


class DecisionModule(nn.Module):
    """The scores of :meth:`Decision.apply`, computed by torch in operations that can be exported.

    How known a sound is, is not given: it does not change scores but for noise.

    Parameters
    ----------
    decision : Decision
    multi_label : bool
    """

    def __init__(self, decision: Decision, *, multi_label: bool) -> None:
        super().__init__()
        self.multi_label = multi_label
        calibration = decision.calibration
        self.register_buffer("scale", _numbers(calibration.scale or (1.0,)))
        self.register_buffer("offset", _numbers(calibration.offset or (0.0,)))
        self.curves = nn.ModuleList(_Curve(x, y) for x, y in calibration.knots)
        found = [part for part in decision.unknown.parts if isinstance(part, Noise)]
        self.noise = _NoNoise(found[0]) if found else None

    def forward(self, logits: Tensor, embedding: Tensor) -> Tensor:
        """Scores, shape (batch, n_classes); the embedding may have statistics behind it."""
        moved = logits * self.get_buffer("scale") + self.get_buffer("offset")
        scores = torch.sigmoid(moved) if self.multi_label else torch.softmax(moved, dim=1)
        if len(self.curves):
            columns = [curve(scores[:, i]) for i, curve in enumerate(self.curves)]
            scores = torch.stack(columns, dim=1)
            if not self.multi_label:
                scores = scores / scores.sum(dim=1, keepdim=True)
        if self.noise is None:
            return scores
        no_noise = self.noise(embedding)
        left = no_noise * (MOST_LEFT / KNOWN_FROM)
        share = torch.where(no_noise >= KNOWN_FROM, torch.ones_like(left), left).unsqueeze(1)
        nothing = 0.0 if self.multi_label else 1.0 / scores.shape[1]
        return nothing + share * (scores - nothing)


class _Curve(nn.Module):
    """Straight lines between knots, level outside; in double precision, as steps are steep."""

    def __init__(self, x: tuple[float, ...], y: tuple[float, ...]) -> None:
        super().__init__()
        slopes = np.diff(y) / np.diff(x)
        turns = np.diff(slopes, prepend=0.0, append=0.0) if len(x) > 1 else np.zeros(1)
        self.start = float(y[0])
        self.register_buffer("x", torch.tensor(x, dtype=torch.float64))
        self.register_buffer("turns", torch.from_numpy(np.asarray(turns, np.float64)))

    def forward(self, scores: Tensor) -> Tensor:
        beyond = torch.relu(scores.double().unsqueeze(1) - self.get_buffer("x"))
        return (self.start + (beyond * self.get_buffer("turns")).sum(dim=1)).float()


class _NoNoise(nn.Module):
    """How far a sound is from noise, as the rule against noise says."""

    def __init__(self, part: Noise) -> None:
        super().__init__()
        self.value, self.spread, self.moved = part.limit.value, part.limit.scale, part.offset
        self.seen = part.seen
        for name in ("widths", "centres", "weights"):
            self.register_buffer(name, torch.from_numpy(getattr(part, name)))

    def forward(self, embedding: Tensor) -> Tensor:
        centres, x = self.get_buffer("centres"), self.seen(embedding) * self.get_buffer("widths")
        squares = (x * x).sum(dim=1, keepdim=True) + (centres * centres).sum(dim=1)
        kernels = torch.exp(-torch.relu(squares - 2.0 * x @ centres.T))
        strangeness = kernels @ self.get_buffer("weights") + self.moved
        steps = torch.clamp((self.value - strangeness) / self.spread, -10.0, 10.0)
        return torch.sigmoid(steps)


def _numbers(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
