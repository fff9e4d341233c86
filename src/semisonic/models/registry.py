"""Networks by name: those of this package, those that users register, and the notation.

A file of :mod:`semisonic.models.networks` names its networks in a table ``NETWORKS`` and is listed
in ``_MODULES`` here; it is imported when one of them is first asked for.
"""

from __future__ import annotations

import copy
import importlib
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.core.files import digest
from semisonic.core.options import nearest
from semisonic.models.encoder import ConvEncoder, Encoder
from semisonic.models.necks import Backbone, FlattenNeck, GlobalPoolNeck, Shape
from semisonic.models.notation import PAPER, looks_like_notation, parse
from semisonic.models.weights import weights_digest

NARROWEST, WIDEST = 0.0625, 4.0
FROZEN = ("onnx:", "tflite:", "vectors:")
"""Begin the names of encoders that onnxruntime or LiteRT runs, or that are not here at all."""
_SCALED = re.compile(r"(?P<family>.+)-(?P<width>\d+(?:\.\d+)?)")
_MODULES = ("cnn", "general", "staged", "transformer", "waves")

Factory = Callable[..., Any]
"""Takes the shape (channel, mel, frame) of the features, and the width if it is ``scaled``. Gives
a :class:`Backbone`, or an ``nn.Module`` that keeps to :data:`CONTRACT`."""
F = TypeVar("F", bound=Factory)


@dataclass(frozen=True)
class RegisteredNetwork:
    """How a network is made.

    Attributes
    ----------
    factory : callable
        See :data:`Factory`.
    waves : bool or None
        Whether it reads samples, of shape (1, 1, time), and not log-mel features; None where
        that is not known.
    scaled : bool
        Whether it can be made in any width.
    origin : str or None
        The module or script that defines it, empty for an object; None for one of this package.
    """

    factory: Factory
    waves: bool | None = False
    scaled: bool = False
    origin: str | None = None


_REGISTERED: dict[str, RegisteredNetwork] = {}
"""Networks that are not from this package."""


@cache
def _package_networks() -> dict[str, RegisteredNetwork]:
    """The networks of this package by name."""
    found: dict[str, Any] = {"paper": lambda shape: _from_notation(PAPER, shape)}
    for module in _MODULES:
        found |= importlib.import_module(f"semisonic.models.networks.{module}").NETWORKS
    return {
        name: one if isinstance(one, RegisteredNetwork) else RegisteredNetwork(one)
        for name, one in found.items()
    }


def register(name: str, *, waves: bool = False) -> Callable[[F], F]:
    """Make a network known under a name; a decorator of a function or of a module's class.

    What is decorated takes the shape (channel, mel, frame) of the features and gives an
    ``nn.Module`` that takes standardised features (batch, channel, mel, frame) and gives one
    vector a clip, (batch, dim), or a map, (batch, channel, fewer mel, fewer frames). Semisonic
    puts pooling and the class layer on it. Its first weights are those it draws itself, with a
    seed set before. A function may also give a :class:`Backbone`, whose weights are drawn by name.

    Parameters
    ----------
    name : str
        No architecture, so it begins with a letter, and none of the package's names. A name of
        one's own may be registered again: the last one counts.
    waves : bool
        Whether it reads samples, of shape (1, 1, time): one channel, one row, a frame a
        sample. Else it reads log-mel features, which have more rows than one.

    Returns
    -------
    callable
        The decorator; it gives back what it decorates.

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
    if name in _package_networks() or looks_like_notation(name):
        raise ModelError(f"the name '{name}' is taken or reads like an architecture")

    def keep(factory: F) -> F:
        module = str(getattr(factory, "__module__", ""))
        script = getattr(sys.modules.get("__main__"), "__file__", None)
        origin = Path(script).name if module == "__main__" and script else module
        _REGISTERED[name] = RegisteredNetwork(factory, waves, origin=origin)
        return factory

    return keep


def register_instance(network: nn.Module, name: str = "") -> str:
    """Make a network known that is given as an object, and say under which name.

    Parameters
    ----------
    network : nn.Module
        Models copy it, with its weights; the object itself is not changed by a training.
    name : str
        By default one that tells networks of other layers or weights apart.

    Returns
    -------
    str
        The name.
    """
    if not name:
        name = f"{type(network).__name__}-{digest(repr(network), weights_digest(network))[:8]}"
    _REGISTERED[name] = RegisteredNetwork(lambda shape: copy.deepcopy(network), None, origin="")
    return name


def defined_in(name: str) -> str | None:
    """Where a network that is not from this package is defined; None for one that is.

    The name of a module or of the script; empty for an object.
    """
    return _REGISTERED[name].origin if name in _REGISTERED else None


def scaled_name(family: str, width: float) -> str:
    """The name of a network of a width: ``family`` at 1, else ``family-0.5``."""
    return family if width == 1 else f"{family}-{repr(width).removesuffix('.0')}"


def names(waves: bool | None = None) -> list[str]:
    """The registered names, in order.

    Parameters
    ----------
    waves : bool or None
        Only networks that read samples (True) or log-mel features (False); all if None.

    Examples
    --------
    >>> names(waves=True)
    ['aclnet-dwsc', 'aclnet-sc', 'm11', 'm18', 'm5']
    """
    known = _package_networks() | _REGISTERED
    return sorted(name for name, one in known.items() if waves in (None, one.waves))


def is_registered(name: str) -> bool:
    """Whether a name, or the family of a name with a width, is known."""
    return _find(name) is not None


def create(name_or_notation: str, shape: Shape, n_classes: int = 0) -> Backbone:
    """A network for features of a shape.

    Parameters
    ----------
    name_or_notation : str
        A registered name, one with a width such as ``aclnet-dwsc-0.5``, or an architecture as in
        :mod:`semisonic.models.notation`.
    shape : (channel, mel, frame)
        Of the features; (1, 1, time) are waves, a frame a sample.
    n_classes : int
        Lets a published class layer at the end of an architecture be recognised.

    Returns
    -------
    Backbone

    Raises
    ------
    ModelError
        For an unknown name (with the nearest one), a wrong architecture (with the place),
        features too small for it, or waves where mel bands are read and the other way round.

    Examples
    --------
    >>> create("(8)3c-2p-16fc", (1, 64, 100)).neck.out_features
    16
    """
    name = name_or_notation.strip()
    if looks_like_notation(name):
        return _from_notation(name, shape, n_classes)
    found = _find(name)
    if found is None:
        raise ModelError(
            f"unknown model '{name}': {nearest(name, names())}; an architecture such as "
            f"'{PAPER}' works too"
        )
    one, width = found
    size = " x ".join(map(str, shape))
    if one.waves and shape[:2] != (1, 1):
        raise ModelError(
            f"model '{name}' reads samples: found features of {size} (channel x mel x frame), "
            "expected 1 x 1 x samples; use the input 'wave', or a network for log-mel such as "
            "'small'"
        )
    if one.waves is False and shape[1] == 1:
        raise ModelError(
            f"model '{name}' reads log-mel features: found {size} (channel x mel x frame), one "
            "row as in waves; use more mel bands, or a network that reads waves: "
            + ", ".join(names(waves=True))
        )
    # Somebody's code is tried out with real numbers, also where a file is read without any.
    with torch.device("cpu") if name in _REGISTERED else nullcontext():
        network = one.factory(shape, width) if one.scaled else one.factory(shape)
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


def _find(name: str) -> tuple[RegisteredNetwork, float] | None:
    """The network of a name and its width; raises ModelError for a width out of range."""
    if name.startswith(FROZEN):
        from semisonic.models.networks.frozen import frozen_network

        return RegisteredNetwork(frozen_network(name), waves=True), 1.0
    known = _package_networks() | _REGISTERED
    if name in known:
        return known[name], 1.0
    match = _SCALED.fullmatch(name)
    one = known.get(match["family"]) if match else None
    if match is None or one is None or not one.scaled:
        return None
    width = float(match["width"])
    if not NARROWEST <= width <= WIDEST:
        raise ModelError(
            f"model '{name}': found the width {match['width']}, expected "
            f"{NARROWEST:g} to {WIDEST:g} times that of '{match['family']}'"
        )
    return one, width


def _from_notation(text: str, shape: Shape, n_classes: int = 0) -> Backbone:
    """The network that an architecture describes."""
    architecture = parse(text)
    if n_classes:
        architecture = architecture.without_class_layer(n_classes)
    encoder = ConvEncoder(architecture, shape[0])
    code_shape = encoder.code_shape(*shape[1:])
    if architecture.has_global_pool:
        pooling = GlobalPoolNeck(code_shape[0], architecture.dense)
        return Backbone(str(architecture), encoder, pooling)
    return Backbone(str(architecture), encoder, FlattenNeck(code_shape, architecture.dense))


CONTRACT = (
    "a network takes standardised features (batch, channel, mel, frame) and gives one vector per "
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
    no_frames = "the times of the frames of its map are unknown"

    def __init__(self, name: str, network: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.name, self.network, self.in_channels = name, network, shape[0]
        self.plan = ()
        self.n_frames = shape[2]
        self.is_vector = False
        self.out_channels, _, self._n_out = self.code_shape(*shape[1:])
        try:
            self._tried((2, *shape[:2], max(1, shape[2] // 2)))
            self.any_length = True
        except Exception:  # whatever somebody's code raises for another length
            self.any_length = False

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The map; one vector a clip is a map of one cell.

        Raises
        ------
        ModelError
            For clips of another length than the network takes.
        """
        if x.shape[3] != self.n_frames and not self.any_length:
            raise ModelError(
                f"the network '{self.name}' takes clips of {self.n_frames} frames only, found "
                f"{x.shape[3]}; if these are parts of clips (pre-training by views), use whole "
                "clips, view_share=1, or a mean over frames before the dense layers"
            )
        code: Tensor = self.network(x)
        return code[:, :, None, None] if self.is_vector else code

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the map of an input of that size, by a trial."""
        given = (2, self.in_channels, n_mels, n_frames)
        try:
            output = self._tried(given)
        except Exception as error:
            raise ModelError(
                f"the network '{self.name}' fails on features of shape {given} (batch, channel, "
                f"mel, frame): {type(error).__name__}: {error}. Expected: {CONTRACT}"
            ) from error
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
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

    def _tried(self, shape: tuple[int, int, int, int]) -> object:
        """What comes out for silence; the network is left in the mode it was in."""
        first = next(self.network.parameters(), None)
        device = torch.device("cpu") if first is None else first.device
        modes = {module: module.training for module in self.network.modules()}
        try:
            with torch.no_grad(), device:
                return self.network.eval()(torch.zeros(shape))
        finally:
            for module, mode in modes.items():
                module.training = mode
