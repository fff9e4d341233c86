"""What the networks have in common that read samples."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.networks.parts import WithPlan
from semisonic.models.plan import ConvStep, DownStep, Step, Trace

NO_DECODER = "no way back from its maps to samples is known to it"


class WaveConv(nn.Conv2d, WithPlan):
    """A convolution over time: n samples give n / step, rounded up.

    The zeros at the start do not depend on how long the clip is, so a clip that is filled up
    with zeros gets the same first values as alone.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, step: int = 1, *,
        groups: int = 1, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, (1, kernel), (1, step), groups=groups, bias=bias
        )
        self.step = step
        self.left = (kernel - step) // 2
        self.right = kernel - step - self.left
        plan: list[Step] = [ConvStep(in_channels, out_channels, (1, kernel))]
        if step > 1:
            plan.append(DownStep(out_channels, (1, step), (1, step), ceil=True, has_map=False))
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The convolved map, (batch, out_channels, 1, time / step); nothing is recorded."""
        return super().forward(F.pad(x, (self.left, self.right + -x.shape[3] % self.step)))
