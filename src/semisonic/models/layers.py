"""A convolution that keeps the size, for filters of odd and even sizes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.architecture import Size


class SameConv(nn.Conv2d):
    """``nn.Conv2d`` whose output has the size of its input (mel, frame).

    The zeros stand around the map; of an even filter one more below and to the right, as
    ``padding="same"`` does, which warns about it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Size) -> None:
        around = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        super().__init__(in_channels, out_channels, kernel, padding=around)
        self.extra = (0, 1 - kernel[1] % 2, 0, 1 - kernel[0] % 2)

    def forward(self, x: Tensor) -> Tensor:
        """The convolved map, shape (batch, out_channels, mel, frame)."""
        return super().forward(F.pad(x, self.extra) if any(self.extra) else x)
