"""What objectives have in common that learn to make patches of a class.

They read labelled clips and, if wished, unlabelled ones. An unlabelled clip has the condition
"class unknown", a row of zeros: it teaches what sounds look like, and nothing about a class.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from semisonic.base.seeds import torch_generator
from semisonic.features import Standardize
from semisonic.learning.base import BatchLike, Objective, full_precision, targets_of
from semisonic.learning.supervised import shares
from semisonic.models.generator import PatchGenerator

_AT_ONCE = 64


class Generative(Objective):
    """Base: a generator, the statistics of its patches and the clips it learns from.

    Parameters
    ----------
    generator : PatchGenerator
    standardize : Standardize
        Fitted on the clips that are learned from.
    view : nn.Module, optional
        Random changes of clips in dB, so that a few clips are not learned by heart.
    with_pool : bool
        Read the stream ``unlabelled`` beside ``labelled``.
    """

    streams: tuple[str, ...] = ("labelled",)

    def __init__(
        self,
        generator: PatchGenerator,
        standardize: Standardize,
        *,
        view: nn.Module | None = None,
        with_pool: bool = False,
    ) -> None:
        super().__init__()
        self.generator, self.standardize, self.view = generator, standardize, view
        if with_pool:
            self.streams = ("labelled", "unlabelled")

    def read(self, batches: Mapping[str, BatchLike]) -> tuple[Tensor, Tensor]:
        """Changed, standardised clips (batch, 1, mel, frame) and conditions (batch, class)."""
        n_classes = self.generator.n_classes
        first = batches["labelled"]
        x, condition = first.x, shares(targets_of(first, "labelled"), n_classes)
        if "unlabelled" in self.streams:
            more = batches["unlabelled"].x
            x = torch.cat((x, more))
            condition = torch.cat((condition, condition.new_zeros(len(more), n_classes)))
        return self.standardize(self.changed(x)), condition

    def changed(self, x: Tensor) -> Tensor:
        """Clips in dB after the view, if there is one."""
        if self.view is None:
            return x
        with full_precision(x):
            y: Tensor = self.view(x)
            return y

    def latents(self, target: Tensor, x: Tensor, y: Tensor, numbers: torch.Generator) -> Tensor:
        """A random vector for each target, (n, n_latent), on the CPU; standard normal ones."""
        return torch.randn(len(target), self.generator.n_latent, generator=numbers)

    def draw(self, latent: Tensor, condition: Tensor, noise: Tensor) -> Tensor:
        """Standardised patches, (batch, 1, mel, frame), of random vectors and random cells."""
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, target: Tensor, x: Tensor, y: Tensor, *, floor_db: float, seed: int) -> Tensor:
        """Patches of classes.

        Parameters
        ----------
        target : Tensor of int64, shape (n,)
            The class of each patch.
        x : Tensor, shape (m, 1, mel, frame)
            Labelled training clips in dB, of every class that is asked for.
        y : Tensor of int64, shape (m,)
            Their classes.
        floor_db : float
            The level of silence: no cell lies below it.
        seed : int
            The same seed and weights give the same patches.

        Returns
        -------
        Tensor, shape (n, 1, mel, frame)
            In dB, on the CPU.
        """
        numbers = torch_generator(seed, "generated patches")
        device = self.standardize.mean.device
        parts = []
        for part in torch.split(target, _AT_ONCE):
            latent = self.latents(part, x.to(device), y, numbers)
            noise = torch.randn(len(part), *x.shape[1:], generator=numbers)
            condition = shares(part, self.generator.n_classes).to(device)
            made = self.draw(latent.to(device), condition, noise.to(device))
            parts.append(self.standardize.inverse(made).clamp(min=floor_db).cpu())
        return torch.cat(parts)
