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
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.encoder import ConvStep, DownStep, Encoder, Step, Trace, Undo, max_pool
from semisonic.models.notation import Size

ONE: Size = (1, 1)
KERNEL: Size = (3, 3)
"""Of the convolutions of all blocks."""


@dataclass(frozen=True)
class StemDesign:
    """The first convolution.

    Attributes
    ----------
    width : int
        Maps.
    kernel, stride : Size
        Of the convolution. With a step of 2 or 4 few numbers are touched at full size.
    pool : Size
        Max-pool after it; (1, 1) is none.
    """

    width: int
    kernel: Size = (5, 5)
    stride: Size = (2, 2)
    pool: Size = ONE


@dataclass(frozen=True)
class StageDesign:
    """Residual blocks of one width.

    Attributes
    ----------
    width : int
        Maps at its end, at least as many as before it.
    depth : int
        Blocks.
    down : Size
        Average pool before the first block; (1, 1) is none.
    """

    width: int
    depth: int = 1
    down: Size = (2, 2)


@dataclass(frozen=True)
class NetworkDesign:
    """A whole network without its class layer.

    Attributes
    ----------
    stem : StemDesign
    stages : tuple of StageDesign
    drop_path : float
        Probability that the last block's branch is left out for a clip in training; it
        rises from nearly zero at the first block (stochastic depth).
    """

    stem: StemDesign
    stages: tuple[StageDesign, ...]
    drop_path: float = 0.0


DESIGNS: dict[str, NetworkDesign] = {
    "small": NetworkDesign(
        StemDesign(24, pool=(2, 2)),
        (StageDesign(32, down=ONE), StageDesign(64), StageDesign(128)),
    ),
    "tiny": NetworkDesign(
        StemDesign(16, kernel=(7, 7), stride=(4, 4)),
        (StageDesign(16, down=ONE), StageDesign(32), StageDesign(48)),
    ),
    "base": NetworkDesign(
        StemDesign(32),
        tuple(StageDesign(width, depth=2) for width in (64, 128, 256)),
        drop_path=0.1,
    ),
}


class StagedEncoder(Encoder):
    """The encoder that a design describes.

    Sizes are rounded up on the way down, so clips of any length work. As its steps down are
    not all max-pools it has no switches: as an auto-encoder it takes the decoders
    ``upsample``, ``subpixel`` and ``unet``.

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
        super().__init__()
        self.in_channels, self.out_channels = in_channels, design.stages[-1].width
        self.stem = StemLayers(design.stem, in_channels)
        plan, width = self.stem.plan, design.stem.width
        n_blocks = sum(stage.depth for stage in design.stages)
        stages, number = [], 0
        for stage in design.stages:
            numbers = range(number + 1, number + stage.depth + 1)
            rates = [design.drop_path * i / n_blocks for i in numbers]
            stages.append(StageLayers(stage, width, rates))
            plan, width, number = plan + stages[-1].plan, stage.width, numbers[-1]
        self.stages = nn.ModuleList(stages)
        self.plan = plan

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """A part is the stem or a stage."""
        return self.stem.plan, *(stage.plan for stage in self._layers)

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one part, from the map before it."""
        part = self.stem if number == 0 else self._layers[number - 1]
        y: Tensor = part(x, record)
        return y

    @property
    def _layers(self) -> list[StageLayers]:
        return cast("list[StageLayers]", list(self.stages))


class StemLayers(nn.Module):
    """Convolution with a step, max-pool, norm, ReLU: the norm comes where the map is small."""

    def __init__(self, stem: StemDesign, in_channels: int) -> None:
        super().__init__()
        width, kernel = stem.width, stem.kernel
        around = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(in_channels, width, kernel, stem.stride, around, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.down = _down(width, stem.stride, has_map=False)  # no map stands before it
        self.pool = _down(width, stem.pool, has_map=False)
        plan: list[Step] = [ConvStep(in_channels, width, kernel)]
        plan += [self.down] if self.down else []
        if self.pool:
            plan += [ConvStep(width, width, (3, 3)), self.pool]
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The first map, shape (batch, width, fewer mel, fewer frames)."""
        if self.down and record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3])))
        x = self.conv(x)
        if self.pool:
            x = max_pool(x, self.pool, record)
        y: Tensor = self.relu(self.norm(x))
        return y


class StageLayers(nn.Module):
    """Average pool (if asked for), then residual blocks."""

    def __init__(self, stage: StageDesign, in_channels: int, drop_paths: list[float]) -> None:
        super().__init__()
        self.down = _down(in_channels, stage.down)
        widths = [in_channels] + [stage.width] * stage.depth
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(a, b, rate)
                for (a, b), rate in zip(pairwise(widths), drop_paths, strict=True)
            )
        )
        plan: list[Step] = [self.down] if self.down else []
        self.plan = (*plan, *(ConvStep(a, b, KERNEL) for a, b in pairwise(widths)))

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after this stage, shape (batch, width, mel, frame)."""
        if self.down:
            if record is not None:
                size = (x.shape[2], x.shape[3])
                record.downs.append(Undo(size, map=x if record.maps else None))
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
            convolution(in_channels, out_channels, KERNEL),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, KERNEL),
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

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"drop_path={self.drop_path:g}"


def convolution(in_channels: int, out_channels: int, kernel: Size, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, without bias as a normalisation follows."""
    around = (kernel[0] // 2, kernel[1] // 2)
    return nn.Conv2d(in_channels, out_channels, kernel, padding=around, groups=groups, bias=False)


def _down(channels: int, step: tuple[int, int], has_map: bool = True) -> DownStep | None:
    if step == ONE:
        return None
    return DownStep(channels, step, step, ceil=True, has_map=has_map)
