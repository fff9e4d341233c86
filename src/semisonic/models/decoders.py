"""Decoders: four ways from the code back to features, each the mirror image of its encoder.

============  ==============================================================================
``unpool``    the maxima return to their recorded places (the paper's) ``upsample``  every cell is
repeated ``subpixel``  convolutions at the small size make the finer cells as channels ``unet``
up-sampling, with the encoder's own maps beside it, dropped at random ============
==============================================================================

**Un-pooling** after Zeiler and Fergus (2014), "Visualizing and understanding convolutional
networks". The original program computed the mask as a gradient of a gradient, in Theano only, for
windows as large as their step; ties could mark several places. Here the places come from the
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
input. Here it is, and with open skips the decoder copies the finest map: the loss falls to nearly
zero while the deep code learns nothing (with the skips closed afterwards, the decoder is worse
than one that always returns the mean). So each skip of each clip is closed at random in training
(the whole connection, not single values), and all are closed in evaluation: a validation loss or a
reconstruction then shows the content of the code, as with the other decoders. If skips are closed
half of the time, the code contains as much as that of plain up-sampling, and the first layers
still get direct gradients.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.core.options import nearest
from semisonic.models.encoder import ConvStep, DownStep, Plan, SameConv, Trace, Undo
from semisonic.models.notation import Size

DECODERS = ("unpool", "upsample", "subpixel", "unet")
SKIP_DROPOUT = 0.5
"""Probability that a skip of a clip is closed in training."""


def max_unpool(pooled: Tensor, switches: Tensor, step: DownStep, size: Size) -> Tensor:
    """Undo a max-pool.

    Parameters
    ----------
    pooled : Tensor, shape (batch, channel, mel, frame)
        One value per window.
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
        un-pooling restores each maximum.
    """
    batch, channels = pooled.shape[:2]
    if not step.overlaps and not torch.are_deterministic_algorithms_enabled():
        return F.max_unpool2d(pooled, switches, step.size, step.stride, output_size=size)
    places, values = switches.flatten(2), pooled.flatten(2)
    empty = pooled.new_zeros(batch, channels, size[0] * size[1])
    if not step.overlaps:  # the kernel above is not deterministic; here no place repeats
        return empty.scatter(2, places, values).view(batch, channels, *size)
    total = empty.scatter_add(2, places, values)
    with torch.no_grad():
        count = empty.scatter_add(2, places, torch.ones_like(values)).clamp_(min=1)
    return (total / count).view(batch, channels, *size)


def _fit_size(x: Tensor, size: Size) -> Tensor:
    """Cut, or repeat the last row and column, to exactly this size (mel, frame)."""
    x = x[:, :, : size[0], : size[1]]
    below, right = size[0] - x.shape[2], size[1] - x.shape[3]
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


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


class Decoder(nn.Module):
    """The mirror image of an encoder.

    Parameters
    ----------
    plan : tuple of ConvStep and DownStep
        The plan of the encoder.
    kind : {"unpool", "upsample", "subpixel", "unet"}
        How steps down are undone; see the module.

    Raises
    ------
    ModelError
        For another kind.
    """

    def __init__(self, plan: Plan, kind: str) -> None:
        super().__init__()
        if kind not in DECODERS:
            raise ModelError(f"unknown decoder '{kind}': {nearest(kind, DECODERS)}")
        self.kind = kind
        self.needs_switches, self.needs_maps = kind == "unpool", kind == "unet"
        # From the code to the input: the steps down before each convolution, the last one first.
        self.levels: list[list[DownStep]] = [[]]
        convs: list[SameConv] = []
        for step in reversed(plan):
            if isinstance(step, DownStep):
                self.levels[-1].append(step)
            elif isinstance(step, ConvStep):
                convs.append(self._conv(self.levels[-1], step))
                self.levels.append([])
        self.convs = nn.ModuleList(convs)
        self.relus = nn.ModuleList([*(nn.ReLU() for _ in convs[1:]), nn.Identity()])

    def _conv(self, downs: list[DownStep], mirrored: ConvStep) -> SameConv:
        """The convolution that mirrors one of the encoder."""
        if self.kind == "subpixel":  # makes all the finer cells at once
            return SubPixelConv(mirrored, prod(prod(down.stride) for down in downs))
        beside = downs[-1].map_channels if self.kind == "unet" and downs else 0
        return SameConv(mirrored.out_channels + beside, mirrored.in_channels, mirrored.kernel)

    def forward(self, code: Tensor, trace: Trace) -> Tensor:
        """A reconstruction of exactly the size of the encoder's input.

        Parameters
        ----------
        code : Tensor, shape (batch, channel, mel, frame)
        trace : Trace
            The encoder's record of these clips: switches for "unpool", maps for "unet".

        Returns
        -------
        Tensor, shape (batch, in_channels, mel, frame)
        """
        x, recorded = code, list(trace.downs)
        for number, downs in enumerate(self.levels):
            has_conv = number < len(self.convs)
            if has_conv and self.kind == "subpixel":
                x = self.relus[number](self.convs[number](x))
            for down in downs:
                undo = recorded.pop()
                x = self._undo(x, down, undo, has_conv)
            if has_conv and self.kind != "subpixel":
                if self.kind == "unet" and downs and downs[-1].map_channels:
                    x = torch.cat((x, self.gate(undo.map).to(x.dtype)), dim=1)
                x = self.relus[number](self.convs[number](x))
        return x

    def _undo(self, x: Tensor, down: DownStep, undo: Undo, has_conv: bool) -> Tensor:
        """The map before a step down."""
        if undo.switches is not None:
            return max_unpool(x, undo.switches, down, undo.size)
        if self.kind == "subpixel" and has_conv:
            return _fit_size(shuffle_cells(x, down.stride), undo.size)
        # Every cell is repeated; what a window dropped at an edge repeats the last one.
        scale = (float(down.stride[0]), float(down.stride[1]))
        return _fit_size(F.interpolate(x, scale_factor=scale, mode="nearest"), undo.size)

    def gate(self, beside: Tensor | None) -> Tensor:
        """A skip connection: open for half of the clips in training, otherwise closed."""
        if beside is None:
            raise ModelError("the decoder 'unet' needs the encoder's maps, found none")
        if not self.training:
            return torch.zeros_like(beside)
        is_open = torch.rand(len(beside), 1, 1, 1, device=beside.device) >= SKIP_DROPOUT
        return beside * is_open.to(beside.dtype)
