"""Networks in stages of blocks: what a design says, the designs by name, and their encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.blocks import block_class
from semisonic.models.encoder import (
    ConvStep,
    DownStep,
    Encoder,
    FoldStep,
    Step,
    Trace,
    Undo,
    map_shape,
    max_pool,
)
from semisonic.models.notation import Size

# What a staged network consists of: plain, immutable data, without torch.
#
# A stem brings the features to a small map at once, stages of blocks follow, each of them
# smaller and wider, and a pooling over what is left of mel and time gives the embedding.


ONE: Size = (1, 1)


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
    fold : bool
        Make every mel band a channel first and convolve over time only.
    """

    width: int
    kernel: Size = (5, 5)
    stride: Size = (2, 2)
    pool: Size = ONE
    fold: bool = False


@dataclass(frozen=True)
class StageDesign:
    """Blocks of one width.

    Attributes
    ----------
    width : int
        Maps at its end.
    depth : int
        Blocks.
    block : str
        A name in :data:`semisonic.models.blocks.BLOCKS`.
    kernel : Size
        Of the blocks' convolutions.
    down : Size
        Average pool before the first block; (1, 1) is none.
    fold : bool
        Make the rows of the map channels before the first block: from here on the map has
        one row, and convolutions see time only.
    excite : bool
        Squeeze-excitation in each block.
    frequency_norm : bool
        Residual normalisation over frequency before the first block.
    """

    width: int
    depth: int = 1
    block: str = "residual"
    kernel: Size = (3, 3)
    down: Size = (2, 2)
    fold: bool = False
    excite: bool = False
    frequency_norm: bool = False


@dataclass(frozen=True)
class NetworkDesign:
    """A whole network without its class layer.

    Attributes
    ----------
    stem : Stem
    stages : tuple of Stage
    over_time : str
        A name in :data:`semisonic.models.necks.OVER_TIME`.
    keep_rows : bool
        Put the rows of the last map side by side in the embedding, instead of their mean.
    drop_path : float
        Probability that the last block's branch is left out for a clip in training; it
        rises from nearly zero at the first block (stochastic depth).
    """

    stem: StemDesign
    stages: tuple[StageDesign, ...]
    over_time: str = "mean+max"
    keep_rows: bool = False
    drop_path: float = 0.0


# The staged networks by name.
#
# All are for log-mel of about 64 x 216 (5 s) and take clips of any length. ``small`` is the
# first choice on a CPU, ``tiny`` is for devices, ``base`` for a graphics card. Each of the
# others differs from one of these in one idea; ``benchmarks/network_designs.py`` compares them.
#
# Their speed on a CPU is set by the numbers that are touched rather than by multiply-adds: a map
# of 32 x 108 costs more than all that follows. ``quarter`` therefore steps over four cells at once,
# which is faster; ``small`` takes two steps of two with a maximum between, which did better on
# inner
# validation parts. Plain 3 x 3 convolutions, which matrix
# units are made for, are used where filters for each map alone would need fewer multiply-adds.


QUARTER = StemDesign(32, kernel=(7, 7), stride=(4, 4))
"""To 16 x 54 in one step."""


def _three(stem: StemDesign, widths: tuple[int, int, int], like: StageDesign) -> NetworkDesign:
    """Three stages alike but for their width, the first at the size of the stem's map."""
    first, second, third = (replace(like, width=width) for width in widths)
    return NetworkDesign(stem, (replace(first, down=ONE), second, third))


WIDTHS = (32, 64, 128)
FAST = _three(QUARTER, WIDTHS, StageDesign(0))
SMALL = replace(FAST, stem=StemDesign(24, pool=(2, 2)))
TINY = _three(replace(QUARTER, width=16), (16, 32, 48), StageDesign(0))
BASE = NetworkDesign(
    StemDesign(32),
    tuple(StageDesign(width, depth=2) for width in (64, 128, 256)),
    drop_path=0.1,
)

DESIGNS: dict[str, NetworkDesign] = {
    "small": SMALL,
    "tiny": TINY,
    "base": BASE,
    # Other courses of size: one step of four, as in all that follow; no blocks at 16 x 54.
    "quarter": FAST,
    "short": replace(FAST, stages=(StageDesign(64), StageDesign(128))),
    "deep": replace(FAST, stages=(StageDesign(64, depth=2), StageDesign(96))),
    # Other blocks.
    "plain": _three(QUARTER, WIDTHS, StageDesign(0, block="plain")),
    "preactivation": _three(QUARTER, WIDTHS, StageDesign(0, block="preactivation")),
    "excite": _three(QUARTER, WIDTHS, StageDesign(0, excite=True)),
    "inverted": _three(QUARTER, (32, 64, 112), StageDesign(0, depth=2, block="inverted")),
    "broadcast": _three(QUARTER, (48, 96, 160), StageDesign(0, depth=2, block="broadcast")),
    "drop-path": replace(FAST, drop_path=0.2),
    # Other views of mel: absolute, folded into maps from the middle on or from the start.
    "frequency-norm": replace(
        FAST,
        stages=(*FAST.stages[:1], *(replace(s, frequency_norm=True) for s in FAST.stages[1:])),
    ),
    "rows": replace(FAST, keep_rows=True),
    "fold": NetworkDesign(
        QUARTER,
        (
            StageDesign(32, down=ONE),
            StageDesign(64),
            StageDesign(128, 2, kernel=(1, 3), down=(2, 1), fold=True),
        ),
    ),
    "temporal": NetworkDesign(
        StemDesign(96, kernel=(1, 5), stride=(1, 2), fold=True),
        tuple(StageDesign(96, kernel=(1, 5), down=(1, step)) for step in (1, 2, 2)),
    ),
    # Other poolings over time.
    "mean": replace(FAST, over_time="mean"),
    "attention": replace(FAST, over_time="attention"),
    "salient": replace(FAST, over_time="salient"),
    # Others of tiny and base.
    "tiny-broadcast": _three(
        replace(QUARTER, width=24), (24, 48, 96), StageDesign(0, depth=2, block="broadcast")
    ),
    "tiny-inverted": _three(
        replace(QUARTER, width=16), (16, 32, 56), StageDesign(0, depth=2, block="inverted")
    ),
    "tiny-temporal": NetworkDesign(
        StemDesign(48, kernel=(1, 5), stride=(1, 2), fold=True),
        tuple(StageDesign(48, kernel=(1, 3), down=(1, step)) for step in (1, 2, 2)),
    ),
    "base-preactivation": replace(
        BASE, stages=tuple(replace(stage, block="preactivation") for stage in BASE.stages)
    ),
}


# Residual normalisation over frequency: softens what is the same in all of a clip.
#
# Kim et al. (2021), "Domain generalization on efficient acoustic scene classification using
# residual normalization". Each mel row of a clip is freed from its mean and deviation (over
# maps and frames), which carry the microphone and the room; a share of the map as it was is
# added, because they also carry the sound. As published (the share is 0.1), without parameters.


SHARE = 0.1
EPSILON = 1e-5


class FrequencyNorm(nn.Module):
    """Rows of mean 0 and deviation 1, plus a tenth of the map as it was."""

    def forward(self, x: Tensor) -> Tensor:
        """The map, same shape (batch, channel, mel, frame)."""
        y = x.float()
        variance, mean = torch.var_mean(y, dim=(1, 3), correction=0, keepdim=True)
        return (SHARE * y + (y - mean) * torch.rsqrt(variance + EPSILON)).to(x.dtype)


# The encoder that a design describes: a stem, then stages of blocks.


class StagedEncoder(Encoder):
    """Stem, stages, and a norm and ReLU where the last block ends without.

    Sizes are rounded up on the way down, so clips of any length work. As its steps down are
    not all max-pools it has no switches: as an auto-encoder it takes the decoders
    ``upsample``, ``subpixel`` and ``unet``.

    Parameters
    ----------
    design : Design
    in_channels, n_mels : int
        Of the features.
    """

    def __init__(self, design: NetworkDesign, in_channels: int, n_mels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, design.stages[-1].width
        self.stem = StemLayers(design.stem, in_channels, n_mels)
        plan, width = self.stem.plan, design.stem.width
        n_blocks = sum(stage.depth for stage in design.stages)
        stages, number = [], 0
        for stage in design.stages:
            numbers = range(number + 1, number + stage.depth + 1)
            rates = [design.drop_path * i / n_blocks for i in numbers]
            rows = map_shape(plan, (n_mels, 1))[1]
            stages.append(StageLayers(stage, width, rows, rates))
            plan, width, number = plan + stages[-1].plan, stage.width, numbers[-1]
        self.stages = nn.ModuleList(stages)
        self.plan = plan
        closed = block_class(design.stages[-1].block).ends_in_relu
        self.closing = nn.Identity() if closed else nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """A part is the stem or a stage."""
        return self.stem.plan, *(stage.plan for stage in self._layers)

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one part, from the map before it; the last one closes it."""
        if number == 0:
            first: Tensor = self.stem(x, record)
            return first
        y: Tensor = self._layers[number - 1](x, record)
        if number == len(self._layers):
            y = self.closing(y)
        return y

    @property
    def _layers(self) -> list[StageLayers]:
        return cast("list[StageLayers]", list(self.stages))


class StemLayers(nn.Module):
    """Convolution with a step, max-pool, norm, ReLU: the norm comes where the map is small."""

    def __init__(self, stem: StemDesign, in_channels: int, rows: int) -> None:
        super().__init__()
        width, kernel = stem.width, stem.kernel
        inputs = in_channels * rows if stem.fold else in_channels
        around = (kernel[0] // 2, kernel[1] // 2)
        self.fold = stem.fold
        self.conv = nn.Conv2d(inputs, width, kernel, stem.stride, around, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.down = _down(width, stem.stride, has_map=False)  # no map stands before it
        self.pool = _down(width, stem.pool, has_map=False)
        plan: list[Step] = [FoldStep(in_channels, rows)] if stem.fold else []
        plan.append(ConvStep(inputs, width, kernel))
        plan += [self.down] if self.down else []
        if self.pool:
            plan += [ConvStep(width, width, (3, 3)), self.pool]
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The first map, shape (batch, width, fewer mel, fewer frames)."""
        if self.fold:
            x = fold(x)
        if self.down and record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3])))
        x = self.conv(x)
        if self.pool:
            x = max_pool(x, self.pool, record)
        y: Tensor = self.relu(self.norm(x))
        return y


class StageLayers(nn.Module):
    """Average pool, normalisation over frequency, folding (each if asked for), blocks."""

    def __init__(
        self, stage: StageDesign, in_channels: int, rows: int, drop_paths: list[float]
    ) -> None:
        super().__init__()
        plan: list[Step] = []
        self.down = _down(in_channels, stage.down)
        if self.down:
            plan.append(self.down)
            rows = self.down.shrink((rows, 1))[0]
        self.norm = FrequencyNorm() if stage.frequency_norm else nn.Identity()
        self.fold = stage.fold
        if stage.fold:
            plan.append(FoldStep(in_channels, rows))
            self.mix = nn.Sequential(
                nn.Conv2d(in_channels * rows, stage.width, 1, bias=False),
                nn.BatchNorm2d(stage.width),
                nn.ReLU(),
            )
            plan.append(ConvStep(in_channels * rows, stage.width, ONE))
            in_channels = stage.width
        make = block_class(stage.block)
        widths = [in_channels] + [stage.width] * stage.depth
        self.blocks = nn.Sequential(
            *(
                make(a, b, stage.kernel, excite=stage.excite, drop_path=rate)
                for (a, b), rate in zip(pairwise(widths), drop_paths, strict=True)
            )
        )
        plan += [ConvStep(a, b, stage.kernel) for a, b in pairwise(widths)]
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after this stage, shape (batch, width, mel, frame)."""
        if self.down:
            if record is not None:
                size = (x.shape[2], x.shape[3])
                record.downs.append(Undo(size, map=x if record.maps else None))
            x = F.avg_pool2d(x, self.down.size, ceil_mode=True, count_include_pad=False)
        x = self.norm(x)
        if self.fold:
            x = self.mix(fold(x))
        y: Tensor = self.blocks(x)
        return y


def fold(x: Tensor) -> Tensor:
    """Rows to channels: (batch, channel, mel, frame) to (batch, channel * mel, 1, frame)."""
    return x.permute(0, 3, 1, 2).flatten(2).transpose(1, 2).unsqueeze(2)


def _down(channels: int, step: tuple[int, int], has_map: bool = True) -> DownStep | None:
    if step == ONE:
        return None
    return DownStep(channels, step, step, ceil=True, has_map=has_map)
