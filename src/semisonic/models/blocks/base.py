"""What all blocks share: a shortcut, a branch beside it, and their sum."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.architecture import Size
from semisonic.models.blocks.excitation import Excitation
from semisonic.models.blocks.stochastic_depth import StochasticDepth


class Block(nn.Module):
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
