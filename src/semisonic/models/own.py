"""Networks that are not from this package: any ``nn.Module`` as an encoder."""

from __future__ import annotations

import copy
import hashlib
from functools import partial

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError
from semisonic.models.encoder import Encoder
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.plan import Trace
from semisonic.models.registry import Body, Shape, give

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


def body_of(name: str, network: object, shape: Shape) -> Body:
    """What a registered function gave, as a body.

    Raises
    ------
    ModelError
        For anything but a body or an ``nn.Module`` that keeps to :data:`CONTRACT`.
    """
    if isinstance(network, Body):
        return network
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"the network '{name}': found a {type(network).__name__}, expected an nn.Module: "
            f"{CONTRACT}"
        )
    encoder = OwnEncoder(name, network, shape)
    over_time = "mean" if encoder.is_vector else "mean+max"
    return Body(name, encoder, GlobalPoolNeck(encoder.out_channels, over_time=over_time))


def name_of(network: nn.Module, name: str = "") -> str:
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
