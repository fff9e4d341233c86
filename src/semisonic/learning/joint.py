"""Classes and another task at once, on one encoder.

Papers: Ranzato and Szummer 2008, "Semi-supervised learning of compact document
representations with deep networks"; Zhang et al. 2016, "Augmenting supervised neural
networks with unsupervised objectives", for convolutional auto-encoders. The student paper
that this project sets out from named it as further work.

What it changes: labelled clips are classified and unlabelled clips reconstructed in every
step, and the sum of both losses is minimised. The encoder cannot forget what the unlabelled
clips taught it while it learns from the few labels.

Where we differ: the second task may be any objective that reads unlabelled clips, such as
denoising, masking or two views, and it need not have a decoder. Weight 0 leaves the
supervised objective alone, with its streams and its random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.learning.base import BatchLike, Objective

if TYPE_CHECKING:
    from semisonic.models.encoder import Encoder


class Joint(Objective):
    """A supervised loss plus a weight times the loss of another task.

    Parameters
    ----------
    supervised : Objective
        Reads the stream ``labelled`` and no other.
    task : Objective
        Reads the stream ``unlabelled`` and no other. It must hold the supervised model's own
        encoder and standardisation, for example
        ``Reconstruction(AutoEncoder(model.encoder, "upsample"), model.frontend.standardize)``.
    weight : float
        Of the task's loss, at least 0.

    Notes
    -----
    Reads the streams ``labelled`` (one pass is an epoch) and ``unlabelled``. Terms: ``loss``,
    the supervised terms by their own names, with its loss as ``class_loss``, and the task's
    with ``task_`` in front. Batch normalisation sees both batches, one after the other.
    """

    def __init__(self, supervised: Objective, task: Objective, weight: float = 1.0) -> None:
        super().__init__()
        if not weight >= 0:
            raise OptionError(f"option 'weight': found {weight}, expected at least 0")
        expected = (("labelled",), ("unlabelled",))
        if (supervised.streams, task.streams) != expected:
            raise OptionError(
                f"joint objective: found tasks that read {supervised.streams} and "
                f"{task.streams}, expected {expected[0]} and {expected[1]}"
            )
        self.supervised = supervised
        self.task = task
        self.weight = weight
        self.streams = ("labelled", "unlabelled") if weight > 0 else ("labelled",)

    @property
    def body(self) -> Encoder | None:
        """The encoder that both tasks share."""
        return self.supervised.body

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of a labelled and an unlabelled batch."""
        terms = dict(self.supervised({"labelled": batches["labelled"]}))
        if self.weight == 0:
            return terms
        others = self.task({"unlabelled": batches["unlabelled"]})
        class_loss = terms.pop("loss")
        return {
            "loss": class_loss + self.weight * others["loss"],
            "class_loss": class_loss.detach(),
            **terms,
            **{f"task_{name}": value.detach() for name, value in others.items()},
        }

    def after_step(self) -> None:
        """Both tasks move what follows the weights."""
        self.supervised.after_step()
        self.task.after_step()

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"weight={self.weight}"
