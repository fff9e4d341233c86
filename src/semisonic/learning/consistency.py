"""Consistency methods: answers to two views of a clip should agree. Mean teacher, Π-model.

Papers: Sajjadi et al. 2016, "Regularization with stochastic transformations"; Laine and Aila
2017, "Temporal ensembling for semi-supervised learning" (Π-model); Tarvainen and Valpola 2017,
"Mean teachers are better role models".

What it changes: beside the loss of labelled clips, the mean square between the scores of two
randomly augmented views of an unlabelled clip is minimised. In the Π-model both scores are the
network's own; with a mean teacher one comes from a copy of the network whose weights are a moving
average over the steps, and whose answers are therefore steadier than those of any one step.

Where we differ: the gradient goes through one of the two views only. One view is augmented
weakly (the teacher's), the other strongly; in the papers both are alike. Labelled clips have no
part in the disagreement unless they are in the unlabelled stream too. The running statistics of
batch normalisation are averaged with the teacher's weights, which need them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from semisonic.core.errors import OptionError
from semisonic.learning.objective import BatchLike, exact, full_precision, move_towards
from semisonic.learning.supervised import Supervised

if TYPE_CHECKING:
    from semisonic.models.sound_model import SoundModel


class Teacher(nn.Module):
    """An average of a network's weights over the steps of a training.

    After step n the decay is the smaller of ``decay`` and (1 + n) / (10 + n), so that the
    random first weights are soon forgotten.

    Parameters
    ----------
    network : nn.Module
        Stays as it is; it is not held by the teacher.
    decay : float
        From 0 (a plain copy of the last weights) to less than 1.
    """

    network: Any
    """The copy; it has whatever the network has."""

    n_updates: Tensor

    def __init__(self, network: nn.Module, decay: float = 0.99) -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0:
            raise OptionError(
                f"option 'decay' of a teacher: found {decay}, expected 0 to less than 1"
            )
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("n_updates", torch.zeros((), dtype=torch.int64))

    def follow(self, network: nn.Module) -> None:
        """Take in the weights of the network after a step."""
        self.n_updates += 1
        n = exact(self.n_updates)
        share = (1.0 - ((1 + n) / (10 + n)).clamp(max=self.decay)).float()
        move_towards(self.network.state_dict(), network.state_dict(), share)

    def train(self, mode: bool = True) -> Teacher:
        """A teacher is never in training mode: its dropout is off, its statistics are averages."""
        super().train(mode)
        self.network.eval()
        return self

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"decay={self.decay}"


class Ramp(nn.Module):
    """A weight that rises from 0 to 1, as exp(-5 (1 - t)²), over some steps.

    Papers: Laine and Aila 2017, "Temporal ensembling", from where the form is. A network that
    knows nothing yet has nothing to be consistent with.

    Parameters
    ----------
    n_steps : int
        Steps until it is 1; with 0 it always is.
    """

    step: Tensor

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        if n_steps < 0:
            raise OptionError(f"option 'ramp_steps': found {n_steps}, expected at least 0")
        self.n_steps = n_steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def value(self) -> Tensor:
        """The weight of the current step, 0 to 1, a scalar on the device: reading it there stops
        a graphics card until it has caught up."""
        if not self.n_steps:
            return torch.ones((), device=self.step.device)
        share = (exact(self.step) / self.n_steps).clamp(max=1.0)
        return torch.exp(-5.0 * (1.0 - share) ** 2).float()

    def advance(self) -> None:
        """Go on to the next step."""
        self.step += 1

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"n_steps={self.n_steps}"


class Consistency(Supervised):
    """Supervised loss of labelled clips plus disagreement about unlabelled ones.

    Parameters
    ----------
    model : SoundModel
        The student, where there is a teacher; the one that is kept.
    weak, strong : nn.Module
        The two views of an unlabelled clip, features in dB to features in dB. ``strong`` is
        what is learned from, ``weak`` what gives the answer to agree with.
    decay : float, optional
        Of a mean teacher's weights, 0 to less than 1. Without it the answer is the network's
        own, with dropout as in training: the Π-model.
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
        decay: float | None = None,
        weight: float = 30.0,
        ramp_steps: int = 0,
        **supervised: Any,
    ) -> None:
        super().__init__(model, **supervised)
        if weight < 0:
            raise OptionError(f"option 'weight': found {weight}, expected at least 0")
        self.weak, self.strong, self.weight = weak, strong, weight
        self.ramp = Ramp(ramp_steps)
        self.teacher = None if decay is None else Teacher(model, decay)

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
        return {
            "loss": labelled + weight * disagreement,
            "labelled": labelled.detach(),
            "disagreement": disagreement.detach(),
            "weight": weight,
            **self.accuracy(own, target),
        }

    @torch.no_grad()
    def answer(self, x: Tensor) -> Tensor:
        """The scores, (batch, class), that the other view's shall agree with."""
        network = self.model if self.teacher is None else self.teacher.network
        scores: Tensor = self.model.probabilities(network.from_features(x).float())
        return scores

    def after_step(self) -> None:
        """The weight rises, the teacher follows."""
        self.ramp.advance()
        if self.teacher is not None:
            self.teacher.follow(self.model)

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"weight={self.weight}"
