"""FixMatch and its family: learn from one's own sure guesses, on a harder view.

Papers: Sohn et al. 2020, "FixMatch" (a fixed threshold); Berthelot et al. 2020, "ReMixMatch", and
2022, "AdaMatch" (distribution alignment; a threshold relative to how sure the network is of
labelled clips); Wang et al. 2023, "FreeMatch" (a threshold that rises with how sure the network is
of the pool, and is lower for classes it is less sure of); Berthelot et al. 2019, "MixMatch"
(mixing labelled and guessed clips).

What it changes: the network guesses the class of an unlabelled clip from a weakly augmented
view. A guess that is sure enough becomes the target of a strongly augmented view. A network
trained on few labels answers with its favourite classes too often, learns from its own answers
and favours them more; alignment divides by how often it answers with each class and multiplies by
how often the class is expected, which breaks that circle.

Where we differ: the strength of the alignment can be chosen, since the pool's classes are rarely
known to be as frequent as those of the labels; FreeMatch's fairness term is left out. Guesses come
from the network in evaluation mode (no dropout, running statistics) or from its moving average.
Clips without a sure guess are left out of the pass altogether, which on a processor saves their
time. Labelled and guessed clips are mixed with one another when there is a ``mix``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import OptionError
from semisonic.core.options import nearest
from semisonic.learning.consistency import Teacher
from semisonic.learning.objective import BatchLike, eval_mode, full_precision
from semisonic.learning.supervised import Supervised

if TYPE_CHECKING:
    from semisonic.models.sound_model import SoundModel


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


THRESHOLDS = ("fixed", "relative", "adaptive")


class Threshold(nn.Module):
    """Which guesses are used.

    Parameters
    ----------
    kind : {"fixed", "relative", "adaptive"}
    value : float
        0 to 1. ``fixed``: the least score of the best class. ``relative``: that share of the
        mean best score of labelled clips. ``adaptive``: that share of FreeMatch's thresholds,
        which are the running mean of the best scores of the pool, lower for rarer classes.
    n_classes : int
    momentum : float
        Of the running means, 0 to less than 1.
    """

    sureness: Tensor
    by_class: Tensor

    def __init__(self, kind: str, value: float, n_classes: int, momentum: float = 0.98) -> None:
        super().__init__()
        if kind not in THRESHOLDS:
            raise OptionError(
                f"option 'threshold_kind': found {kind!r}; {nearest(kind, THRESHOLDS)}"
            )
        if not 0.0 <= value <= 1.0:
            raise OptionError(f"option 'threshold': found {value}, expected 0 to 1")
        self.kind, self.value, self.momentum = kind, value, momentum
        self.register_buffer("sureness", torch.tensor(1.0 / n_classes))
        self.register_buffer("by_class", torch.full((n_classes,), 1.0 / n_classes))

    @torch.no_grad()
    def observe(self, scores: Tensor) -> None:
        """Take in scores, (batch, class): of labelled clips if relative, of the pool else."""
        rate = 1.0 - self.momentum
        self.sureness.lerp_(scores.amax(dim=1).mean().float(), rate)
        self.by_class.lerp_(scores.mean(dim=0).float(), rate)

    def forward(self, scores: Tensor) -> Tensor:
        """Which rows are used, bool (batch,)."""
        best, number = scores.max(dim=1)
        return best >= self.limits()[number]

    def limits(self) -> Tensor:
        """The threshold of each class, (class,)."""
        if self.kind == "fixed":
            return torch.full_like(self.by_class, self.value)
        if self.kind == "relative":
            return (self.value * self.sureness).expand_as(self.by_class)
        return self.value * self.sureness * self.by_class / self.by_class.amax()

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.kind}, value={self.value}, momentum={self.momentum}"


class FixMatch(Supervised):
    """Supervised loss of labelled clips plus that of sure guesses about unlabelled ones.

    Parameters
    ----------
    model : SoundModel
    weak, strong : nn.Module
        Views of an unlabelled clip, features in dB to features in dB: guesses are made on the
        one and learned on the other.
    threshold : float
    threshold_kind : {"fixed", "relative", "adaptive"}
        See :class:`Threshold`.
    alignment : float
        Strength of distribution alignment, 0 to 1; see :class:`Alignment`. One label per clip
        only: with several, the network may well find most clips silent.
    weight : float
        Of guessed clips beside labelled ones, at least 0.
    temperature : float
        0 makes a guess a class; above, it stays a distribution, sharpened below 1.
    teacher_decay : float
        Guesses come from the weights' moving average with this decay; 0: from the network.
    loss, augment, mix
        As for :class:`Supervised`.

    Notes
    -----
    Reads the streams ``labelled`` and ``unlabelled``. Terms: ``loss``, ``labelled``,
    ``guessed``, ``used`` (share of unlabelled clips whose guess was sure), ``accuracy`` of
    labelled clips and, when the unlabelled stream happens to know the classes (as numbers,
    -1 where not), ``precision`` of the guesses used. That term is for looking only.

    With several labels per clip each class is guessed by itself: present where its score is
    above the threshold, absent where it is below one minus it, else left open. Guessed clips
    are then not mixed.
    """

    streams = ("labelled", "unlabelled")

    def __init__(
        self,
        model: SoundModel,
        *,
        weak: nn.Module,
        strong: nn.Module,
        threshold: float = 0.9,
        threshold_kind: str = "fixed",
        alignment: float = 1.0,
        weight: float = 1.0,
        temperature: float = 0.0,
        teacher_decay: float = 0.0,
        loss: nn.Module | None = None,
        augment: nn.Module | None = None,
        mix: nn.Module | None = None,
    ) -> None:
        super().__init__(model, loss=loss, augment=augment, mix=mix)
        for name, value in (("weight", weight), ("temperature", temperature)):
            if value < 0:
                raise OptionError(f"option '{name}': found {value}, expected at least 0")
        if model.multi_label and threshold_kind != "fixed":
            raise OptionError(
                f"option 'threshold_kind': found '{threshold_kind}', which needs one label a "
                "clip; with several labels use 'fixed'"
            )
        n_classes = len(model.classes)
        self.weak, self.strong = weak, strong
        self.weight, self.temperature = weight, temperature
        self.align = Alignment(n_classes, 0.0 if model.multi_label else alignment)
        self.threshold = Threshold(threshold_kind, threshold, n_classes)
        self.teacher = Teacher(model, teacher_decay) if teacher_decay else None

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of a labelled and an unlabelled batch."""
        x, target = self.labelled(batches)
        u = batches["unlabelled"].x
        scores = self.guess(u, batches["labelled"].x, target)
        with full_precision(u):
            strong = self.strong(u)
        if self.model.multi_label:
            return self._several(x, target, strong, scores)
        used = self.threshold(scores)
        guessed = self.target_of(scores)
        n, taken = len(x), used.nonzero()[:, 0]
        x, target = self.mixed(torch.cat([x, strong[taken]]), torch.cat([target, guessed[taken]]))
        logits = self.model.from_features(x).float()
        rows = self.row_loss(logits, target)
        labelled, others = rows[:n].mean(), rows[n:].sum() / len(u)
        return {
            "loss": labelled + self.weight * others,
            "labelled": labelled.detach(),
            "guessed": others.detach(),
            "used": used.float().mean(),
            **self.accuracy(logits[:n], target[:n]),
            **precision(guessed, used, batches["unlabelled"].y),
        }

    @torch.no_grad()
    def guess(self, u: Tensor, x: Tensor, target: Tensor) -> Tensor:
        """Aligned scores of unlabelled clips, (batch, class), from a weak view of each."""
        network: SoundModel = self.model if self.teacher is None else self.teacher.network
        relative = self.threshold.kind == "relative"
        with full_precision(u):
            views = torch.cat([self.weak(x), self.weak(u)]) if relative else self.weak(u)
        with eval_mode(network):
            scores = self.model.probabilities(network.from_features(views).float())
        own, scores = scores[: len(scores) - len(u)], scores[-len(u) :]
        self.align.observe(target, scores)
        aligned: Tensor = self.align(scores)
        self.threshold.observe(own if relative else aligned)
        return aligned

    def target_of(self, scores: Tensor) -> Tensor:
        """What a guess says: a class, or a sharpened distribution; (batch, class)."""
        if not self.temperature:
            return functional.one_hot(scores.argmax(dim=1), scores.shape[1]).float()
        return (scores.clamp_min(1e-8).log() / self.temperature).softmax(dim=1)

    def _several(self, x: Tensor, target: Tensor, u: Tensor, scores: Tensor) -> dict[str, Tensor]:
        """The same for a model of several labels: every class is guessed by itself."""
        x, target = self.mixed(x, target)
        logits = self.model.from_features(torch.cat([x, u])).float()
        labelled = self.row_loss(logits[: len(x)], target).mean()
        limit = self.threshold.value
        sure = (scores >= limit) | (scores <= 1.0 - limit)
        each = functional.binary_cross_entropy_with_logits(
            logits[len(x) :], (scores >= 0.5).float(), reduction="none"
        )
        others = (each * sure).mean()
        return {
            "loss": labelled + self.weight * others,
            "labelled": labelled.detach(),
            "guessed": others.detach(),
            "used": sure.float().mean(),
        }

    def after_step(self) -> None:
        """The teacher follows."""
        if self.teacher is not None:
            self.teacher.follow(self.model)

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"weight={self.weight}, temperature={self.temperature}"


def precision(guessed: Tensor, used: Tensor, truth: Tensor | None) -> dict[str, Tensor]:
    """The term ``precision``: share of right guesses among those used of known clips."""
    if truth is None or truth.ndim != 1:
        return {}
    known = used & (truth >= 0)
    right = (guessed.argmax(dim=1) == truth) & known
    return {"precision": right.sum() / known.sum().clamp_min(1)}
