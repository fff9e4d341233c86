"""Parts of published networks: encoders of layers in sequence, and dense layers after them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.encoder import ConvStep, DownStep, Encoder, Plan, Step
from semisonic.models.necks import GlobalPoolNeck, Neck
from semisonic.models.notation import Size


def convolution(
    in_channels: int, out_channels: int, kernel: int, step: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution that gives size / step, rounded up; no bias, as a normalisation follows."""
    return nn.Conv2d(
        *(in_channels, out_channels, kernel, step, kernel // 2), groups=groups, bias=False
    )


def plan_of(layers: Iterable[nn.Module]) -> Plan:
    """The effect of a sequence of layers on the size, from their windows and steps.

    For other layers their attribute ``plan`` is used, if they have one.
    """
    plan: list[Step] = []
    for layer in layers:
        if hasattr(layer, "plan"):
            plan += cast("Plan", layer.plan)
        elif isinstance(layer, nn.Sequential):
            plan += plan_of(layer)
        elif isinstance(layer, nn.Conv2d):
            kernel, stride = cast("tuple[Size, Size]", (layer.kernel_size, layer.stride))
            plan.append(ConvStep(layer.in_channels, layer.out_channels, kernel))
            if layer.padding == (0, 0) and kernel != (1, 1):
                plan.append(DownStep(kernel, stride))
            elif stride != (1, 1):
                plan.append(DownStep(stride, stride, ceil=True))
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            size, stride = cast("tuple[Size, Size]", (layer.kernel_size, layer.stride))
            plan.append(DownStep(size, stride, layer.ceil_mode))
    return tuple(plan)


class Block(nn.Module):
    """Layers in sequence, with or without a shortcut."""

    def __init__(self, *layers: nn.Module, shortcut: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.shortcut = shortcut
        self.plan = plan_of(layers)

    def forward(self, x: Tensor) -> Tensor:
        """The map after the last layer, shape (batch, channel, mel, frame)."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class LayeredEncoder(Encoder):
    """Blocks in sequence.

    Parameters
    ----------
    in_channels, out_channels : int
    parts : iterable of nn.Module
    least_frames : int
        Shorter input is an error.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        parts: Iterable[nn.Module],
        *,
        least_frames: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.parts = nn.Sequential(*parts)
        self.plan, self.least_frames = plan_of(self.parts), least_frames

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code; ModelError when the input is too small."""
        self.code_shape(x.shape[2], x.shape[3])
        code: Tensor = self.parts(x)
        return code

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the code of an input of that size."""
        if n_frames < self.least_frames:
            what = "samples" if self.least_frames > 500 else "frames"
            raise ModelError(
                f"found clips of {n_frames} {what}, expected at least {self.least_frames} for "
                "this network; use longer clips, or pad them with silence"
            )
        return super().code_shape(n_mels, n_frames)


N = TypeVar("N", bound=Neck)


class VectorNorm(nn.BatchNorm1d):
    """Batch normalisation of vectors that takes a batch of one in training.

    One clip has no spread, so it is normalised by the running statistics, which are not changed.
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
    neck.dense, neck.out_features = nn.Sequential(*layers), out_features
    return neck


def prelu_neck(channels: int, over_time: str) -> GlobalPoolNeck:
    """A mean over mel, a pooling over time, and 128 units with PReLU and a norm."""
    layers = (nn.Linear(channels, 128), nn.PReLU(), VectorNorm(128), nn.Dropout(0.1))
    return with_layers(GlobalPoolNeck(channels, over_time=over_time), 128, nn.Dropout(0.2), *layers)
