"""Dense layers behind the encoders of published networks."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.necks import GlobalPoolNeck, Neck

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
        GlobalPoolNeck(channels, over_time=over_time), 128,
        nn.Dropout(0.2), nn.Linear(channels, 128), nn.PReLU(), VectorNorm(128), nn.Dropout(0.1),
    )  # fmt: skip
