"""``small``, ``tiny``, ``base``: a stem, then stages of residual blocks, for log-mel of any length.

Papers: the residual block, He et al. 2016, "Deep residual learning for image recognition", figure
2 left, with shortcuts that have no parameters (option A); stochastic depth, Huang et al. 2016,
"Deep networks with stochastic depth".

Where we differ: sizes are halved by an average pool between the blocks, not by a step inside, so
that the shortcut drops nothing. In stochastic depth each clip draws for itself, and branches that
stay are divided by their probability, so that nothing is scaled in evaluation.

``small`` is the first choice on a CPU, ``tiny`` is for devices, ``base`` for a graphics card. Their
speed on a CPU is set by the numbers that are touched rather than by multiply-adds: a map of
32 x 108 costs more than all that follows. ``tiny`` therefore steps over four cells at once;
``small`` takes two steps of two with a maximum between, which did better on validation parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.encoder import (
    ConvStep,
    DownStep,
    MirroredEncoder,
    Part,
    Trace,
    Undo,
    max_pool,
)
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import convolution
from semisonic.models.notation import Size

KERNEL: Size = (3, 3)
"""Kernel size of the convolutions of all blocks."""


@dataclass(frozen=True)
class NetworkDesign:
    """A whole network without its class layer.

    Attributes
    ----------
    width : int
        Maps of the stem.
    stages : tuple of int
        Maps of each stage, at least as many as in the stage before.
    depth : int
        Residual blocks of a stage.
    kernel, stride : int
        Of the stem's convolution. With a step of 2 or 4, few values are computed at full size.
    pool : int
        Max-pool after it; 1 is none.
    first_down : int
        Average pool before the first stage; 1 for none. Before the others it is 2.
    drop_path : float
        Probability that the last block's branch is left out for a clip in training; it
        rises from nearly zero at the first block (stochastic depth).
    """

    width: int
    stages: tuple[int, ...]
    depth: int = 1
    kernel: int = 5
    stride: int = 2
    pool: int = 1
    first_down: int = 1
    drop_path: float = 0.0


DESIGNS = {
    "small": NetworkDesign(24, (32, 64, 128), pool=2),
    "tiny": NetworkDesign(16, (16, 32, 48), kernel=7, stride=4),
    "base": NetworkDesign(32, (64, 128, 256), depth=2, first_down=2, drop_path=0.1),
}


class StagedEncoder(MirroredEncoder):
    """The encoder that a design describes.

    Sizes are rounded up on the way down, so clips of any length work. As its steps down are
    not all max-pools it has no switches: as an auto-encoder it takes the decoders
    ``upsample``, ``subpixel`` and ``unet``. A part is the stem or a stage.

    Parameters
    ----------
    design : NetworkDesign
    in_channels : int
        Of the features.

    Examples
    --------
    >>> StagedEncoder(DESIGNS["small"], 1).code_shape(64, 216)
    (128, 4, 14)
    """

    def __init__(self, design: NetworkDesign, in_channels: int) -> None:
        stem, depth = StemLayers(design, in_channels), design.depth
        n_blocks = depth * len(design.stages)
        rates = [design.drop_path * i / n_blocks for i in range(1, n_blocks + 1)]
        stages = [
            StageLayers(a, b, rates[i * depth : (i + 1) * depth], 2 if i else design.first_down)
            for i, (a, b) in enumerate(pairwise((design.width, *design.stages)))
        ]
        super().__init__(in_channels, [stem, *stages])
        self.stem, self.stages = stem, nn.ModuleList(stages)

    def run_part(self, number: int, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after one part, from the map before it."""
        y: Tensor = (self.stages[number - 1] if number else self.stem)(x, record)
        return y


class StemLayers(Part):
    """Convolution with a step, max-pool, norm, ReLU: the norm comes where the map is small."""

    def __init__(self, design: NetworkDesign, in_channels: int) -> None:
        super().__init__()
        width, kernel, stride = design.width, design.kernel, design.stride
        self.conv = nn.Conv2d(in_channels, width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.pool = _down(design.pool) if design.pool > 1 else None
        self.plan = (ConvStep(in_channels, width, (kernel, kernel)), _down(stride))
        if self.pool:
            self.plan += (ConvStep(width, width, KERNEL), self.pool)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The first map, shape (batch, width, fewer mel, fewer frames)."""
        if record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3])))
        x = self.conv(x)
        if self.pool:
            x = max_pool(x, self.pool, record)
        y: Tensor = self.relu(self.norm(x))
        return y


class StageLayers(Part):
    """Average pool (optional), then residual blocks."""

    def __init__(self, in_channels: int, width: int, drop_paths: list[float], down: int) -> None:
        super().__init__()
        self.down = _down(down, in_channels) if down > 1 else None
        pairs = list(pairwise([in_channels] + [width] * len(drop_paths)))
        self.blocks = nn.Sequential(
            *(ResidualBlock(a, b, rate) for (a, b), rate in zip(pairs, drop_paths, strict=True))
        )
        convs = (ConvStep(a, b, KERNEL) for a, b in pairs)
        self.plan = (*([self.down] if self.down else []), *convs)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after this stage, shape (batch, width, mel, frame)."""
        if self.down:
            if record is not None:
                record.downs.append(Undo((x.shape[2], x.shape[3]), map=x if record.maps else None))
            x = F.avg_pool2d(x, self.down.size, ceil_mode=True, count_include_pad=False)
        y: Tensor = self.blocks(x)
        return y


class ResidualBlock(nn.Module):
    """ReLU of shortcut plus branch: convolution, norm, ReLU, convolution, norm.

    Parameters
    ----------
    in_channels, out_channels : int
        The second at least as many as the first; new maps of the shortcut are zero.
    drop_path : float
        Probability that the branch of a clip is left out in training, 0 to less than 1.
    """

    def __init__(self, in_channels: int, out_channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        if not 0 <= drop_path < 1:
            raise ModelError(f"drop_path: found {drop_path}, expected 0 to less than 1")
        self.new_channels, self.drop_path = out_channels - in_channels, drop_path
        self.branch = nn.Sequential(
            convolution(in_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The map, (batch, in_channels, mel, frame) to (batch, out_channels, mel, frame)."""
        y: Tensor = self.branch(x)
        if self.training and self.drop_path:
            keep = 1.0 - self.drop_path
            stays = torch.rand(len(y), 1, 1, 1, device=y.device) < keep
            y = y * (stays / keep).to(y.dtype)
        if self.new_channels:
            x = F.pad(x, (0, 0, 0, 0, 0, self.new_channels))
        total: Tensor = self.relu(y + x)
        return total


def _down(step: int, map_channels: int = 0) -> DownStep:
    return DownStep((step, step), (step, step), ceil=True, map_channels=map_channels)


def _network(name: str, shape: Shape) -> Backbone:
    """Make the network of a design, for clips of any length."""
    encoder = StagedEncoder(DESIGNS[name], shape[0])
    channels, rows, _ = encoder.code_shape(*shape[1:])
    return Backbone(name, encoder, GlobalPoolNeck(channels, rows=rows))


NETWORKS = {name: partial(_network, name) for name in DESIGNS}
