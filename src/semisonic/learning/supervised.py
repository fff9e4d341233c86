"""Supervised training: the classes of labelled clips, alone or together with another task.

Papers: label smoothing, Szegedy et al. 2016, "Rethinking the Inception architecture",
section 7. Soft targets (shares of classes that sum to one) as mix-up makes them, Zhang et
al. 2018.

What it changes: nothing; it is the plain objective to compare every other one with. It takes the
same augmentation, mixing and loss as the others, so that a comparison is fair.

Where we differ: with several labels per clip, every class is a separate yes-or-no question and
smoothing pulls both answers towards one half, since the paper speaks of one label only.

**Jointly with another task** on one encoder.

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

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.learning.losses import CrossEntropy, shares
from semisonic.learning.objective import BatchLike, Objective, full_precision, targets_of
from semisonic.models.encoder import Encoder
from semisonic.models.sound_model import SoundModel

NOISY = "noisy"
"""The stream of clips with unverified labels."""


class Supervised(Objective):
    """Cross-entropy, or binary cross-entropy per class for a model of several labels.

    Parameters
    ----------
    model : SoundModel or nn.Module
        A :class:`SoundModel`, or any module that makes logits, (batch, class), of the ``x`` of a
        batch.
    n_classes : int, optional
        Number of logits. Needed for a plain module; a :class:`SoundModel` knows it.
    multi_label : bool
        Whether a clip may have several labels. For a plain module; a :class:`SoundModel` knows it.
    loss : nn.Module, optional
        Logits and targets to the loss of each row; cross-entropy by default. See
        :mod:`semisonic.learning.losses`.
    augment : nn.Module, optional
        Features in dB to features in dB, another draw for each clip and step.
    mix : nn.Module, optional
        ``(features, shares) -> (features, shares)`` of mixed clips; comes after ``augment``.
    noisy_loss : nn.Module, optional
        As ``loss``, for clips with unverified labels: the stream ``noisy`` is then read too,
        and the loss is the mean over the rows of both.
    noisy_weight : float
        Weight of a noisy row relative to others, at least 0.

    Notes
    -----
    Reads the stream ``labelled``, and ``noisy`` with a ``noisy_loss``: the rows of both pass the
    network together, so that batch normalisation sees one mixture of clips. Targets are class
    numbers, (batch,), or shares of classes, (batch, class). Terms: ``loss``, and ``accuracy`` of
    the training batches (as seen by the network in training: with dropout, augmentation and
    mixing, where the class with the larger share is the right one) unless the model is of several
    labels.
    """

    streams: tuple[str, ...] = ("labelled",)

    def __init__(
        self,
        model: nn.Module,
        *,
        n_classes: int = 0,
        multi_label: bool = False,
        loss: nn.Module | None = None,
        augment: nn.Module | None = None,
        mix: nn.Module | None = None,
        noisy_loss: nn.Module | None = None,
        noisy_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if isinstance(model, SoundModel):
            if n_classes or multi_label:
                raise ModelError(
                    "n_classes and multi_label: found values for a SoundModel, which knows them; "
                    "leave them out"
                )
            n_classes, multi_label = len(model.classes), model.multi_label
        if n_classes < 1:
            raise ModelError(
                f"n_classes: found {n_classes} for a {type(model).__name__}, expected the number "
                "of its logits"
            )
        self.model, self.n_classes, self.multi_label = model, n_classes, multi_label
        self.noisy_loss, self.noisy_weight = noisy_loss, noisy_weight
        if noisy_loss is not None:
            self.streams = (*type(self).streams, NOISY)
        self.row_loss = CrossEntropy(multi_label=multi_label) if loss is None else loss
        self.augment, self.mix = augment, mix

    @property
    def body(self) -> Encoder | None:
        """The model's encoder, without neck and class layer; None for a plain module."""
        return self.model.encoder if isinstance(self.model, SoundModel) else None

    def logits(self, x: Tensor) -> Tensor:
        """Logits of features, (batch, class), in float32."""
        model = self.model
        logits: Tensor = model.from_features(x) if isinstance(model, SoundModel) else model(x)
        return logits.float()

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one labelled batch."""
        x, target = self.mixed(*self.labelled(batches))
        logits = self.logits(x)
        return {"loss": self.loss_of(logits, target, batches), **self.accuracy(logits, target)}

    def labelled(self, batches: Mapping[str, BatchLike]) -> tuple[Tensor, Tensor]:
        """Augmented features and shares of classes, (batch, class), the noisy rows last."""
        parts = [batches["labelled"]] + ([batches[NOISY]] if self.noisy_loss is not None else [])
        x = torch.cat([part.x for part in parts]) if len(parts) > 1 else parts[0].x
        target = torch.cat(
            [
                shares(targets_of(part, name), self.n_classes)
                for part, name in zip(parts, ("labelled", NOISY), strict=False)
            ]
        )
        if self.augment is None:
            return x, target
        with full_precision(x):
            return self.augment(x), target

    def loss_of(self, logits: Tensor, target: Tensor, batches: Mapping[str, BatchLike]) -> Tensor:
        """The mean loss of the rows of :meth:`labelled`, each part by its own loss."""
        if self.noisy_loss is None:
            mean: Tensor = self.row_loss(logits, target).mean()
            return mean
        n = len(batches["labelled"].x)
        certain = self.row_loss(logits[:n], target[:n]).sum()
        noisy = self.noisy_loss(logits[n:], target[n:]).sum()
        loss: Tensor = (certain + self.noisy_weight * noisy) / len(logits)
        return loss

    def mixed(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Features and shares of classes after mixing, if there is any."""
        if self.mix is None:
            return x, target
        with full_precision(x):
            x, target = self.mix(x, target)
        return x, target

    def accuracy(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The term ``accuracy``; nothing for a model of several labels."""
        if self.multi_label:
            return {}
        return {"accuracy": (logits.argmax(dim=1) == target.argmax(dim=1)).float().mean()}


class Joint(Objective):
    """A supervised loss plus a weight times the loss of another task.

    Parameters
    ----------
    supervised : Objective
        Reads the stream ``labelled`` and no other.
    task : Objective
        Reads the stream ``unlabelled`` and no other. It must hold the supervised model's own
        encoder and standardisation, for example
        ``Reconstruction(autoencoder, model.frontend.standardize)``, the former with its encoder.
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
        """What torch prints besides its modules."""
        return f"weight={self.weight}"
