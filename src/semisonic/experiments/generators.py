"""Learning to make patches of a class: a conditional GAN and a variational auto-encoder.

They were tried once, with four labels per class, and did not help; the recipe ``generated-sounds``
tries them again.

**The adversarial network.** Papers: Goodfellow et al. 2014, "Generative adversarial nets"; the
hinge loss of Lim and Ye 2017, "Geometric GAN"; critic and classes as in Miyato and Koyama 2018,
"cGANs with projection discriminator"; both kinds of clips are changed before the critic sees them
as in Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training".

What it changes: nobody says what a cell should be. A critic learns to tell generated patches from
clips, and the generator learns to make patches that it takes for clips.

Where we differ: both take a step at once, from one loss. The training loop has one optimiser and
one step, and both losses can be added: the generator's patches are cut off from its weights where
the critic learns, and the critic's weights are cut off where the generator learns. So each
weight gets the very gradient that alternate steps would give it at the same weights; only the
generator does not see the critic's newest step, and both have one learning rate. Nor does the
critic take several steps for one of the generator's.

**The variational auto-encoder.** Papers: Kingma and Welling 2014, "Auto-encoding variational
Bayes"; Sohn et al. 2015, "Learning structured output representation using deep conditional
generative models"; the weight of the divergence is that of Higgins et al. 2017, "beta-VAE". Where
new patches come from: Tomczak and Welling 2018, "VAE with a VampPrior" (a mixture of what clips
could have been made from), and DeVries and Taylor 2017, "Dataset augmentation in feature space"
(between two clips of a class).

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from semisonic.core.errors import OptionError
from semisonic.core.seeds import derive, torch_generator
from semisonic.features.frontend import Standardize
from semisonic.learning.losses import shares
from semisonic.learning.objective import BatchLike, Objective, full_precision, targets_of
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
    """

    streams: tuple[str, ...] = ("labelled",)

    def __init__(
        self,
        generator: PatchGenerator,
        standardize: Standardize,
        *,
        view: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.standardize, self.view = generator, standardize, view

    def read(self, batches: Mapping[str, BatchLike]) -> tuple[Tensor, Tensor]:
        """Changed, standardised clips (batch, 1, mel, frame) and conditions (batch, class)."""
        batch = batches["labelled"]
        condition = shares(targets_of(batch, "labelled"), self.generator.n_classes)
        return self.standardize(self.changed(batch.x)), condition

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


BOUND = 4.0
"""Standardised cells of patches lie between this and minus this: nearly all of clips do."""


class ConditionalGan(Generative):
    """Hinge loss of a critic and of the generator that it judges.

    Parameters
    ----------
    generator : PatchGenerator
        With one map.
    critic : PatchCritic
    standardize, view
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
    ) -> None:
        super().__init__(generator, standardize, view=view)
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
    standardize, view
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
        beta: float = 1.0,
    ) -> None:
        super().__init__(generator, standardize, view=view)
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
