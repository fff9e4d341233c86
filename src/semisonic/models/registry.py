"""Networks by name: those of this package, those registered by users, and the notation.

A file of :mod:`semisonic.models.networks` lists its networks in a table ``NETWORKS`` and is listed
in ``_MODULES`` here; it is imported when one of them is first used.
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
from semisonic.models.weights import check_values, weights_digest

NARROWEST, WIDEST = 0.0625, 4.0
FROZEN = ("onnx:", "tflite:", "vectors:")
"""Prefixes of the names of encoders that run outside torch, or of which only vectors exist."""
_SCALED = re.compile(r"(?P<family>.+)-(?P<width>\d+(?:\.\d+)?)")
_MODULES = ("cnn", "general", "staged", "transformer", "waves")

Factory = Callable[..., Any]
"""Takes the shape (channel, mel, frame) of the features, and the width if it is ``scaled``. Gives
a :class:`Backbone`, or an ``nn.Module`` that keeps to :data:`CONTRACT`."""
F = TypeVar("F", bound=Factory)


@dataclass(frozen=True)
class RegisteredNetwork:
    """How to make a network.

    Attributes
    ----------
    factory : callable
        See :data:`Factory`.
    waves : bool or None
        Whether it reads samples, of shape (1, 1, time), instead of log-mel features; None if
        unknown.
    scaled : bool
        Whether its width can be chosen.
    origin : str or None
        The module or script that defines it, empty for an object; None for this package.
    """

    factory: Factory
    waves: bool | None = False
    scaled: bool = False
    origin: str | None = None


_REGISTERED: dict[str, RegisteredNetwork] = {}
"""Networks of users."""


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
    """Register a network under a name; decorates a function or a module's class.

    The function takes the shape (channel, mel, frame) of the features and returns an ``nn.Module``
    that takes standardised features (batch, channel, mel, frame) and returns one vector per clip,
    (batch, dim), or a map, (batch, channel, fewer mel, fewer frames). Semisonic adds pooling and
    the class layer. The module draws its own initial weights, after a seed was set. A function may
    also return a :class:`Backbone`, whose weights are drawn by name.

    Parameters
    ----------
    name : str
        It begins with a letter, as architectures do not, and is not a name of the package. Your
        own name may be registered again: the last one counts.
    waves : bool
        Whether it reads samples, of shape (1, 1, time): one channel, one row, one frame per
        sample. Otherwise it reads log-mel features, which have several rows.

    Returns
    -------
    callable
        The decorator, which returns the decorated object.

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
    """Register a network object; return its name.

    Parameters
    ----------
    network : nn.Module
        Models copy it with its weights; training does not change the object itself.
    name : str
        By default one that differs for other layers or weights.

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
    """Where a network of the user is defined; None for networks of this package.

    The name of the module or script; empty for an object.
    """
    return _REGISTERED[name].origin if name in _REGISTERED else None


def scaled_name(family: str, width: float) -> str:
    """The name of a network with a width: ``family`` for 1, otherwise ``family-0.5``."""
    return family if width == 1 else f"{family}-{repr(width).removesuffix('.0')}"


def names(waves: bool | None = None) -> list[str]:
    """The registered names, in order.

    Parameters
    ----------
    waves : bool or None
        Only networks that read samples (True) or log-mel features (False); None for all.

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
    """Make a network for features of a shape.

    Parameters
    ----------
    name_or_notation : str
        A registered name, one with a width such as ``aclnet-dwsc-0.5``, or an architecture as in
        :mod:`semisonic.models.notation`.
    shape : (channel, mel, frame)
        Shape of the features; (1, 1, time) for waves, one frame per sample.
    n_classes : int
        Number of classes, to recognise a published class layer at the end of an architecture.

    Returns
    -------
    Backbone

    Raises
    ------
    ModelError
        For an unknown name (with the closest one), a wrong architecture (with the position),
        features that are too small, or waves instead of mel bands and vice versa.

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
    """The network and the width of a name; raises ModelError for a width out of range."""
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


NOT_SAVED = (
    "a model file cannot hold it. Keep a constant out of the file with "
    "register_buffer(..., persistent=False)"
)


class OwnEncoder(Encoder):
    """A network of the user, of which only the output is known.

    Parameters
    ----------
    name : str
    network : nn.Module
        See :data:`CONTRACT`. Its initial weights are kept.
    shape : (channel, mel, frame)
        Shape of its features.

    Raises
    ------
    ModelError
        When the network does not take these features, returns something else, or has parameters
        or buffers that a model file cannot hold.
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
        # Before the training, which would be lost.
        check_values(f"the network '{name}'", network.state_dict(), NOT_SAVED)
        try:
            self._tried((2, *shape[:2], max(1, shape[2] // 2)))
            self.any_length = True
        except Exception:  # whatever somebody's code raises for another length
            self.any_length = False

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The map; one vector per clip is a map of one cell.

        Raises
        ------
        ModelError
            For clips of a length that the network does not take.
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
        """Shape (channel, mel, frame) of the map of an input of this size, by a trial."""
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
        """Number of valid frames of the map: the same share as of the features."""
        return -(-n_frames * self._n_out // self.n_frames)

    def _tried(self, shape: tuple[int, int, int, int]) -> object:
        """The output for silence; the mode of the network is restored."""
        first = next(self.network.parameters(), None)
        device = torch.device("cpu") if first is None else first.device
        modes = {module: module.training for module in self.network.modules()}
        try:
            with torch.no_grad(), device:
                return self.network.eval()(torch.zeros(shape))
        finally:
            for module, mode in modes.items():
                module.training = mode
