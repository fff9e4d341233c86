"""The mirror image of an encoder: each convolution back to its input's channels.

For the paper's encoder that is [way up, convolution 3x3, ReLU] twice, then way up and a
linear convolution 5x5 to one channel. A transposed convolution of step 1 is a convolution
with the filter turned around, so the plain one is used: the same functions and parameters,
and a backward pass twice as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.architecture import Size
from semisonic.models.layers import SameConv
from semisonic.models.plan import ConvStep, DownStep, FoldStep, Step, Trace


@dataclass(frozen=True)
class Level:
    """Channels back to rows (0: no), steps down to undo (the last one first), a convolution."""

    rows: int
    ups: tuple[int, ...]
    conv: ConvStep | None
    is_last: bool


def mirror(plan: tuple[Step, ...]) -> list[Level]:
    """The levels of a decoder, from the code to the input."""
    n_downs = sum(isinstance(step, DownStep) for step in plan)
    levels, ups, rows = [], list[int](), 0
    first_conv = next(i for i, step in enumerate(plan) if isinstance(step, ConvStep))
    for i in reversed(range(len(plan))):
        step = plan[i]
        if isinstance(step, DownStep):
            n_downs -= 1
            ups.append(n_downs)
        elif isinstance(step, FoldStep):
            rows = step.rows
        elif isinstance(step, ConvStep):
            levels.append(Level(rows, tuple(ups), step, is_last=i == first_conv))
            ups, rows = [], 0
    if ups or rows:  # the encoder opens with pools, or with folding
        levels.append(Level(rows, tuple(ups), None, is_last=True))
    return levels


def fit_size(x: Tensor, size: Size) -> Tensor:
    """Cut, or repeat the last row and column, to exactly this size (mel, frame)."""
    x = x[:, :, : size[0], : size[1]]
    below, right = size[0] - x.shape[2], size[1] - x.shape[3]
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def repeat_cells(x: Tensor, stride: Size, size: Size) -> Tensor:
    """Nearest-neighbour up-sampling by whole steps to a size (mel, frame)."""
    scale = (float(stride[0]), float(stride[1]))
    return fit_size(F.interpolate(x, scale_factor=scale, mode="nearest"), size)


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
            if level.rows:  # (batch, c * rows, 1, frame) to (batch, c, rows, frame)
                x = x.reshape(len(x), -1, level.rows, x.shape[3])
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
