"""Decoders: four ways from the code back to features, each the mirror image of its encoder.

============  ==============================================================================
``unpool``    the maxima go back to their recorded places (the paper's)
``upsample``  every cell is repeated
``subpixel``  convolutions at the small size make the finer cells as channels
``unet``      up-sampling, with the encoder's own maps beside it, dropped at random
============  ==============================================================================

**Un-pooling** after Zeiler and Fergus (2014), "Visualizing and understanding convolutional
networks". The seed made the mask as a gradient of a gradient, in Theano only, for windows as large
as their step; several places could be marked when values tied. Here the places come from the
pooling itself: exactly one per window, for any window and step, on any device.

**The mirror image.** For the paper's encoder that is [way up, convolution 3x3, ReLU] twice, then
way up and a linear convolution 5x5 to one channel. A transposed convolution of step 1 is a
convolution with the filter turned around, so the plain one is used: the same functions and
parameters, and a backward pass twice as fast.

**Sub-pixel convolution**: Shi et al. (2016), "Real-time single image and video super-resolution
using an efficient sub-pixel convolutional neural network"; initial filters after Aitken et al.
(2017), equal for all cells that a coarse cell becomes, so that training starts from plain
up-sampling without a checkerboard. Rectangular steps work too.

**U-Net**: Ronneberger, Fischer and Brox (2015). Their skips serve a task whose output is not the
input. Here it is, and with open skips the decoder copies the finest map: the loss falls to
nearly nothing while the deep code learns nothing (with the skips closed afterwards, such a
decoder does worse than one that always answers the mean). So each skip of each clip is
closed at random in training (the whole connection, not single values), and all are closed
in evaluation: a validation loss or a reconstruction then shows what the code holds, as with
the other decoders. Closed half of the time, the code holds as much as that of plain
up-sampling while the first layers still get a short way for their gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.core.options import nearest
from semisonic.models.encoder import ConvStep, DownStep, SameConv, Step, Trace
from semisonic.models.notation import Size


def max_unpool(pooled: Tensor, switches: Tensor, step: DownStep, size: Size) -> Tensor:
    """Undo a max-pool.

    Parameters
    ----------
    pooled : Tensor, shape (batch, channel, mel, frame)
        One value a window.
    switches : Tensor of int64, same shape
        Place of each window's maximum, counted through the flattened map of ``size``.
    step : DownStep
        The pool.
    size : (mel, frame)
        Size of the map before pooling; rows and columns that no window reached stay zero.

    Returns
    -------
    Tensor, shape (batch, channel, *size)
        A place that is the maximum of several overlapping windows gets their mean, so that
        un-pooling pooled values restores each maximum.
    """
    if step.overlaps:
        return _mean_at(pooled, switches, size)
    if torch.are_deterministic_algorithms_enabled():
        return _at(pooled, switches, size)  # the kernel below refuses; here no place repeats
    return F.max_unpool2d(pooled, switches, step.size, step.stride, output_size=size)


def _at(pooled: Tensor, switches: Tensor, size: Size) -> Tensor:
    batch, channels = pooled.shape[:2]
    flat = pooled.new_zeros(batch, channels, size[0] * size[1])
    return flat.scatter(2, switches.flatten(2), pooled.flatten(2)).view(batch, channels, *size)


def _mean_at(pooled: Tensor, switches: Tensor, size: Size) -> Tensor:
    batch, channels = pooled.shape[:2]
    places, values = switches.flatten(2), pooled.flatten(2)
    empty = pooled.new_zeros(batch, channels, size[0] * size[1])
    total = empty.scatter_add(2, places, values)
    with torch.no_grad():
        count = empty.scatter_add(2, places, torch.ones_like(values)).clamp_(min=1)
    return (total / count).view(batch, channels, *size)


@dataclass(frozen=True)
class Level:
    """Steps down to undo (the last one first), then a convolution."""

    ups: tuple[int, ...]
    conv: ConvStep | None
    is_last: bool


def mirror(plan: tuple[Step, ...]) -> list[Level]:
    """The levels of a decoder, from the code to the input."""
    n_downs = sum(isinstance(step, DownStep) for step in plan)
    levels, ups = [], list[int]()
    first_conv = next(i for i, step in enumerate(plan) if isinstance(step, ConvStep))
    for i in reversed(range(len(plan))):
        step = plan[i]
        if isinstance(step, DownStep):
            n_downs -= 1
            ups.append(n_downs)
        elif isinstance(step, ConvStep):
            levels.append(Level(tuple(ups), step, is_last=i == first_conv))
            ups = []
    if ups:  # the encoder opens with pools
        levels.append(Level(tuple(ups), None, is_last=True))
    return levels


def _fit_size(x: Tensor, size: Size) -> Tensor:
    """Cut, or repeat the last row and column, to exactly this size (mel, frame)."""
    x = x[:, :, : size[0], : size[1]]
    below, right = size[0] - x.shape[2], size[1] - x.shape[3]
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def _repeat_cells(x: Tensor, stride: Size, size: Size) -> Tensor:
    """Nearest-neighbour up-sampling by whole steps to a size (mel, frame)."""
    scale = (float(stride[0]), float(stride[1]))
    return _fit_size(F.interpolate(x, scale_factor=scale, mode="nearest"), size)


class Decoder(nn.Module):
    """Base: runs the levels; a subclass says how a step down is undone.

    Parameters
    ----------
    plan : tuple of ConvStep and DownStep
        The encoder's.
    """

    needs_switches = False
    needs_maps = False

    def __init__(self, plan: tuple[Step, ...]) -> None:
        super().__init__()
        self.downs = tuple(step for step in plan if isinstance(step, DownStep))
        self.levels = mirror(plan)
        self.convs = nn.ModuleList(
            self.make_conv(level, level.conv) for level in self.levels if level.conv is not None
        )
        self.relus = nn.ModuleList(
            nn.Identity() if level.is_last else nn.ReLU()
            for level in self.levels
            if level.conv is not None
        )

    def make_conv(self, level: Level, mirrored: ConvStep) -> SameConv:
        """The convolution that undoes one of the encoder."""
        return SameConv(mirrored.out_channels, mirrored.in_channels, mirrored.kernel)

    def forward(self, code: Tensor, trace: Trace) -> Tensor:
        """A reconstruction of exactly the size of the encoder's input.

        Parameters
        ----------
        code : Tensor, shape (batch, channel, mel, frame)
        trace : Trace
            What the encoder recorded for these clips.

        Returns
        -------
        Tensor, shape (batch, in_channels, mel, frame)
        """
        x = code
        for number, level in enumerate(self.levels):
            x = self.run_level(x, level, number, trace)
        return x

    def run_level(self, x: Tensor, level: Level, number: int, trace: Trace) -> Tensor:
        """Undo the steps down, then convolve."""
        for down in level.ups:
            x = self.up(x, down, trace)
        return self.convolve(x, level, number)

    def convolve(self, x: Tensor, level: Level, number: int) -> Tensor:
        """The level's convolution and ReLU, if it has them."""
        if level.conv is None:
            return x
        y: Tensor = self.relus[number](self.convs[number](x))
        return y

    def up(self, x: Tensor, down: int, trace: Trace) -> Tensor:
        """Undo step down number ``down``."""
        raise NotImplementedError


class UnpoolDecoder(Decoder):
    """Pooled values go back to the places of the maxima; see :mod:`..unpooling`.

    The places carry information past the code, as in the paper: a reconstruction is
    sharper than the code alone could make it.
    """

    needs_switches = True

    def up(self, x: Tensor, down: int, trace: Trace) -> Tensor:
        """Put the values back to the places of the maxima."""
        undo = trace.downs[down]
        if undo.switches is None:
            raise ModelError("the decoder 'unpool' needs the encoder's switches, found none")
        return max_unpool(x, undo.switches, self.downs[down], undo.size)


class UpsampleDecoder(Decoder):
    """Every cell is repeated; what a window dropped at an edge repeats the last one.

    The seed filled such edges with zeros, which are not silence but the mean level once
    features are standardised.
    """

    def up(self, x: Tensor, down: int, trace: Trace) -> Tensor:
        """Repeat the cells to the size before the step down."""
        return _repeat_cells(x, self.downs[down].stride, trace.downs[down].size)


def shuffle_cells(x: Tensor, stride: Size) -> Tensor:
    """Channels to cells: (batch, c * a * b, mel, frame) to (batch, c, mel * a, frame * b)."""
    batch, channels, mel, frame = x.shape
    a, b = stride
    parts = x.reshape(batch, channels // (a * b), a, b, mel, frame)
    return parts.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, mel * a, frame * b)


class SubPixelConv(SameConv):
    """A convolution whose groups of ``factor`` output channels start out equal."""

    def __init__(self, mirrored: ConvStep, factor: int) -> None:
        super().__init__(mirrored.out_channels, mirrored.in_channels * factor, mirrored.kernel)
        self.factor = factor

    @torch.no_grad()
    def spread(self) -> None:
        """Make the filters of each group equal to the first of the group."""
        self.weight.copy_(self.weight[:: self.factor].repeat_interleave(self.factor, dim=0))
        if self.bias is not None:
            self.bias.copy_(self.bias[:: self.factor].repeat_interleave(self.factor))


class SubPixelDecoder(Decoder):
    """Convolve at the small size, then spread channels over the finer cells."""

    def make_conv(self, level: Level, mirrored: ConvStep) -> SubPixelConv:
        """A convolution that makes all the finer cells at once."""
        factor = prod(prod(self.downs[down].stride) for down in level.ups)
        return SubPixelConv(mirrored, factor)

    def run_level(self, x: Tensor, level: Level, number: int, trace: Trace) -> Tensor:
        """Convolve, then undo the steps down."""
        x = self.convolve(x, level, number)
        for down in level.ups:
            stride, size = self.downs[down].stride, trace.downs[down].size
            if level.conv is None:
                x = _repeat_cells(x, stride, size)
            else:
                x = _fit_size(shuffle_cells(x, stride), size)
        return x


class UNetDecoder(Decoder):
    """Up-sampling with skips that are closed at random.

    Parameters
    ----------
    plan : tuple of ConvStep and DownStep
    skip_dropout : float
        Probability that a skip of a clip is closed in training; 1 leaves plain up-sampling,
        0 an ordinary U-Net.

    Attributes
    ----------
    open_skips : bool
        Whether all skips are open in evaluation (False at first).
    """

    needs_maps = True

    def __init__(self, plan: tuple[Step, ...], skip_dropout: float = 0.5) -> None:
        if not 0 <= skip_dropout <= 1:
            raise ModelError(f"skip_dropout: found {skip_dropout}, expected 0 to 1")
        self.skip_dropout = skip_dropout
        self.open_skips = False
        super().__init__(plan)

    def make_conv(self, level: Level, mirrored: ConvStep) -> SameConv:
        """A convolution that sees the encoder's map beside the up-sampled one."""
        down = self.downs[level.ups[-1]] if level.ups else None
        beside = down.channels if down is not None and down.has_map else 0
        return SameConv(mirrored.out_channels + beside, mirrored.in_channels, mirrored.kernel)

    def run_level(self, x: Tensor, level: Level, number: int, trace: Trace) -> Tensor:
        """Up-sample, put the encoder's map beside, convolve."""
        for down in level.ups:
            x = _repeat_cells(x, self.downs[down].stride, trace.downs[down].size)
        if level.ups and level.conv is not None and self.downs[level.ups[-1]].has_map:
            beside = trace.downs[level.ups[-1]].map
            if beside is None:
                raise ModelError("the decoder 'unet' needs the encoder's maps, found none")
            x = torch.cat((x, self.gate(beside).to(x.dtype)), dim=1)
        return self.convolve(x, level, number)

    def gate(self, beside: Tensor) -> Tensor:
        """The map with the skips of some clips closed."""
        if not self.training:
            return beside if self.open_skips else torch.zeros_like(beside)
        is_open = torch.rand(len(beside), 1, 1, 1, device=beside.device) >= self.skip_dropout
        return beside * is_open.to(beside.dtype)


DECODERS: dict[str, type[Decoder]] = {
    "unpool": UnpoolDecoder,
    "upsample": UpsampleDecoder,
    "subpixel": SubPixelDecoder,
    "unet": UNetDecoder,
}


def decoder_class(name: str) -> type[Decoder]:
    """The class of a decoder by its name."""
    if name not in DECODERS:
        raise ModelError(f"unknown decoder '{name}': {nearest(name, DECODERS)}")
    return DECODERS[name]
