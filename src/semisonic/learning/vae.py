"""A conditional variational auto-encoder of patches.

Papers: Kingma and Welling 2014, "Auto-encoding variational Bayes"; Sohn et al. 2015, "Learning
structured output representation using deep conditional generative models"; the weight of the
divergence is that of Higgins et al. 2017, "beta-VAE". Where new patches come from: Tomczak and
Welling 2018, "VAE with a VampPrior" (a mixture of what clips could have been made from), and
DeVries and Taylor 2017, "Dataset augmentation in feature space" (between two clips of a class).

What it changes: an encoder says which random vectors could have made a clip of a class, and the
generator makes the clip again from one of them. The vectors are kept close to standard normal
ones, so that what lies between two clips means something, too.

Where we differ: the generator also says how far each cell may be off, at most as far as the
cells of a noise are from their mean, and a sample is drawn with that spread. Without it patches
are smooth where sounds are rough. A patch is made from a vector between those of two labelled
clips of its class, since a few clips leave most of the normal distribution without meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.features import Standardize
from semisonic.learning.base import BatchLike
from semisonic.learning.generative import Generative
from semisonic.learning.supervised import shares
from semisonic.models.generator import PatchEncoder, PatchGenerator

LEAST_DB, MOST_DB = 1.0, 5.6
"""How far a cell may be off, in dB. The level of a cell of a steady noise has a standard deviation
of 5.6 dB; a larger one would be doubt about what sounds there, which a sample must not show."""


class ConditionalVae(Generative):
    """Log-likelihood of the clips, bounded from below.

    Parameters
    ----------
    generator : PatchGenerator
        With two maps: mean and spread of each cell.
    encoder : PatchEncoder
    standardize, view, with_pool
        See :class:`Generative`.
    beta : float
        Weight of the divergence, at least 0. 1 is the bound itself.

    Notes
    -----
    Terms: ``loss``, the negative bound for each cell, in nats; ``divergence``, of the vectors
    from standard normal ones, in nats a clip; ``error``, the mean squared error.
    """

    def __init__(
        self,
        generator: PatchGenerator,
        encoder: PatchEncoder,
        standardize: Standardize,
        *,
        view: nn.Module | None = None,
        with_pool: bool = False,
        beta: float = 1.0,
    ) -> None:
        super().__init__(generator, standardize, view=view, with_pool=with_pool)
        if not beta >= 0:
            raise OptionError(f"option 'beta': found {beta}, expected at least 0")
        self.encoder, self.beta = encoder, beta

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch."""
        x, condition = self.read(batches)
        mean, log_variance = self.encoder(x, condition)
        vector = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        made, spread = self.made(vector, condition)
        square = (x - made).square()
        cells = 0.5 * (square / spread.exp() + spread + math.log(2 * math.pi))
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
        return {
            "loss": cells.mean() + self.beta * divergence / x[0].numel(),
            "divergence": divergence.detach(),
            "error": square.mean().detach(),
        }

    def made(self, latent: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of each cell, (batch, 1, mel, frame) each."""
        mean, place = self.generator(latent, condition).float().chunk(2, dim=1)
        std = self.standardize.std
        low, high = (2 * (level / std).log() for level in (LEAST_DB, MOST_DB))
        return mean, low + (high - low) * place.sigmoid()

    def latents(self, target: Tensor, x: Tensor, y: Tensor, numbers: torch.Generator) -> Tensor:
        """Vectors between those of two clips of the class, with the spread of one."""
        condition = shares(y, self.generator.n_classes).to(x.device)
        mean, log_variance = (part.cpu() for part in self.encoder(self.standardize(x), condition))
        first, second = (_one_of_class(target, y, numbers) for _ in range(2))
        share = torch.rand(len(target), 1, generator=numbers)
        noise = torch.randn(len(target), mean.shape[1], generator=numbers)
        between = torch.lerp(mean[first], mean[second], share)
        vectors: Tensor = between + noise * (0.5 * log_variance[first]).exp()
        return vectors

    def draw(self, latent: Tensor, condition: Tensor, noise: Tensor) -> Tensor:
        """Patches drawn from the model: the mean of each cell and its spread."""
        mean, spread = self.made(latent, condition)
        patches: Tensor = mean + noise * (0.5 * spread).exp()
        return patches


def _one_of_class(target: Tensor, y: Tensor, numbers: torch.Generator) -> Tensor:
    """For each target a row of y of that class, drawn at random."""
    keys = torch.rand(len(target), len(y), generator=numbers)
    return keys.masked_fill(target[:, None] != y[None], -1.0).argmax(dim=1)
