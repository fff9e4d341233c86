"""Networks by name: a table that every file of networks adds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from semisonic.base.errors import ModelError
from semisonic.models.encoder import Encoder
from semisonic.models.necks import Neck
from semisonic.models.notation import looks_like_notation

Shape = tuple[int, int, int]
"""(channel, mel, frame)"""


@dataclass(frozen=True)
class Body:
    """A network without its class layer. ``name`` is what builds the same again."""

    name: str
    encoder: Encoder
    neck: Neck


Factory = Callable[[Shape], Body]
_FACTORIES: dict[str, Factory] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Make a network known under a name.

    The decorated function takes the shape (channel, mel, frame) of the features and gives
    a :class:`Body`. Its initial weights do not matter; they are drawn by name afterwards.
    """
    if name in _FACTORIES or looks_like_notation(name):
        raise ModelError(f"the name '{name}' is taken or reads like an architecture")

    def keep(factory: Factory) -> Factory:
        _FACTORIES[name] = factory
        return factory

    return keep


def registered() -> dict[str, Factory]:
    """The table."""
    return _FACTORIES
