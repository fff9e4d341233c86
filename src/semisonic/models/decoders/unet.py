"""A U-Net-like decoder: up-sampling, with the encoder's maps beside it.

Ronneberger, Fischer and Brox (2015). Their skips serve a task whose output is not the
input. Here it is, and with open skips the decoder copies the finest map: the loss falls to
nearly nothing while the deep code learns nothing (with the skips closed afterwards, such a
decoder does worse than one that always answers the mean). So each skip of each clip is
closed at random in training (the whole connection, not single values), and all are closed
in evaluation: a validation loss or a reconstruction then shows what the code holds, as with
the other decoders. Closed half of the time, the code holds as much as that of plain
up-sampling while the first layers still get a short way for their gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.models.decoders.base import Decoder, Level, repeat_cells
from semisonic.models.layers import SameConv
from semisonic.models.plan import ConvStep, Step, Trace


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
            x = repeat_cells(x, self.downs[down].stride, trace.downs[down].size)
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
