"""The encoder that a design describes: a stem, then stages of blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.blocks import block_class
from semisonic.models.conv_encoder import max_pool
from semisonic.models.design import ONE, Design, Stage, Stem
from semisonic.models.encoder import Encoder
from semisonic.models.frequency_norm import FrequencyNorm
from semisonic.models.plan import ConvStep, DownStep, FoldStep, Step, Trace, Undo, map_shape


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

    def __init__(self, design: Design, in_channels: int, n_mels: int) -> None:
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

    def __init__(self, stem: Stem, in_channels: int, rows: int) -> None:
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

    def __init__(self, stage: Stage, in_channels: int, rows: int, drop_paths: list[float]) -> None:
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
