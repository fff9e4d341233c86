"""An encoder that stays as it is while what stands on it learns, and then learns as well.

Paper: Howard and Ruder 2018, "Universal language model fine-tuning for text classification"
(gradual unfreezing). A new class layer first gives large and useless gradients, which would
spoil what the encoder has learned elsewhere; so it is trained alone for a while.

What it changes: a frozen encoder asks for no gradient and is in evaluation mode, so its
weights and the running statistics of its batch normalisation stay bit for bit, and its dropout
is off. Where we differ: all of the encoder is thawed at one step.
"""

from __future__ import annotations

from semisonic.base.errors import OptionError
from semisonic.learning import Objective
from semisonic.training.options import FitOptions


class Freezing:
    """Freezes the body of an objective for the first steps of a training.

    Parameters
    ----------
    objective : Objective
        Its weights that ask for no gradient now never will.
    options : FitOptions
        ``freeze_epochs`` and ``layer_decay``.
    steps_per_epoch : int

    Raises
    ------
    OptionError
        When the options tell the body from what stands on it, and the objective cannot.
    """

    def __init__(self, objective: Objective, options: FitOptions, steps_per_epoch: int) -> None:
        if objective.body is None and options.needs_body:
            name = "freeze_epochs" if options.freeze_epochs else "layer_decay"
            raise OptionError(
                f"option '{name}': {type(objective).__name__} trains its encoder and all else as "
                "one; the option is for training a classifier"
            )
        self.objective, self.body = objective, objective.body
        self.n_steps = round(options.freeze_epochs * steps_per_epoch)
        own = [] if self.body is None else self.body.parameters()
        self.weights = [weight for weight in own if weight.requires_grad]
        self.is_frozen = False

    def follow(self, step: int) -> bool:
        """Freeze or thaw, as the step says; whether anything changed."""
        frozen = step < self.n_steps
        if frozen == self.is_frozen:
            return False
        self._set(frozen)
        return True

    def train(self) -> None:
        """Training mode for all that is trained."""
        self.objective.train()
        if self.is_frozen and self.body is not None:
            self.body.eval()

    def release(self) -> None:
        """Leave the body as it was found: it may be trained."""
        self._set(False)

    def _set(self, frozen: bool) -> None:
        self.is_frozen = frozen
        for weight in self.weights:
            weight.requires_grad_(not frozen)
        self.train()
