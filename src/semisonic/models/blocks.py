"""Blocks that staged networks are made of, by name: a shortcut, a branch beside it, and their sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.core.options import nearest
from semisonic.models.notation import Size

# Squeeze-excitation: each map is weighed by what the whole clip holds.
#
# Hu et al. (2018), "Squeeze-and-excitation networks". Cheap here: the means over a map are
# few numbers. As published, with a reduction of 8 (the paper's 16 would leave 2 numbers).


REDUCTION = 8


class Excitation(nn.Module):
    """Maps times weights of 0 to 1 found from the mean of each map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // REDUCTION, 4)
        self.squeeze = nn.Linear(channels, inner)
        self.relu = nn.ReLU()
        self.excite = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The weighed map, same shape (batch, channel, mel, frame)."""
        means = x.mean(dim=(2, 3))
        weights = torch.sigmoid(self.excite(self.relu(self.squeeze(means))))
        return x * weights[:, :, None, None].to(x.dtype)


# Stochastic depth: the branch of a block is left out at random in training.
#
# Huang et al. (2016), "Deep networks with stochastic depth". Where we differ: each clip draws
# for itself, as has become usual, and branches that stay are divided by their probability, so
# that nothing is scaled in evaluation.


class StochasticDepth(nn.Module):
    """Zero for a share of the clips in training, the branch itself in evaluation.

    Parameters
    ----------
    probability : float
        Of leaving a clip's branch out, 0 to less than 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ModelError(f"drop_path: found {probability}, expected 0 to less than 1")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """The branch, same shape (batch, channel, mel, frame)."""
        if not self.training or not self.probability:
            return x
        keep = 1.0 - self.probability
        stays = torch.rand(len(x), 1, 1, 1, device=x.device) < keep
        return x * (stays / keep).to(x.dtype)

    def extra_repr(self) -> str:
        """The probability."""
        return f"probability={self.probability:g}"


# What all blocks share: a shortcut, a branch beside it, and their sum.


class NetworkBlock(nn.Module):
    """Base: shortcut plus branch; a subclass makes the branch.

    The shortcut has no parameters: new maps begin at zero (He et al. 2016, option A).

    Parameters
    ----------
    in_channels, out_channels : int
        The second at least as many as the first.
    kernel : (mel, frame)
        Odd numbers.
    excite : bool
        Weigh the maps of the branch by squeeze-excitation.
    drop_path : float
        Probability that the branch of a clip is left out in training.

    Attributes
    ----------
    ends_in_relu : bool
        Whether the sum goes through a ReLU; if not, a norm and a ReLU must follow the last
        block of a network.
    has_shortcut : bool
    """

    ends_in_relu = False
    has_shortcut = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size = (3, 3),
        *,
        excite: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.branch = self.make_branch(in_channels, out_channels, kernel)
        self.excitation = Excitation(out_channels) if excite else nn.Identity()
        self.drop = StochasticDepth(drop_path) if drop_path else nn.Identity()
        self.relu = nn.ReLU() if self.ends_in_relu else nn.Identity()

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """The layers beside the shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The map.

        Parameters
        ----------
        x : Tensor, shape (batch, in_channels, mel, frame)

        Returns
        -------
        Tensor, shape (batch, out_channels, mel, frame)
        """
        y: Tensor = self.excitation(self.branch(x))
        if self.has_shortcut:
            y = self.drop(y) + self._shortcut(x)
        total: Tensor = self.relu(y)
        return total

    def _shortcut(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels)) if self.new_channels else x


def convolution(in_channels: int, out_channels: int, kernel: Size, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, without bias as a normalisation follows."""
    around = (kernel[0] // 2, kernel[1] // 2)
    return nn.Conv2d(in_channels, out_channels, kernel, padding=around, groups=groups, bias=False)


# The residual block.
#
# He et al. (2016), "Deep residual learning for image recognition", figure 2 left. Where we
# differ: sizes are halved by an average pool between the blocks, not by a step inside, so that
# the shortcut drops nothing.


class ResidualBlock(NetworkBlock):
    """ReLU of shortcut plus branch: convolution, norm, ReLU, convolution, norm."""

    ends_in_relu = True

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Two convolutions."""
        return nn.Sequential(
            convolution(in_channels, out_channels, kernel),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, kernel),
            nn.BatchNorm2d(out_channels),
        )


# The residual block with norm and ReLU before each convolution.
#
# He et al. (2016b), "Identity mappings in deep residual networks", figure 4e: nothing stands
# in the way of the shortcut. Where we differ: as in :mod:`.residual`.


class PreactivationBlock(NetworkBlock):
    """Shortcut plus branch: norm, ReLU, convolution, norm, ReLU, convolution."""

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Two convolutions."""
        return nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
            convolution(in_channels, out_channels, kernel),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, kernel),
        )


# Convolutions one after the other, without a shortcut: the control for shortcuts.
#
# Simonyan and Zisserman (2015), "Very deep convolutional networks for large-scale image
# recognition", with the batch normalisation of its later users.


class PlainBlock(ResidualBlock):
    """Convolution, norm, ReLU, convolution, norm, ReLU."""

    has_shortcut = False


# The inverted bottleneck: widen, filter each map alone, narrow.
#
# Sandler et al. (2018), "MobileNetV2". Few multiply-adds, but many numbers touched for each:
# on a processor with matrix units it trains more slowly than whole convolutions of the same
# size, on a small device it does not. Where we differ: ReLU instead of ReLU6, and a shortcut
# in every block (new maps begin at zero).


EXPANSION = 3


class InvertedBlock(NetworkBlock):
    """Shortcut plus branch: 1 x 1 to three times the maps, one filter a map, 1 x 1 back."""

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Three convolutions."""
        inner = EXPANSION * in_channels
        return nn.Sequential(
            convolution(in_channels, inner, (1, 1)),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            convolution(inner, inner, kernel, groups=inner),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            convolution(inner, out_channels, (1, 1)),
            nn.BatchNorm2d(out_channels),
        )


# Broadcasted residuals: look along mel on the map, along time on its mean over mel.
#
# Kim et al. (2021), "Broadcasted residual learning for efficient keyword spotting" (BC-ResNet).
# The part over time works on one row instead of many and is added to all rows again.
# Where we differ: batch normalisation instead of sub-spectral normalisation, ReLU instead of
# swish, no dilation, and dropout only before the class layer.


class _Branch(nn.Module):
    """What is added to the shortcut: the map filtered over mel, and its mean over time."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Size) -> None:
        super().__init__()
        along_mel, along_time = (kernel[0], 1), (1, kernel[1])
        layers: list[nn.Module] = []
        if in_channels != out_channels:
            layers += [
                convolution(in_channels, out_channels, (1, 1)),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
        self.mel = nn.Sequential(
            *layers,
            convolution(out_channels, out_channels, along_mel, groups=out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.time = nn.Sequential(
            convolution(out_channels, out_channels, along_time, groups=out_channels),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, (1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, out_channels, mel, frame)."""
        y: Tensor = self.mel(x)
        row: Tensor = self.time(y.mean(dim=2, keepdim=True))  # (batch, channel, 1, frame)
        return y + row


class BroadcastBlock(NetworkBlock):
    """ReLU of shortcut plus the map filtered over mel plus a row filtered over time."""

    ends_in_relu = True

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Both parts."""
        return _Branch(in_channels, out_channels, kernel)


# Blocks that staged networks are made of, by name, one idea a file.
#
# =================  =========================================================================
# ``residual``       two convolutions and a shortcut
# ``preactivation``  the same with norm and ReLU before each convolution
# ``plain``          two convolutions without a shortcut
# ``inverted``       widen, a filter for each map alone, narrow (as for mobile phones)
# ``broadcast``      filters over mel on the map, filters over time on its mean over mel
# =================  =========================================================================


BLOCKS: dict[str, type[NetworkBlock]] = {
    "residual": ResidualBlock,
    "preactivation": PreactivationBlock,
    "plain": PlainBlock,
    "inverted": InvertedBlock,
    "broadcast": BroadcastBlock,
}


def block_class(name: str) -> type[NetworkBlock]:
    """The class of a block by its name."""
    if name not in BLOCKS:
        raise ModelError(f"unknown block '{name}': {nearest(name, BLOCKS)}")
    return BLOCKS[name]
