"""Augmentations that are not from this package, by name. No torch here: options read the names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from semisonic.base.errors import OptionError
from semisonic.features.augment.options import PRESETS

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[["Tensor"], "Tensor"]
F = TypeVar("F", bound=Callable[..., Any])
OWN: dict[str, Change] = {}
"""What was registered."""


def register_augmentation(name: str) -> Callable[[F], F]:
    """Make an augmentation known under a name; a decorator of a function or of a module's class.

    What is decorated takes features in dB, (batch, channel, mel, frame), and gives as many of
    the same shape, each row changed with random numbers of its own from torch's generator. It
    is called in training only. A class is made once, without arguments.

    Parameters
    ----------
    name : str
        For ``augment``, ``pool_augment`` and ``views``. A name of one's own may be registered
        again: the last one counts.

    Raises
    ------
    OptionError
        For a name that is taken.

    Examples
    --------
    >>> import semisonic, torch
    >>> @semisonic.register_augmentation("louder")
    ... def louder(x):
    ...     return x + 6 * torch.rand(len(x), 1, 1, 1, device=x.device)
    >>> clf = semisonic.SoundClassifier(how={"augment": "louder"})
    """
    if name in PRESETS or name == "mixed":
        raise OptionError(f"augmentation: the name '{name}' is taken; choose another")

    def keep(change: F) -> F:
        OWN[name] = change() if isinstance(change, type) else change
        return change

    return keep


def name_of(change: Change) -> str:
    """Make an augmentation known that is given as an object, and say under which name."""
    name = next((known for known, one in OWN.items() if one is change), "")
    if not name:
        kind = getattr(change, "__name__", type(change).__name__)
        numbers = range(1, len(OWN) + 2)
        name = next(one for n in numbers if (one := f"{kind}-{n}") not in OWN)
        OWN[name] = change
    return name
