"""The Π-model: answers to two views of a clip should agree.

Papers: Sajjadi et al. 2016, "Regularization with stochastic transformations"; Laine and Aila
2017, "Temporal ensembling for semi-supervised learning" (Π-model, and the ramp of the weight).

What it changes: beside the loss of labelled clips, the mean square between the scores of two
randomly augmented views of an unlabelled clip is minimised.

Where we differ: the gradient goes through one of the two views only. One view is augmented
weakly, the other strongly; in the papers both are alike. Labelled clips have no part in the
disagreement unless they are in the unlabelled stream too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from semisonic.core.errors import OptionError
from semisonic.learning.objective import BatchLike, full_precision
from semisonic.learning.supervised import Supervised

if TYPE_CHECKING:
    from semisonic.models.sound_model import SoundModel


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
        Steps in which the weight rises as exp(-5 (1 - t)²): a network that knows nothing yet has
        nothing to be consistent with. With 0 it has its full value at once.
    **supervised
        As for :class:`Supervised`, for labelled clips.

    Notes
    -----
    Reads the streams ``labelled`` and ``unlabelled``. Terms: ``loss``, ``labelled``,
    ``disagreement`` (mean square over classes of the difference of scores), ``weight`` (that of
    the disagreement at this step), and ``accuracy`` of labelled clips.
    """

    streams = ("labelled", "unlabelled")
    step: Tensor

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
        for name, value in (("weight", weight), ("ramp_steps", ramp_steps)):
            if value < 0:
                raise OptionError(f"option '{name}': found {value}, expected at least 0")
        self.weak, self.strong = weak, strong
        self.weight, self.ramp_steps = weight, ramp_steps
        # On the device: reading a number there stops a graphics card until it has caught up.
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of a labelled and an unlabelled batch."""
        x, target = self.mixed(*self.labelled(batches))
        u = batches["unlabelled"].x
        with full_precision(u):
            weak, strong = self.weak(u), self.strong(u)
        with torch.no_grad():
            wanted = self.model.probabilities(self.model.from_features(weak).float())
        # Both in one pass, so that batch normalisation sees one mixture of clips.
        logits = self.model.from_features(torch.cat([x, strong])).float()
        own, others = logits[: len(x)], logits[len(x) :]
        labelled = self.loss_of(own, target, batches)
        disagreement = (self.model.probabilities(others) - wanted).square().mean()
        risen = (self.step / max(1, self.ramp_steps)).clamp(min=0.0 if self.ramp_steps else 1.0)
        weight = self.weight * torch.exp(-5.0 * (1.0 - risen.clamp(max=1.0)) ** 2)
        return {
            "loss": labelled + weight * disagreement,
            "labelled": labelled.detach(),
            "disagreement": disagreement.detach(),
            "weight": weight,
            **self.accuracy(own, target),
        }

    def after_step(self) -> None:
        """The weight rises."""
        self.step += 1

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"weight={self.weight}, ramp_steps={self.ramp_steps}"
