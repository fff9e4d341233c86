"""Parts of published networks: encoders of layers in a row, and dense layers behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.encoder import (
    ConvStep,
    DownStep,
    Encoder,
    Step,
    Trace,
    Undo,
    map_shape,
    max_pool,
)
from semisonic.models.necks import GlobalPoolNeck, Neck
from semisonic.models.notation import Size


class WithPlan:
    """A layer that says which steps it is, and is called with the record to fill."""

    plan: tuple[Step, ...]


def remember(x: Tensor, record: Trace | None) -> None:
    """Record a step down from this map, if there is a record."""
    if record is not None:
        record.downs.append(Undo((x.shape[2], x.shape[3]), map=x if record.maps else None))


def convolution(in_channels: int, out_channels: int, kernel: Size, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, without bias as a normalisation follows."""
    around = (kernel[0] // 2, kernel[1] // 2)
    return nn.Conv2d(in_channels, out_channels, kernel, padding=around, groups=groups, bias=False)


class ValidConv(nn.Conv2d, WithPlan):
    """A convolution without zeros around the map, which gets smaller."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Size, stride: Size = (1, 1)
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride)
        down = DownStep(out_channels, kernel, stride, has_map=False)
        self.plan = (ConvStep(in_channels, out_channels, kernel), down)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The convolved map, shape (batch, out_channels, fewer mel, fewer frames)."""
        if record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3])))
        return super().forward(x)


class MaxPoolLayer(nn.Module, WithPlan):
    """Maxima of windows."""

    def __init__(self, channels: int, size: Size, stride: Size, *, ceil: bool = False) -> None:
        super().__init__()
        self.step = DownStep(channels, size, stride, ceil)
        self.plan = (self.step,)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The smaller map."""
        return max_pool(x, self.step, record)


class AveragePoolLayer(nn.Module, WithPlan):
    """Means of windows side by side, partial ones at the end included unless not ``ceil``."""

    def __init__(self, channels: int, size: Size, *, ceil: bool = True) -> None:
        super().__init__()
        self.step = DownStep(channels, size, size, ceil=ceil)
        self.plan = (self.step,)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The smaller map."""
        remember(x, record)
        return F.avg_pool2d(x, self.step.size, ceil_mode=self.step.ceil, count_include_pad=False)


class EncoderLayer(nn.Module):
    """Layers one after the other; convolutions without a plan of their own keep the size."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        plan: list[Step] = []
        for layer in layers:
            if isinstance(layer, WithPlan):
                plan += layer.plan
            elif isinstance(layer, nn.Conv2d):
                size = cast("Size", layer.kernel_size)
                plan.append(ConvStep(layer.in_channels, layer.out_channels, size))
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after the last layer, shape (batch, channel, mel, frame)."""
        for layer in self.layers:
            x = layer(x, record) if isinstance(layer, WithPlan) else layer(x)
        return x


class LayeredEncoder(Encoder):
    """Parts one after the other.

    Parameters
    ----------
    in_channels, out_channels : int
    parts : iterable of Part
    least_frames : int
        Shorter input is an error.
    no_decoder : str
        Why it cannot be an auto-encoder, if it cannot.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        parts: Iterable[EncoderLayer],
        *,
        least_frames: int = 1,
        no_decoder: str = "",
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.parts = nn.ModuleList(parts)
        self.plan = tuple(step for plan in self.part_plans for step in plan)
        self.least_frames, self.no_decoder = least_frames, no_decoder

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """One plan a part."""
        return tuple(part.plan for part in cast("list[EncoderLayer]", list(self.parts)))

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one part, from the map before it."""
        y: Tensor = self.parts[number](x, record)
        return y

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The code.

        Raises
        ------
        ModelError
            When the input is too small.
        """
        self.code_shape(x.shape[2], x.shape[3])
        return super().walk(x, record)

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the code of an input of that size."""
        self.check_length(n_frames)
        return map_shape(self.plan, (n_mels, n_frames), type(self).__name__)

    def check_length(self, n_frames: int) -> None:
        """Raise ModelError for an input that is too short."""
        if n_frames < self.least_frames:
            what = "samples" if self.least_frames > 500 else "frames"
            raise ModelError(
                f"found clips of {n_frames} {what}, this network needs {self.least_frames} or "
                "more; take longer clips or fill them up with silence"
            )


N = TypeVar("N", bound=Neck)


class VectorNorm(nn.BatchNorm1d):
    """Batch normalisation of vectors that takes a batch of one in training.

    One clip has no spread, so it is normalised by the running statistics, which stay as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The normalised vectors, shape (batch, features)."""
        if self.training and len(x) == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def with_layers(neck: N, out_features: int, *layers: nn.Module) -> N:
    """The neck with these layers after its pooling or flattening."""
    neck.dense = nn.Sequential(*layers)
    neck.out_features = out_features
    return neck


def prelu_neck(channels: int, over_time: str) -> GlobalPoolNeck:
    """A mean over mel, a pooling over time, and 128 units with PReLU and a norm."""
    return with_layers(
        GlobalPoolNeck(channels, over_time=over_time),
        128,
        nn.Dropout(0.2),
        nn.Linear(channels, 128),
        nn.PReLU(),
        VectorNorm(128),
        nn.Dropout(0.1),
    )
