"""A small residual network: a sensible first choice for clips of any length on a CPU.

0.3 million parameters, about 40 million multiply-adds for 64 x 216. Plain 3 x 3
convolutions (on a CPU depthwise ones train slower), batch normalisation, and shortcuts
without parameters as in He et al. (2016), option A.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.conv_encoder import max_pool
from semisonic.models.encoder import Encoder
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.plan import ConvStep, DownStep, Trace, Undo
from semisonic.models.registry import Body, Shape, register

STEM = 24
WIDTHS = (32, 64, 128)


class ResidualBlock(nn.Module):
    """Two convolutions 3 x 3 and a shortcut that fills new channels with zeros."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Same size, ``out_channels`` channels."""
        y = self.relu1(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        shortcut = F.pad(x, (0, 0, 0, 0, 0, self.new_channels))
        result: Tensor = self.relu2(y + shortcut)
        return result


class SmallEncoder(Encoder):
    """Stem 5 x 5 with step 2, max-pool, residual blocks with average pools between.

    Sizes are rounded up on the way down, so any number of mel bands and frames works.
    As its steps down are not all max-pools it has no switches: as an auto-encoder it takes
    the decoders ``upsample``, ``subpixel`` and ``unet``.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, WIDTHS[-1]
        self.stem = nn.Conv2d(in_channels, STEM, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU()
        widths = (STEM, *WIDTHS)
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in pairwise(widths))

        self.pool = _half(STEM)
        self.plan = (
            ConvStep(in_channels, STEM, (5, 5)),
            _half(STEM, has_map=False),  # the step of the stem: there is no map before it
            ConvStep(STEM, STEM, (3, 3)),
            self.pool,
            ConvStep(STEM, WIDTHS[0], (3, 3)),
            _half(WIDTHS[0]),
            ConvStep(WIDTHS[0], WIDTHS[1], (3, 3)),
            _half(WIDTHS[1]),
            ConvStep(WIDTHS[1], WIDTHS[2], (3, 3)),
        )

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The code; fills ``record`` when there is one."""
        if record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3])))
        x = max_pool(self.norm(self.stem(x)), self.pool, record)
        x = self.relu(x)
        for number, block in enumerate(self.blocks):
            if number:
                if record is not None:
                    size = (x.shape[2], x.shape[3])
                    record.downs.append(Undo(size, map=x if record.maps else None))
                x = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
            x = block(x)
        return x


def _half(channels: int, has_map: bool = True) -> DownStep:
    return DownStep(channels, (2, 2), (2, 2), ceil=True, has_map=has_map)


@register("small")
def small(shape: Shape) -> Body:
    """A residual network of 0.3 million parameters for clips of any length."""
    encoder = SmallEncoder(shape[0])
    return Body("small", encoder, GlobalPoolNeck(encoder.out_channels))
