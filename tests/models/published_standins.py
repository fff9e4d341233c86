"""Networks with the names, shapes and axes of published checkpoints, and random weights.

They are written after the papers and the names in the published files, apart from the package,
so that a mistake in the one is seen by the other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOBILE = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5
MOBILE += [(1024, 2), (1024, 1)]


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random normalisations, so that none is the identity."""
    torch.manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm1d)):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return network.eval()


class Same(nn.Module):
    """TensorFlow's padding, then convolution, norm, ReLU; input (batch, map, time, mel)."""

    def __init__(self, a: int, b: int, kernel: int, step: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, step, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(b, eps=1e-4)

    def forward(self, x: Tensor) -> Tensor:
        kernel, step = self.conv.kernel_size[0], self.conv.stride[0]
        total = max(kernel - step, 0)  # sizes are even wherever the step is two
        before = total // 2
        return F.relu(self.bn(self.conv(F.pad(x, (before, total - before) * 2))))


class Pair(nn.Module):
    def __init__(self, a: int, b: int, step: int) -> None:
        super().__init__()
        self.depthwise_conv = Same(a, a, 3, step, a)
        self.pointwise_conv = Same(a, b, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class Yamnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Module()
        self.layer1.fused = Same(1, 32, 3, 2)
        width = 32
        for number, (channels, step) in enumerate(MOBILE, 2):
            setattr(self, f"layer{number}", Pair(width, channels, step))
            width = channels
        self.classifier = nn.Linear(width, 521)

    def embed(self, patches: Tensor) -> Tensor:
        """(batch, 1, 96, 64) natural logarithms to (batch, 1024)."""
        x = self.layer1.fused(patches)
        for number in range(2, 15):
            x = getattr(self, f"layer{number}")(x)
        return x.mean((2, 3))


class Panns(nn.Module):
    """The parts that both networks share; input (batch, 1, time, mel) in dB."""

    def __init__(self, width: int, n_classes: int = 527) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(64)
        self.fc1 = nn.Linear(width, width)
        self.fc_audioset = nn.Linear(width, n_classes)

    def body(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        x = self.body(x).mean(3)
        return F.relu(self.fc1(x.amax(2) + x.mean(2)))


class Cnn14(Panns):
    def __init__(self, widths: tuple[int, ...], n_classes: int) -> None:
        super().__init__(widths[-1], n_classes)
        before = 1
        for number, width in enumerate(widths, 1):
            block = nn.Module()
            block.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
            block.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            block.bn1, block.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
            setattr(self, f"conv_block{number}", block)
            before = width

    def body(self, x: Tensor) -> Tensor:
        for number in range(1, 7):
            block = getattr(self, f"conv_block{number}")
            x = F.relu(block.bn1(block.conv1(x)))
            x = F.relu(block.bn2(block.conv2(x)))
            x = F.avg_pool2d(x, 2 if number < 6 else 1)
        return x


def norm_conv(a: int, b: int, kernel: int, step: int, groups: int, act: str) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(a, b, kernel, step, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(b, eps=0.001),
    ]
    ends = {"": [], "RE": [nn.ReLU()], "HS": [nn.Hardswish()]}
    return nn.Sequential(*layers, *ends[act])


class Squeeze(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        one = nn.Module()
        one.fc1, one.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.conc_se_layers = nn.ModuleList([one])

    def forward(self, x: Tensor) -> Tensor:
        one = self.conc_se_layers[0]
        scale = torch.sigmoid(one.fc2(F.relu(one.fc1(x.mean((2, 3))))))
        return x * scale[..., None, None]


class Inverted(nn.Module):
    def __init__(self, a: int, inner: int, b: int, kernel: int, step: int, se: int, act: str):
        super().__init__()
        layers: list[nn.Module] = [] if inner == a else [norm_conv(a, inner, 1, 1, 1, act)]
        layers.append(norm_conv(inner, inner, kernel, step, inner, act))
        if se:
            layers.append(Squeeze(inner, se))
        layers.append(norm_conv(inner, b, 1, 1, 1, ""))
        self.block = nn.Sequential(*layers)
        self.adds = step == 1 and a == b

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return y + x if self.adds else y


# kernel, inner width, width, step, width inside the squeeze, activation: mn04, counted by hand
MN04 = [
    (3, 8, 8, 1, 0, "RE"),
    (3, 24, 16, 2, 0, "RE"),
    (3, 32, 16, 1, 0, "RE"),
    (5, 32, 16, 2, 8, "RE"),
    (5, 48, 16, 1, 16, "RE"),
    (5, 48, 16, 1, 16, "RE"),
    (3, 96, 32, 2, 0, "HS"),
    (3, 80, 32, 1, 0, "HS"),
    (3, 72, 32, 1, 0, "HS"),
    (3, 72, 32, 1, 0, "HS"),
    (3, 192, 48, 1, 48, "HS"),
    (3, 272, 48, 1, 72, "HS"),
    (5, 272, 64, 2, 72, "HS"),
    (5, 384, 64, 1, 96, "HS"),
    (5, 384, 64, 1, 96, "HS"),
]


class Mn04(nn.Module):
    """Input (batch, 1, mel, time), as standardised by its front end."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [norm_conv(1, 8, 3, 2, 1, "HS")]
        width = 8
        for kernel, inner, out, step, se, act in MN04:
            blocks.append(Inverted(width, inner, out, kernel, step, se, act))
            width = out
        blocks.append(norm_conv(width, 384, 1, 1, 1, "HS"))
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.Identity(),
            nn.Identity(),
            nn.Linear(384, 512),
            nn.Hardswish(),
            nn.Identity(),
            nn.Linear(512, 527),
        )

    def embed(self, x: Tensor) -> Tensor:
        y: Tensor = self.features(x)
        return y.mean((2, 3))
