"""What consistency methods share: answers to two views of a clip should agree.

Papers: Sajjadi et al. 2016, "Regularization with stochastic transformations"; Laine and Aila
2017, "Temporal ensembling for semi-supervised learning".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.learning.base import BatchLike, full_precision
from semisonic.learning.ramp import Ramp
from semisonic.learning.supervised import Supervised

if TYPE_CHECKING:
    from semisonic.models import SoundModel


class Consistency(Supervised):
    """Supervised loss of labelled clips plus disagreement about unlabelled ones.

    Parameters
    ----------
    model : SoundModel
    weak, strong : nn.Module
        The two views of an unlabelled clip, features in dB to features in dB. ``strong`` is
        what is learned from, ``weak`` what gives the answer to agree with.
    weight : float
        Of the disagreement, at least 0. It is a mean square over classes, which is small:
        values of 10 to 100 are usual.
    ramp_steps : int
        Steps in which the weight rises.
    **supervised
        As for :class:`Supervised`, for labelled clips.

    Notes
    -----
    Reads the streams ``labelled`` and ``unlabelled``. Terms: ``loss``, ``labelled``,
    ``disagreement`` (mean square over classes of the difference of scores), ``weight`` (that of
    the disagreement at this step), and ``accuracy`` of labelled clips.
    """

    streams = ("labelled", "unlabelled")

    def __init__(
        self,
        model: SoundModel,
        *,
        weak: nn.Module,
        strong: nn.Module,
        weight: float = 30.0,
        ramp_steps: int = 0,
        **supervised: Any,
    ) -> None:
        super().__init__(model, **supervised)
        if weight < 0:
            raise OptionError(f"option 'weight': found {weight}, expected at least 0")
        self.weak, self.strong, self.weight = weak, strong, weight
        self.ramp = Ramp(ramp_steps)

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of a labelled and an unlabelled batch."""
        x, target = self.mixed(*self.labelled(batches))
        u = batches["unlabelled"].x
        with full_precision(u):
            weak, strong = self.weak(u), self.strong(u)
        wanted = self.answer(weak)
        # Both in one pass, so that batch normalisation sees one mixture of clips.
        logits = self.model.from_features(torch.cat([x, strong])).float()
        own, others = logits[: len(x)], logits[len(x) :]
        labelled = self.loss_of(own, target, batches)
        disagreement = (self.model.probabilities(others) - wanted).square().mean()
        weight = self.weight * self.ramp.value
        loss = labelled + weight * disagreement
        return {
            "loss": loss,
            "labelled": labelled.detach(),
            "disagreement": disagreement.detach(),
            "weight": weight,
            **self.accuracy(own, target),
        }

    def answer(self, x: Tensor) -> Tensor:
        """The scores, (batch, class), that the other view's shall agree with; no gradient."""
        raise NotImplementedError

    def after_step(self) -> None:
        """The weight rises."""
        self.ramp.advance()

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"weight={self.weight}"
