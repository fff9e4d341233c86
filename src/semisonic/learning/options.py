"""The names of losses of this package and of users; no torch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from semisonic.core.plugins import OwnParts

LOSSES = ("cross-entropy", "bootstrap", "lq")
"""The losses of :mod:`semisonic.learning.losses`."""

OWN_LOSSES = OwnParts("loss", (*LOSSES, "same"))
F = TypeVar("F", bound=Callable[..., object])


def register_loss(name: str) -> Callable[[F], F]:
    """Register a loss of labelled clips under a name; a decorator for a function or a class.

    The function takes logits, float (batch, class), and the share of each class in the labels,
    float (batch, class): 1 for a class that is present, less with mix-up or label smoothing. It
    returns the loss of each row, (batch,), which Semisonic weights and averages. Logits become
    scores by softmax, or with several labels per clip by sigmoid. A class is instantiated once,
    without arguments; the parameters of a module are not trained.

    Parameters
    ----------
    name : str
        Value for ``loss`` and ``noisy_loss``. Your own name may be registered again: the last one
        counts.

    Raises
    ------
    OptionError
        If the name is taken.

    Examples
    --------
    Focal loss (Lin et al. 2017, "Focal loss for dense object detection"):

    >>> import semisonic
    >>> @semisonic.register_loss("focal")
    ... def focal(logits, shares):
    ...     logs = logits.log_softmax(dim=1)
    ...     return -(shares * (1 - logs.exp()) ** 2 * logs).sum(dim=1)
    >>> clf = semisonic.SoundClassifier(method_params={"loss": "focal"})
    """
    return OWN_LOSSES.register(name)
