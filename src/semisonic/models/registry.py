"""Networks by name; an architecture of the notation works wherever a name does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from semisonic.base.errors import ModelError
from semisonic.base.options import nearest
from semisonic.models.conv_encoder import ConvEncoder
from semisonic.models.encoder import Encoder
from semisonic.models.necks import FlattenNeck, GlobalPoolNeck, Neck
from semisonic.models.notation import PAPER, looks_like_notation, parse

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


def names() -> list[str]:
    """The registered names, in order."""
    _load()
    return sorted(_FACTORIES)


def create(name_or_notation: str, shape: Shape, n_classes: int = 0) -> Body:
    """A network for features of a shape.

    Parameters
    ----------
    name_or_notation : str
        A registered name, or an architecture as in :mod:`semisonic.models.notation`.
    shape : (channel, mel, frame)
    n_classes : int
        Lets a published class layer at the end of an architecture be recognised.

    Raises
    ------
    ModelError
        For an unknown name (with the nearest one), a wrong architecture (with the place),
        or features too small for it.
    """
    _load()
    name = name_or_notation.strip()
    if name in _FACTORIES:
        return _FACTORIES[name](shape)
    if looks_like_notation(name):
        return from_notation(name, shape, n_classes)
    raise ModelError(
        f"unknown model '{name}': {nearest(name, _FACTORIES)} An architecture such as "
        f"'{PAPER}' works too"
    )


def from_notation(text: str, shape: Shape, n_classes: int = 0) -> Body:
    """The network that an architecture describes."""
    architecture = parse(text)
    if n_classes:
        architecture = architecture.without_class_layer(n_classes)
    encoder = ConvEncoder(architecture, shape[0])
    code_shape = encoder.code_shape(*shape[1:])
    neck: Neck
    if architecture.has_global_pool:
        neck = GlobalPoolNeck(code_shape[0], architecture.dense)
    else:
        neck = FlattenNeck(code_shape, architecture.dense)
    return Body(str(architecture), encoder, neck)


@register("paper")
def paper(shape: Shape) -> Body:
    """The network of the paper: three convolutions of 64 filters and a dense layer of 128."""
    return from_notation(PAPER, shape)


def _load() -> None:
    """Import the files that register the other networks."""
    from semisonic.models import small  # noqa: F401
