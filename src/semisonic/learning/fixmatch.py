"""FixMatch and its family: learn from one's own sure guesses, on a harder view.

Papers: Sohn et al. 2020, "FixMatch"; Berthelot et al. 2022, "AdaMatch" (distribution alignment,
relative threshold); Wang et al. 2023, "FreeMatch" (adaptive thresholds); Berthelot et al. 2019,
"MixMatch" (mixing labelled and guessed clips).

What it changes: the network guesses the class of an unlabelled clip from a weakly augmented
view. A guess that is sure enough becomes the target of a strongly augmented view.

Where we differ: guesses come from the network in evaluation mode (no dropout, running
statistics) or from its moving average. Clips without a sure guess are left out of the pass
altogether, which on a processor saves their time. Labelled and guessed clips are mixed with one
another when there is a ``mix``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.base.errors import OptionError
from semisonic.learning.alignment import Alignment
from semisonic.learning.base import BatchLike, full_precision
from semisonic.learning.modes import at_rest
from semisonic.learning.supervised import Supervised
from semisonic.learning.teacher import Teacher
from semisonic.learning.thresholds import Threshold

if TYPE_CHECKING:
    from semisonic.models import SoundModel


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
    steady = False  # only the clips whose guess is sure go on

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
        with at_rest(network):
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
