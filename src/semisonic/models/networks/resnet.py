"""``resnet``: four residual blocks on log-mel of any length.

He et al. (2016), "Deep residual learning for image recognition", in the size that a project on
FSDKaggle2019 wrote and never tried (seed 004, its version 4): one block of two convolutions a
width, each with a shortcut that is a convolution of one cell, and no other layers before.
"""

from __future__ import annotations

from torch import Tensor, nn

from semisonic.models.networks.dense import prelu_neck
from semisonic.models.networks.parts import Part, PartsEncoder, WithPlan
from semisonic.models.plan import ConvStep, DownStep, Step, Trace, Undo
from semisonic.models.registry import Body, Shape, register


class ProjectedBlock(nn.Module, WithPlan):
    """Two convolutions 3 x 3, beside them a shortcut that learns; the first may step by two."""

    def __init__(self, in_channels: int, maps: int, step: int) -> None:
        super().__init__()
        self.step = step
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, maps, 3, step, 1, bias=False),
            nn.BatchNorm2d(maps),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, 1, 1, bias=False),
            nn.BatchNorm2d(maps),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, maps, 1, step, bias=False), nn.BatchNorm2d(maps)
        )
        self.relu = nn.ReLU()
        plan: list[Step] = [ConvStep(in_channels, maps, (3, 3)), ConvStep(maps, maps, (3, 3))]
        if step > 1:
            plan.insert(0, DownStep(in_channels, (step, step), (step, step), ceil=True))
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map, shape (batch, maps, mel / step, frame / step), rounded up."""
        if self.step > 1 and record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3]), map=x if record.maps else None))
        y: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return y


@register("resnet")
def resnet(shape: Shape) -> Body:
    """Blocks of 64, 128, 256 and 512 maps, the mean of the last, 128 units."""
    parts: list[Part] = []
    channels = shape[0]
    for maps in (64, 128, 256, 512):
        parts.append(Part(ProjectedBlock(channels, maps, step=2 if parts else 1)))
        channels = maps
    encoder = PartsEncoder(shape[0], channels, parts)
    return Body("resnet", encoder, prelu_neck(channels, "mean"))
