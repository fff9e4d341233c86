"""Networks that make patches of spectrograms: a generator, and what looks at its patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from semisonic.core.seeds import derive
from semisonic.models.decoders import SubPixelConv, shuffle_cells
from semisonic.models.encoder import ConvStep, SameConv
from semisonic.models.notation import Size
from semisonic.models.weights import initialise, undisturbed

SLOPE = 0.2
"""Of the leaky ReLUs below zero."""
_SMALLEST = 5
"""Bands or frames below which a map is not halved again."""
_MOST_LEVELS = 4


def halved(size: Size) -> list[Size]:
    """The sizes (mel, frame) from a patch down to the smallest map, each half of the last."""
    sizes = [size]
    while len(sizes) <= _MOST_LEVELS and min(sizes[-1]) >= _SMALLEST:
        mel, frame = sizes[-1]
        sizes.append((-(-mel // 2), -(-frame // 2)))
    return sizes


class _Level(nn.Module):
    """Up-sampling, a convolution, and a gain and shift of each channel by the condition."""

    def __init__(self, n_in: int, n_out: int, size: Size, n_given: int) -> None:
        super().__init__()
        self.size = size
        self.conv = SameConv(n_in, n_out, (3, 3))
        self.norm = nn.GroupNorm(1, n_out, affine=False)
        self.style = nn.Linear(n_given, 2 * n_out)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        x = self.norm(self.conv(F.interpolate(x, size=self.size, mode="nearest")))
        gain, shift = self.style(given)[..., None, None].chunk(2, dim=1)
        return F.leaky_relu(x * (1 + gain) + shift, SLOPE)


class PatchGenerator(nn.Module):
    """Makes patches of a class from random vectors.

    Parameters
    ----------
    size : (int, int)
        Bands and frames of a patch.
    n_classes : int
    n_latent : int
        Length of a random vector.
    width : int
        Channels of the smallest map; the largest has a quarter of them.
    n_maps : int
        Maps of a patch that are given: 1, or 2 for a mean and the logarithm of a variance.
    seed : int
        Of the first weights.
    """

    def __init__(
        self,
        size: Size,
        n_classes: int,
        *,
        n_latent: int = 32,
        width: int = 32,
        n_maps: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_latent, self.n_classes, self.n_frames = n_latent, n_classes, size[1]
        _, *larger, smallest = halved(size)
        n_given = n_latent + n_classes
        with undisturbed():
            self.first = nn.Linear(n_given, width * smallest[0] * smallest[1])
            self.start = (width, *smallest)
            self.levels = nn.ModuleList()
            channels = width
            for number, one in enumerate(reversed(larger)):
                after = max(width // 4, width >> max(0, number - 1))
                self.levels.append(_Level(channels, after, one, n_given))
                channels = after
            self.last = SubPixelConv(ConvStep(n_maps, channels, (3, 3)), 4)
            self.band = nn.Parameter(torch.zeros(n_maps, size[0], 1))
            initialise(self, seed, "generator.")

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Standardised patches, (batch, map, mel, frame).

        Parameters
        ----------
        latent : Tensor, shape (batch, n_latent)
            Standard normal numbers.
        condition : Tensor, shape (batch, class)
        """
        given = torch.cat((latent, condition), dim=1)
        x = self.first(given).reshape(len(given), *self.start)
        for level in self.levels:
            x = level(x, given)
        fine = shuffle_cells(self.last(x), (2, 2))[..., : self.band.shape[1], : self.n_frames]
        maps: Tensor = fine + self.band
        return maps


class _Trunk(nn.Module):
    """Convolutions with step 2; then a vector that keeps the bands and forgets the time."""

    def __init__(self, size: Size, width: int, n_out: int) -> None:
        super().__init__()
        sizes = halved(size)
        n = len(sizes) - 1
        channels = [1, *(max(width // 4, width >> (n - 1 - i)) for i in range(n))]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1) for i in range(n)
        )
        # Mean and maximum over time of each band of the smallest map.
        self.dense = nn.Linear(2 * channels[-1] * sizes[-1][0], n_out)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        both = torch.cat((x.mean(dim=3), x.amax(dim=3)), dim=1).flatten(1)
        return F.leaky_relu(self.dense(both), SLOPE)


class PatchEncoder(nn.Module):
    """From a patch and its class to the mean and log-variance of its random vector.

    Parameters
    ----------
    size, n_classes, n_latent, width, seed
        As for :class:`PatchGenerator`.
    """

    def __init__(
        self, size: Size, n_classes: int, *, n_latent: int = 32, width: int = 32, seed: int = 0
    ) -> None:
        super().__init__()
        hidden = 4 * width
        with undisturbed():
            self.trunk = _Trunk(size, width, hidden)
            self.out = nn.Linear(hidden + n_classes, 2 * n_latent)
            initialise(self, seed, "generator.encoder.")

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (batch, n_latent) each, of patches (batch, 1, mel, frame)."""
        mean, log_variance = self.out(torch.cat((self.trunk(x), condition), dim=1)).chunk(2, dim=1)
        return mean, log_variance


class PatchCritic(nn.Module):
    """Says how real a patch of a class looks; every layer is spectrally normalised.

    Parameters
    ----------
    size, n_classes, width, seed
        As for :class:`PatchGenerator`.
    """

    def __init__(self, size: Size, n_classes: int, *, width: int = 32, seed: int = 0) -> None:
        super().__init__()
        hidden = 4 * width
        with undisturbed():
            torch.manual_seed(derive(seed, "generator.critic") % (1 << 31))  # first directions
            self.trunk = _Trunk(size, width, hidden)
            self.score = nn.Linear(hidden, 1)
            self.of_class = nn.Linear(n_classes, hidden, bias=False)
            initialise(self, seed, "generator.critic.")
            for layer in [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
                spectral_norm(layer)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Scores, (batch,), of patches (batch, 1, mel, frame): above 0 for real ones."""
        seen = self.trunk(x)
        scores: Tensor = self.score(seen)[:, 0] + (self.of_class(condition) * seen).sum(dim=1)
        return scores
