"""The encoder that an architecture of the notation describes.

Differences from the seed (DTU 02456 project 12, 2017), none of which changes the function:
ReLU is applied after the pools that follow a convolution, because the maximum of a window
and the ReLU may change places and four times fewer values are touched. A switch is then the
place of the largest value before the ReLU; where the ReLU would have made a whole window
zero, that is one of the tied places.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.architecture import Architecture, Conv, Pool
from semisonic.models.encoder import Encoder
from semisonic.models.layers import SameConv
from semisonic.models.plan import ConvStep, DownStep, Step, Trace, Undo


def max_pool(x: Tensor, step: DownStep, record: Trace | None) -> Tensor:
    """Max-pool a map; remember its size, the switches and the map as far as asked.

    ``x`` may be a map before its ReLU; the map remembered is the one after it.
    """
    if record is None:
        return F.max_pool2d(x, step.size, step.stride, ceil_mode=step.ceil)
    undo = Undo((x.shape[2], x.shape[3]), map=F.relu(x) if record.maps else None)
    record.downs.append(undo)
    if not record.switches:
        return F.max_pool2d(x, step.size, step.stride, ceil_mode=step.ceil)
    pooled, undo.switches = F.max_pool2d_with_indices(
        x, step.size, step.stride, ceil_mode=step.ceil
    )
    return pooled


class Stage(nn.Module):
    """A convolution (none when pools open the architecture), its pools, then ReLU."""

    def __init__(self, conv: ConvStep | None, norm: bool, pools: tuple[DownStep, ...]) -> None:
        super().__init__()
        self.pools = pools
        self.conv: SameConv | None = None
        self.norm: nn.BatchNorm2d | None = None
        if conv is not None:
            self.conv = SameConv(conv.in_channels, conv.out_channels, conv.kernel)
            self.norm = nn.BatchNorm2d(conv.out_channels) if norm else None
        self.relu = nn.ReLU() if conv is not None else None

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after this stage."""
        if self.conv is not None:
            x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        for pool in self.pools:
            x = max_pool(x, pool, record)
        return x if self.relu is None else self.relu(x)


class ConvEncoder(Encoder):
    """Convolutions and max-pools in the order of an architecture.

    Parameters
    ----------
    architecture : Architecture
        Its dense layers are not part of the encoder.
    in_channels : int
        1, or 2 with deltas.
    """

    has_switches = True

    def __init__(self, architecture: Architecture, in_channels: int = 1) -> None:
        super().__init__()
        self.architecture = architecture
        self.in_channels = in_channels
        stages: list[tuple[ConvStep | None, bool, list[DownStep]]] = []
        plan: list[Step] = []
        channels = in_channels
        for layer in architecture.maps:
            if isinstance(layer, Conv):
                conv = ConvStep(channels, layer.filters, layer.kernel)
                channels = layer.filters
                stages.append((conv, layer.norm, []))
                plan.append(conv)
            elif isinstance(layer, Pool):
                pool = DownStep(channels, layer.size, layer.stride)
                if not stages:
                    stages.append((None, False, []))
                stages[-1][2].append(pool)
                plan.append(pool)
        self.plan = tuple(plan)
        self.out_channels = channels
        self.stages = nn.ModuleList(Stage(conv, norm, tuple(p)) for conv, norm, p in stages)

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """A part is a convolution with the pools after it; opening pools belong to the first."""
        convs = [i for i, step in enumerate(self.plan) if isinstance(step, ConvStep)]
        bounds = [0, *convs[1:], len(self.plan)]
        return tuple(self.plan[a:b] for a, b in pairwise(bounds))

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one part, from the map before it."""
        opens_with_pools = len(self.stages) - len(self.part_plans)
        first = number + opens_with_pools if number else 0
        for stage in self.stages[first : number + opens_with_pools + 1]:
            x = stage(x, record)
        return x

    def extra_repr(self) -> str:
        """The architecture."""
        return str(Architecture(tuple(self.architecture.maps)))
