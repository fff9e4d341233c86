"""A conditional generative adversarial network of patches.

Papers: Goodfellow et al. 2014, "Generative adversarial nets"; the hinge loss of Lim and Ye 2017,
"Geometric GAN"; critic and classes as in Miyato and Koyama 2018, "cGANs with projection
discriminator"; both kinds of clips are changed before the critic sees them as in Zhao et al.
2020, "Differentiable augmentation for data-efficient GAN training".

What it changes: nobody says what a cell should be. A critic learns to tell made patches from
clips, and the generator learns to make patches that it takes for clips.

Where we differ: both take a step at once, from one loss. The training loop has one optimiser and
one step, and both losses can be added: the generator's patches are cut off from its weights where
the critic learns, and the critic's weights are cut off where the generator learns. So each
weight gets the very gradient that alternate steps would give it at the same weights; only the
generator does not see the critic's newest step, and both have one learning rate. Nor does the
critic take several steps for one of the generator's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.features import Standardize
from semisonic.learning.base import BatchLike
from semisonic.learning.generative import Generative
from semisonic.models.generator import PatchCritic, PatchGenerator

BOUND = 4.0
"""Standardised cells of patches lie between this and minus this: nearly all of clips do."""


class ConditionalGan(Generative):
    """Hinge loss of a critic and of the generator that it judges.

    Parameters
    ----------
    generator : PatchGenerator
        With one map.
    critic : PatchCritic
    standardize, view, with_pool
        See :class:`Generative`. Made patches go through the view, too, when the critic sees them.

    Notes
    -----
    Terms: ``loss``, the sum of ``critic_loss`` (2 where the critic knows nothing, 0 where it is
    sure) and ``generator_loss`` (below 0 where the critic takes patches for clips). The sum is
    minimised by neither and need not fall.
    """

    def __init__(
        self,
        generator: PatchGenerator,
        critic: PatchCritic,
        standardize: Standardize,
        *,
        view: nn.Module | None = None,
        with_pool: bool = False,
    ) -> None:
        super().__init__(generator, standardize, view=view, with_pool=with_pool)
        self.critic = critic

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch."""
        x, condition = self.read(batches)
        latent = torch.randn(len(x), self.generator.n_latent, device=x.device)
        made = self._seen(self.made(latent, condition))
        real, fake = self.critic(x, condition), self.critic(made.detach(), condition)
        critic_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        with _held(self.critic):
            generator_loss = -self.critic(made, condition).mean()
        return {
            "loss": critic_loss + generator_loss,
            "critic_loss": critic_loss.detach(),
            "generator_loss": generator_loss.detach(),
        }

    def _seen(self, made: Tensor) -> Tensor:
        """Made patches as the critic sees them: changed like the clips."""
        if self.view is None:
            return made
        seen: Tensor = self.standardize(self.changed(self.standardize.inverse(made)))
        return seen

    def made(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Standardised patches within the bounds, (batch, 1, mel, frame)."""
        patches: Tensor = BOUND * torch.tanh(self.generator(latent, condition).float() / BOUND)
        return patches

    def draw(self, latent: Tensor, condition: Tensor, noise: Tensor) -> Tensor:
        """Patches; they have no random cells of their own."""
        return self.made(latent, condition)


@contextmanager
def _held(module: nn.Module) -> Iterator[None]:
    """Within the block the module's weights get no gradients; its inputs do."""
    held = [p for p in module.parameters() if p.requires_grad]
    for weight in held:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in held:
            weight.requires_grad_(True)
