"""Networks by name: a table that every file of networks adds to, and networks of somebody else's
code.
"""

from __future__ import annotations

import copy
import hashlib
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.models.encoder import Encoder, Trace
from semisonic.models.necks import GlobalPoolNeck, Neck
from semisonic.models.notation import looks_like_notation

# Networks by name: a table that every file of networks adds to.


Shape = tuple[int, int, int]
"""(channel, mel, frame)"""

NARROWEST, WIDEST = 0.0625, 4.0
_SCALED = re.compile(r"(?P<family>.+)-(?P<width>\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Backbone:
    """A network without its class layer. ``name`` is what builds the same again."""

    name: str
    encoder: Encoder
    neck: Neck


Factory = Callable[[Shape], Any]
"""Gives a :class:`Body`, or an ``nn.Module``: see :mod:`semisonic.models.registry`."""
ScaledFactory = Callable[[Shape, float], Backbone]
F = TypeVar("F", bound=Factory)


@dataclass(frozen=True)
class RegisteredNetwork:
    """What is known of a name."""

    name: str
    factory: Factory | ScaledFactory
    waves: bool = False
    scaled: bool = False

    @property
    def module(self) -> str:
        """Where its factory is defined."""
        inner = self.factory.func if isinstance(self.factory, partial) else self.factory
        return str(getattr(inner, "__module__", ""))

    @property
    def is_own(self) -> bool:
        """Whether it is not from this package."""
        return not self.module.startswith("semisonic.") or self.is_given

    @property
    def is_given(self) -> bool:
        """Whether it is an object, which no code makes again."""
        return self.name in _GIVEN


_GIVEN: set[str] = set()
_FACTORIES: dict[str, RegisteredNetwork] = {}


def register(name: str, *, waves: bool = False) -> Callable[[F], F]:
    """Make a network known under a name; a decorator of a function or of a module's class.

    What is decorated takes the shape (channel, mel, frame) of the features and gives an
    ``nn.Module`` that takes standardised features (batch, channel, mel, frame) and gives one
    vector a clip, (batch, dim), or a map, (batch, channel, fewer mel, fewer frames). Semisonic
    puts pooling and the class layer on it. Its first weights are those it draws itself, with a
    seed set before. A function may also give a :class:`Body`, whose weights are drawn by name.

    Parameters
    ----------
    name : str
        No architecture, so it begins with a letter, and none of the package's names. A name of
        one's own may be registered again: the last one counts.
    waves : bool
        Whether it reads samples, of shape (1, 1, time): one channel, one row, a frame a
        sample. Else it reads log-mel features, which have more rows than one.

    Raises
    ------
    ModelError
        For a name that is taken or reads like an architecture.

    Examples
    --------
    >>> import semisonic
    >>> from torch import nn
    >>> @semisonic.register("two-layers")
    ... def two_layers(shape):
    ...     return nn.Sequential(nn.Conv2d(shape[0], 8, 3, stride=2), nn.ReLU())
    >>> clf = semisonic.SoundClassifier("two-layers")
    """

    def keep(factory: F) -> F:
        _add(RegisteredNetwork(name, factory, waves))
        return factory

    _check_free(name)
    return keep


def register_scaled(name: str, *, waves: bool = False) -> Callable[[ScaledFactory], ScaledFactory]:
    """Make a network of any width known: ``NAME``, and ``NAME-0.5`` with half as many maps.

    The decorated function takes the shape and the width, 1 for the name alone. The name that
    it gives its body is best that of :func:`scaled_name`.
    """

    def keep(factory: ScaledFactory) -> ScaledFactory:
        _add(RegisteredNetwork(name, factory, waves, scaled=True))
        return factory

    _check_free(name)
    return keep


def give(name: str, factory: Factory) -> None:
    """Make a network known that was given as an object."""
    _GIVEN.add(name)
    _add(RegisteredNetwork(name, factory))


def defined_in(name: str) -> str | None:
    """Where a network that is not from this package is defined; None for one that is.

    The name of a module or of the script; empty for an object.
    """
    entry = _FACTORIES.get(name)
    if entry is None or not entry.is_own:
        return None
    if entry.is_given:
        return ""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(script).name if entry.module == "__main__" and script else entry.module


def scaled_name(family: str, width: float) -> str:
    """The name of a network of a width: ``family`` at 1, else ``family-0.5``."""
    return family if width == 1 else f"{family}-{_digits(width)}"


def registered(waves: bool | None = None) -> list[str]:
    """The names, in order; of networks that read waves, or of those that do not, if asked."""
    return sorted(n for n, entry in _FACTORIES.items() if waves in (None, entry.waves))


def find(name: str) -> Factory | None:
    """What makes the network of a name, or None.

    Raises
    ------
    ModelError
        For a width out of range. The factory raises it for features of the wrong kind.
    """
    width = 1.0
    entry = _FACTORIES.get(name)
    match = _SCALED.fullmatch(name)
    if entry is None and match:
        entry = _FACTORIES.get(match["family"])
        width = float(match["width"])
        if entry is None or not entry.scaled:
            return None
        if not NARROWEST <= width <= WIDEST:
            raise ModelError(
                f"model '{name}': found the width {_digits(width)}, expected "
                f"{NARROWEST:g} to {WIDEST:g} times that of '{entry.name}'"
            )
    return None if entry is None else partial(_make, entry, width)


def _make(entry: RegisteredNetwork, width: float, shape: Shape) -> Any:
    """The network, after a look at the features."""
    found = " x ".join(map(str, shape))
    if entry.waves and shape[:2] != (1, 1):
        raise ModelError(
            f"model '{entry.name}' reads samples, expected the shape 1 x 1 x samples, found "
            f"features of {found} (channel x mel x frame); take the input 'wave', or a network "
            "for log-mel such as 'small'"
        )
    if not entry.waves and shape[1] == 1:
        raise ModelError(
            f"model '{entry.name}' reads log-mel features, found {found} (channel x mel x frame): "
            "one row, as waves have; take more mel bands, or a network that reads waves: "
            + ", ".join(registered(waves=True))
        )
    if entry.scaled:
        return entry.factory(shape, width)  # type: ignore[call-arg]
    # Somebody's code is tried out with real numbers, also where a file is read without any.
    with torch.device("cpu") if entry.is_own else nullcontext():
        return entry.factory(shape)  # type: ignore[call-arg]


def _digits(width: float) -> str:
    return repr(width).removesuffix(".0")


def _check_free(name: str) -> None:
    taken = name in _FACTORIES and not _FACTORIES[name].is_own
    if taken or looks_like_notation(name):
        raise ModelError(f"the name '{name}' is taken or reads like an architecture")


def _add(entry: RegisteredNetwork) -> None:
    _FACTORIES[entry.name] = entry


# Networks that are not from this package: any ``nn.Module`` as an encoder.


CONTRACT = (
    "a network takes standardised features (batch, channel, mel, frame) and gives one vector a "
    "clip, (batch, dim), or a map, (batch, channel, fewer mel, fewer frames)"
)


class OwnEncoder(Encoder):
    """Somebody's network, of whose layers nothing is known but what comes out of them.

    Parameters
    ----------
    name : str
    network : nn.Module
        See :data:`CONTRACT`. Its weights stay as they are.
    shape : (channel, mel, frame)
        Of the features it is made for.

    Raises
    ------
    ModelError
        When the network does not take such features or gives something else.
    """

    keeps_weights = True
    no_decoder = "nothing is known of its layers but what comes out of them"
    no_frames = "nothing is known of where the frames of its map lie in time"

    def __init__(self, name: str, network: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.name, self.network, self.in_channels = name, network, shape[0]
        self.plan = ()
        self.n_frames = shape[2]
        self.is_vector = False
        self.out_channels, _, self._n_out = self.code_shape(*shape[1:])
        self.any_length = self._takes(max(1, shape[2] // 2))

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The map; one vector a clip is a map of one cell.

        Raises
        ------
        ModelError
            For clips of another length than the network takes.
        """
        if x.shape[3] != self.n_frames and not self.any_length:
            raise ModelError(
                f"the network '{self.name}' takes clips of {self.n_frames} frames only, found "
                f"{x.shape[3]}; for parts of clips (pre-training by views) give whole ones, "
                "view_share=1, or let it take the mean over frames before its dense layers"
            )
        code: Tensor = self.network(x)
        return code[:, :, None, None] if self.is_vector else code

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the map of an input of that size, by a trial."""
        given = (2, self.in_channels, n_mels, n_frames)
        try:
            found = self._tried(given)
        except Exception as error:
            raise ModelError(
                f"the network '{self.name}' fails on features of shape {given} (batch, channel, "
                f"mel, frame): {type(error).__name__}: {error}. Expected: {CONTRACT}"
            ) from error
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if not isinstance(shape, tuple) or len(shape) not in (2, 4) or shape[0] != given[0]:
            raise ModelError(
                f"the network '{self.name}' gives {shape} for features of shape {given}. "
                f"Expected: {CONTRACT}"
            )
        self.is_vector = len(shape) == 2
        return (shape[1], 1, 1) if self.is_vector else (shape[1], shape[2], shape[3])

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """How many frames of the map count: the same share as of the features."""
        return -(-n_frames * self._n_out // self.n_frames)

    def _takes(self, n_frames: int) -> bool:
        try:
            self._tried((2, self.in_channels, self._n_mels, n_frames))
        except Exception:  # whatever somebody's code raises for another length
            return False
        return True

    def _tried(self, shape: tuple[int, int, int, int]) -> object:
        """What comes out for silence; the network is left in the mode it was in."""
        self._n_mels = shape[2]
        first = next(self.network.parameters(), None)
        device = torch.device("cpu") if first is None else first.device
        modes = [(module, module.training) for module in self.network.modules()]
        try:
            with torch.no_grad(), device:
                return self.network.eval()(torch.zeros(shape))
        finally:
            for module, mode in modes:
                module.training = mode


def as_backbone(name: str, network: object, shape: Shape) -> Backbone:
    """What a registered function gave, as a body.

    Raises
    ------
    ModelError
        For anything but a body or an ``nn.Module`` that keeps to :data:`CONTRACT`.
    """
    if isinstance(network, Backbone):
        return network
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"the network '{name}': found a {type(network).__name__}, expected an nn.Module: "
            f"{CONTRACT}"
        )
    encoder = OwnEncoder(name, network, shape)
    over_time = "mean" if encoder.is_vector else "mean+max"
    return Backbone(name, encoder, GlobalPoolNeck(encoder.out_channels, over_time=over_time))


def register_instance(network: nn.Module, name: str = "") -> str:
    """Make a network known that is given as an object, and say under which name.

    Models copy it, with its weights; the object itself is not changed by a training. The name
    tells networks of other layers or weights apart, unless one is given.
    """
    if not name:
        state = hashlib.sha256(repr(network).encode())
        for key, value in sorted(network.state_dict().items()):
            state.update(key.encode())
            if not nn.parameter.is_lazy(value):
                state.update(value.detach().cpu().contiguous().numpy().tobytes())
        name = f"{type(network).__name__}-{state.hexdigest()[:8]}"
    give(name, partial(_copied, network))
    return name


def _copied(network: nn.Module, shape: Shape) -> nn.Module:
    return copy.deepcopy(network)
