"""Mean teacher: a network agrees with the average of its own past.

Paper: Tarvainen and Valpola 2017, "Mean teachers are better role models".

What it changes: the answer to agree with comes from a copy of the network whose weights are a
moving average over the steps.

Where we differ: the teacher hears the weak view and the student the strong one; in the paper
both are augmented alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from semisonic.learning.consistency import Consistency
from semisonic.learning.teacher import Teacher

if TYPE_CHECKING:
    from semisonic.models import SoundModel


class MeanTeacher(Consistency):
    """Disagreement with the teacher's answer.

    Parameters
    ----------
    model : SoundModel
        The student; the one that is kept.
    decay : float
        Of the teacher's weights, 0 to less than 1.
    **options
        As for :class:`Consistency`.
    """

    def __init__(self, model: SoundModel, *, decay: float = 0.99, **options: Any) -> None:
        super().__init__(model, **options)
        self.teacher = Teacher(model, decay)

    @torch.no_grad()
    def answer(self, x: Tensor) -> Tensor:
        """The teacher's scores for the weak view."""
        scores: Tensor = self.model.probabilities(self.teacher.network.from_features(x).float())
        return scores

    def after_step(self) -> None:
        """The teacher follows, the weight rises."""
        super().after_step()
        self.teacher.follow(self.model)
