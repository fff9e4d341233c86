"""The names of losses, those of this package and those that users register; no torch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from semisonic.core.plugins import OwnParts

LOSSES = ("cross-entropy", "bootstrap", "lq")
"""Those of :mod:`semisonic.learning.losses`."""

OWN_LOSSES = OwnParts("loss", (*LOSSES, "same"))
F = TypeVar("F", bound=Callable[..., object])


def register_loss(name: str) -> Callable[[F], F]:
    """Make a loss of labelled clips known under a name; a decorator of a function or of a class.

    What is decorated takes logits, float (batch, class), and the share of each class in the
    labels, float (batch, class): 1 for a class that is present, less where mix-up or label
    smoothing blend them. It gives the loss of each row, (batch,), which Semisonic averages and
    weighs. Logits become scores by softmax, or with several labels per clip by sigmoid. A class is
    made once, without arguments; a module's parameters are not learned.

    Parameters
    ----------
    name : str
        For ``loss`` and ``noisy_loss``. A name of one's own may be registered again: the last one
        counts.

    Raises
    ------
    OptionError
        For a name that is taken.

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
