"""Distribution alignment: guesses about unlabelled clips shall not favour a few classes.

Papers: Berthelot et al. 2020, "ReMixMatch"; Berthelot et al. 2022, "AdaMatch". A network
trained on few labels answers with its favourite classes too often, learns from its own answers
and favours them more. Dividing by how often it answers with each class, and multiplying by how
often the class is expected, breaks that circle.

Where we differ: the strength can be chosen, since the pool's classes are rarely known to be as
frequent as those of the labels: 1 aligns in full, as in the papers, 0 not at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError


class Alignment(nn.Module):
    """Brings the mean of scores over the pool nearer to the mean of the labels.

    Parameters
    ----------
    n_classes : int
    strength : float
        0 to 1; the power that the ratio of expected and found frequency is taken to.
    momentum : float
        Of the two running means, 0 to less than 1.

    Notes
    -----
    ``forward(scores)`` gives aligned scores that sum to one, (batch, class). The means are
    buffers, so checkpoints hold them: ``expected`` follows labels, ``found`` follows scores.
    """

    expected: Tensor
    found: Tensor

    def __init__(self, n_classes: int, strength: float = 1.0, momentum: float = 0.98) -> None:
        super().__init__()
        if not 0.0 <= strength <= 1.0:
            raise OptionError(f"option 'alignment': found {strength}, expected 0 to 1")
        self.strength, self.momentum = strength, momentum
        self.register_buffer("expected", torch.full((n_classes,), 1.0 / n_classes))
        self.register_buffer("found", torch.full((n_classes,), 1.0 / n_classes))

    @torch.no_grad()
    def observe(self, shares: Tensor, scores: Tensor) -> None:
        """Take in the labels of a labelled batch and the scores of an unlabelled one."""
        self.expected.lerp_(shares.float().mean(dim=0), 1.0 - self.momentum)
        self.found.lerp_(scores.float().mean(dim=0), 1.0 - self.momentum)

    def forward(self, scores: Tensor) -> Tensor:
        """Aligned scores, (batch, class)."""
        if not self.strength:
            return scores
        ratio = self.expected / self.found.clamp_min(1e-6)
        aligned = scores * ratio**self.strength
        return aligned / aligned.sum(dim=1, keepdim=True)

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"strength={self.strength}, momentum={self.momentum}"
