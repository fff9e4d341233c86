"""Learn from unlabelled clips with two views of each, one harder than the other.

**The Π-model**: the answers to both views should agree.

Papers: Sajjadi et al. 2016, "Regularization with stochastic transformations"; Laine and Aila
2017, "Temporal ensembling for semi-supervised learning" (Π-model, and the ramp of the weight).

What it changes: in addition to the loss of labelled clips, the mean square between the scores of
two randomly augmented views of an unlabelled clip is minimised.

Where we differ: the gradient goes through one of the two views only. One view is augmented
weakly, the other strongly; in the papers both are alike. Labelled clips have no part in the
disagreement unless they are in the unlabelled stream too.

**FixMatch**: learn from one's own sure predictions, on the harder view.

Papers: Sohn et al. 2020, "FixMatch" (a fixed threshold); Berthelot et al. 2020, "ReMixMatch", and
2022, "AdaMatch" (distribution alignment); Berthelot et al. 2019, "MixMatch" (mixing clips with
labels and with pseudo-labels).

What it changes: the network predicts the class of an unlabelled clip from a weakly augmented view.
A prediction with a high enough score becomes the target, the pseudo-label, of a strongly augmented
view. A network trained on few labels answers with its favourite classes too often, learns from its
own answers and favours them more; alignment divides by how often it answers with each class and
multiplies by how often the class is expected, which breaks that circle.

Where we differ: the strength of the alignment can be chosen, since the pool's classes are rarely
known to be as frequent as those of the labels. Pseudo-labels come from the network in evaluation
mode (no dropout, running statistics). Clips without one are left out of the pass altogether, which
on a processor saves their time. Labelled and pseudo-labelled clips are mixed with one another when
there is a ``mix``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.learning.objective import BatchLike, eval_mode, full_precision
from semisonic.learning.supervised import Supervised
from semisonic.models.decision import probabilities


class Consistency(Supervised):
    """Supervised loss of labelled clips plus disagreement about unlabelled ones.

    Parameters
    ----------
    model : SoundModel or nn.Module
        As for :class:`Supervised`.
    weak, strong : nn.Module
        The two views of an unlabelled clip, features in dB to features in dB. ``strong`` is the
        view to learn from, ``weak`` gives the answer to agree with.
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
        model: nn.Module,
        *,
        weak: nn.Module,
        strong: nn.Module,
        weight: float = 30.0,
        ramp_steps: int = 0,
        **supervised: Any,
    ) -> None:
        super().__init__(model, **supervised)
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
            wanted = probabilities(self.logits(weak), multi_label=self.multi_label)
        # Both in one pass, so that batch normalisation sees one mixture of clips.
        logits = self.logits(torch.cat([x, strong]))
        own, others = logits[: len(x)], logits[len(x) :]
        labelled = self.loss_of(own, target, batches)
        disagreement = (
            (probabilities(others, multi_label=self.multi_label) - wanted).square().mean()
        )
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
        """What torch prints besides its modules."""
        return f"weight={self.weight}, ramp_steps={self.ramp_steps}"


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


class FixMatch(Supervised):
    """Supervised loss of labelled clips plus that of pseudo-labelled ones.

    Parameters
    ----------
    model : SoundModel or nn.Module
        As for :class:`Supervised`.
    weak, strong : nn.Module
        Views of an unlabelled clip, features in dB to features in dB: predicted is on the one,
        learned on the other.
    threshold : float
        The least score of the best class that makes a pseudo-label, 0 to 1.
    alignment : float
        Strength of distribution alignment, 0 to 1; see :class:`Alignment`. One label per clip
        only: with several, the network may well find most clips silent.
    weight : float
        Weight of pseudo-labelled clips relative to labelled ones, at least 0.
    n_classes, multi_label, loss, augment, mix
        As for :class:`Supervised`.

    Notes
    -----
    Reads the streams ``labelled`` and ``unlabelled``. Terms: ``loss``, ``labelled``,
    ``pseudo_labelled``, ``used`` (share of unlabelled clips with a pseudo-label), ``accuracy``
    of labelled clips and, when the unlabelled stream happens to know the classes (as numbers,
    -1 where not), ``precision`` of the pseudo-labels. That term is for looking only.

    With several labels per clip, each class is judged separately: present if its score is above
    the threshold, absent if it is below one minus the threshold, else unknown. Unlabelled clips
    are then not mixed.
    """

    streams = ("labelled", "unlabelled")

    def __init__(
        self,
        model: nn.Module,
        *,
        weak: nn.Module,
        strong: nn.Module,
        threshold: float = 0.9,
        alignment: float = 1.0,
        weight: float = 1.0,
        n_classes: int = 0,
        multi_label: bool = False,
        loss: nn.Module | None = None,
        augment: nn.Module | None = None,
        mix: nn.Module | None = None,
    ) -> None:
        super().__init__(
            model,
            n_classes=n_classes,
            multi_label=multi_label,
            loss=loss,
            augment=augment,
            mix=mix,
        )
        self.weak, self.strong, self.weight, self.threshold = weak, strong, weight, threshold
        self.align = Alignment(self.n_classes, 0.0 if self.multi_label else alignment)

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of a labelled and an unlabelled batch."""
        x, target = self.labelled(batches)
        u = batches["unlabelled"].x
        scores = self.predict(u, target)
        with full_precision(u):
            strong = self.strong(u)
        if self.multi_label:
            return self._several(x, target, strong, scores)
        best, number = scores.max(dim=1)
        used = best >= self.threshold
        pseudo = functional.one_hot(number, scores.shape[1]).float()
        n, taken = len(x), used.nonzero()[:, 0]
        x, target = self.mixed(torch.cat([x, strong[taken]]), torch.cat([target, pseudo[taken]]))
        logits = self.logits(x)
        rows = self.row_loss(logits, target)
        labelled, others = rows[:n].mean(), rows[n:].sum() / len(u)
        return {
            "loss": labelled + self.weight * others,
            "labelled": labelled.detach(),
            "pseudo_labelled": others.detach(),
            "used": used.float().mean(),
            **self.accuracy(logits[:n], target[:n]),
            **precision(pseudo, used, batches["unlabelled"].y),
        }

    @torch.no_grad()
    def predict(self, u: Tensor, target: Tensor) -> Tensor:
        """Aligned scores of unlabelled clips, (batch, class), from a weak view of each."""
        with full_precision(u):
            weak = self.weak(u)
        with eval_mode(self.model):
            scores = probabilities(self.logits(weak), multi_label=self.multi_label)
        self.align.observe(target, scores)
        aligned: Tensor = self.align(scores)
        return aligned

    def _several(self, x: Tensor, target: Tensor, u: Tensor, scores: Tensor) -> dict[str, Tensor]:
        """The same for a model of several labels: every class is judged by itself."""
        x, target = self.mixed(x, target)
        logits = self.logits(torch.cat([x, u]))
        labelled = self.row_loss(logits[: len(x)], target).mean()
        sure = (scores >= self.threshold) | (scores <= 1.0 - self.threshold)
        each = functional.binary_cross_entropy_with_logits(
            logits[len(x) :], (scores >= 0.5).float(), reduction="none"
        )
        others = (each * sure).mean()
        return {
            "loss": labelled + self.weight * others,
            "labelled": labelled.detach(),
            "pseudo_labelled": others.detach(),
            "used": sure.float().mean(),
        }

    def extra_repr(self) -> str:
        """What torch prints besides its modules."""
        return f"weight={self.weight}, threshold={self.threshold}"


def precision(pseudo: Tensor, used: Tensor, truth: Tensor | None) -> dict[str, Tensor]:
    """The term ``precision``: share of right pseudo-labels among those of known clips."""
    if truth is None or truth.ndim != 1:
        return {}
    known = used & (truth >= 0)
    right = (pseudo.argmax(dim=1) == truth) & known
    return {"precision": right.sum() / known.sum().clamp_min(1)}
