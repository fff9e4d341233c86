"""Supervised training: the classes of labelled clips.

Papers: label smoothing, Szegedy et al. 2016, "Rethinking the Inception architecture",
section 7. Soft targets (shares of classes that sum to one) as mix-up makes them, Zhang et
al. 2018.

What it changes: nothing; it is the plain objective that every other one is held against.

Where we differ: with several labels a clip, every class is a yes-or-no question of its own
and smoothing pulls both answers towards one half, since the paper speaks of one label only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.base.errors import OptionError
from semisonic.learning.base import BatchLike, Objective, targets_of

if TYPE_CHECKING:
    from semisonic.models import SoundModel


class Supervised(Objective):
    """Cross-entropy, or binary cross-entropy per class for a model of several labels.

    Parameters
    ----------
    model : SoundModel
        Its ``from_features`` gives logits, (batch, class).
    label_smoothing : float
        Share of the target that is spread over all classes, from 0 up to 1 (excluded).

    Notes
    -----
    Reads the stream ``labelled``. Targets are class numbers, (batch,), or shares of
    classes, (batch, class). Terms: ``loss``, and ``accuracy`` of the training batches (as
    seen by the network in training: with dropout and augmentation) unless the model is of
    several labels.
    """

    streams = ("labelled",)

    def __init__(self, model: SoundModel, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= label_smoothing < 1.0:
            raise OptionError(
                f"option 'label_smoothing': found {label_smoothing}, "
                "expected at least 0 and less than 1"
            )
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one labelled batch."""
        batch = batches["labelled"]
        target = targets_of(batch, "labelled")
        logits = self.model.from_features(batch.x).float()  # (batch, class)
        if self.model.multi_label:
            loss = binary_cross_entropy(logits, target, self.label_smoothing)
            return {"loss": loss}
        loss = functional.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        return {"loss": loss, "accuracy": batch_accuracy(logits.detach(), target)}

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"label_smoothing={self.label_smoothing}"


def binary_cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over clips and classes of the loss of each yes-or-no question.

    Both arguments are (batch, class); targets lie in 0..1.
    """
    soft = target.to(logits.dtype) * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return functional.binary_cross_entropy_with_logits(logits, soft)


@torch.no_grad()
def batch_accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Share of clips whose highest logit is the (largest) target, a scalar in 0..1."""
    wanted = target if target.ndim == 1 else target.argmax(dim=1)
    return (logits.argmax(dim=1) == wanted).float().mean()
