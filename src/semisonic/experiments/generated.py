"""Generated patches of spectrograms: a small GAN is trained on labelled clips, and the classifier
is trained on its patches and these clips.

It did not help with four labels per class; the recipe ``generated-sounds`` repeats that test.

Papers: Goodfellow et al. 2014, "Generative adversarial nets"; the hinge loss of Lim and Ye 2017,
"Geometric GAN"; critic and classes as in Miyato and Koyama 2018, "cGANs with projection
discriminator"; both kinds of clips are changed before the critic sees them as in Zhao et al. 2020,
"Differentiable augmentation for data-efficient GAN training".

Where we differ: generator and critic take a step at once, from one loss. The training loop has one
optimiser and one step, and both losses can be added: the generator's patches are cut off from its
weights where the critic learns, and the critic's weights are cut off where the generator learns. So
each weight gets the very gradient that alternate steps would give it at the same weights; only the
generator does not see the critic's newest step, and both have one learning rate. Nor does the
critic take several steps for one of the generator's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from semisonic.classifier.config import WITH_NOISY
from semisonic.classifier.selection import Rows
from semisonic.classifier.training import (
    ClassifierTraining,
    TrainedModel,
    TrainingData,
    feature_parts,
)
from semisonic.core.errors import OptionError
from semisonic.core.seeds import derive, torch_generator
from semisonic.data.batches import Stream
from semisonic.experiments.recipe import Setting
from semisonic.features.augmentation import augmenter
from semisonic.features.frontend import Standardize
from semisonic.features.options import WAVE, MelOptions
from semisonic.learning.losses import shares
from semisonic.learning.objective import BatchLike, Objective, full_precision, targets_of
from semisonic.learning.supervised import NOISY
from semisonic.models.decoders import SubPixelConv, shuffle_cells
from semisonic.models.encoder import ConvStep, SameConv
from semisonic.models.notation import Size
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.weights import initialise, undisturbed
from semisonic.training.devices import choose_device
from semisonic.training.loop import FitResult, fit
from semisonic.training.options import FitOptions

METHODS_WITH_PATCHES = tuple(method for method in WITH_NOISY if method != "noisy-student")
"""Methods of one fit that take clips with unverified labels; a patch enters as one."""
PER_CLASS = 100
"""Patches drawn of each class."""
BOUND = 4.0
"""Standardised cells of patches are between this and minus this, as nearly all cells of clips are.
"""
_N_LATENT = 32
_WIDTH = 32  # channels of the generator's smallest map; its largest has a quarter of them
_SLOPE = 0.2  # of the leaky ReLUs below zero
_SMALLEST = 5  # bands or frames below which a map is not halved again
_MOST_LEVELS = 4
_AT_ONCE = 64
_LONGEST_SHIFT = 0.1  # share of a clip that it is shifted by at most, around its end
_FIT = FitOptions(
    epoch_steps=50,
    batch_size=16,
    schedule="cosine",
    ema_decay=0.99,
    clip_norm=5.0,
    precision="fp32",
    restore_best=False,
    learning_rate=2e-3,
)


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
        return F.leaky_relu(x * (1 + gain) + shift, _SLOPE)


class PatchGenerator(nn.Module):
    """Makes patches of a class from random vectors.

    Parameters
    ----------
    size : (int, int)
        Bands and frames of a patch.
    n_classes : int
    seed : int
        Of the first weights.
    """

    def __init__(self, size: Size, n_classes: int, *, seed: int = 0) -> None:
        super().__init__()
        self.n_classes, self.n_frames = n_classes, size[1]
        _, *larger, smallest = halved(size)
        n_given = _N_LATENT + n_classes
        with undisturbed():
            self.first = nn.Linear(n_given, _WIDTH * smallest[0] * smallest[1])
            self.start = (_WIDTH, *smallest)
            self.levels = nn.ModuleList()
            channels = _WIDTH
            for number, one in enumerate(reversed(larger)):
                after = max(_WIDTH // 4, _WIDTH >> max(0, number - 1))
                self.levels.append(_Level(channels, after, one, n_given))
                channels = after
            self.last = SubPixelConv(ConvStep(1, channels, (3, 3)), 4)
            self.band = nn.Parameter(torch.zeros(1, size[0], 1))
            initialise(self, seed, "generator.")

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Standardised patches, (batch, 1, mel, frame).

        Parameters
        ----------
        latent : Tensor, shape (batch, 32)
            Standard normal numbers.
        condition : Tensor, shape (batch, class)
        """
        given = torch.cat((latent, condition), dim=1)
        x = self.first(given).reshape(len(given), *self.start)
        for level in self.levels:
            x = level(x, given)
        fine = shuffle_cells(self.last(x), (2, 2))[..., : self.band.shape[1], : self.n_frames]
        patches: Tensor = BOUND * torch.tanh((fine + self.band).float() / BOUND)
        return patches


class PatchCritic(nn.Module):
    """Says how real a patch of a class looks; every layer is spectrally normalised.

    Convolutions with step 2, then a vector that keeps the bands and forgets the time.

    Parameters
    ----------
    size, n_classes, seed
        As for :class:`PatchGenerator`.
    """

    def __init__(self, size: Size, n_classes: int, *, seed: int = 0) -> None:
        super().__init__()
        sizes, hidden = halved(size), 4 * _WIDTH
        n = len(sizes) - 1
        channels = [1, *(max(_WIDTH // 4, _WIDTH >> (n - 1 - i)) for i in range(n))]
        with undisturbed():
            torch.manual_seed(derive(seed, "generator.critic") % (1 << 31))  # first directions
            self.convs = nn.ModuleList(
                nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1) for i in range(n)
            )
            # Mean and maximum over time of each band of the smallest map.
            self.dense = nn.Linear(2 * channels[-1] * sizes[-1][0], hidden)
            self.score = nn.Linear(hidden, 1)
            self.of_class = nn.Linear(n_classes, hidden, bias=False)
            initialise(self, seed, "generator.critic.")
            for layer in [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
                spectral_norm(layer)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Scores, (batch,), of patches (batch, 1, mel, frame): above 0 for real ones."""
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
        both = torch.cat((x.mean(dim=3), x.amax(dim=3)), dim=1).flatten(1)
        seen = F.leaky_relu(self.dense(both), _SLOPE)
        scores: Tensor = self.score(seen)[:, 0] + (self.of_class(condition) * seen).sum(dim=1)
        return scores


class ConditionalGan(Objective):
    """Hinge loss of a critic and of the generator that it judges.

    Parameters
    ----------
    generator : PatchGenerator
    critic : PatchCritic
    standardize : Standardize
        Fitted on the clips that are learned from.
    view : nn.Module
        Random changes of clips in dB, so that a few clips are not learned by heart. Patches go
        through it, too, when the critic sees them.

    Notes
    -----
    Terms: ``loss``, the sum of ``critic_loss`` (2 where the critic knows nothing, 0 where it is
    sure) and ``generator_loss`` (below 0 where the critic takes patches for clips). The sum is
    minimised by neither and need not fall.
    """

    streams: tuple[str, ...] = ("labelled",)

    def __init__(
        self,
        generator: PatchGenerator,
        critic: PatchCritic,
        standardize: Standardize,
        view: nn.Module,
    ) -> None:
        super().__init__()
        self.generator, self.critic = generator, critic
        self.standardize, self.view = standardize, view

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch."""
        batch = batches["labelled"]
        condition = shares(targets_of(batch, "labelled"), self.generator.n_classes)
        with full_precision(batch.x):
            x = self.standardize(self.view(batch.x))
        made = self.generator(torch.randn(len(x), _N_LATENT, device=x.device), condition)
        with full_precision(made):
            made = self.standardize(self.view(self.standardize.inverse(made)))
        real, fake = self.critic(x, condition), self.critic(made.detach(), condition)
        critic_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        # The critic's weights get no gradients of the generator's loss; its inputs do.
        self.critic.requires_grad_(False)
        try:
            generator_loss = -self.critic(made, condition).mean()
        finally:
            self.critic.requires_grad_(True)
        return {
            "loss": critic_loss + generator_loss,
            "critic_loss": critic_loss.detach(),
            "generator_loss": generator_loss.detach(),
        }

    @torch.no_grad()
    def sample(self, target: Tensor, *, floor_db: float, seed: int) -> Tensor:
        """Patches of classes, (n, 1, mel, frame), in dB, on the CPU.

        Parameters
        ----------
        target : Tensor of int64, shape (n,)
            The class of each patch.
        floor_db : float
            The level of silence: no cell is below it.
        seed : int
            The same seed and weights give the same patches.
        """
        numbers = torch_generator(seed, "generated patches")
        device = self.standardize.mean.device
        parts = []
        for part in torch.split(target, _AT_ONCE):
            latent = torch.randn(len(part), _N_LATENT, generator=numbers).to(device)
            condition = shares(part, self.generator.n_classes).to(device)
            made = self.standardize.inverse(self.generator(latent, condition))
            parts.append(made.clamp(min=floor_db).cpu())
        return torch.cat(parts)


class Generated(NamedTuple):
    """Patches that no recording holds.

    Attributes
    ----------
    features : ndarray of float16, shape (n, 1, mel, frame)
        In dB.
    target : ndarray of int64, shape (n,)
        The class that each was made for.
    fit : FitResult
        Of the generator.
    """

    features: NDArray[np.float16]
    target: NDArray[np.int64]
    fit: FitResult


@dataclass(frozen=True, kw_only=True)
class _TrainingWithPatches(ClassifierTraining):
    """A training that reads patches where others read clips with unverified labels."""

    patches: Generated
    ratio: float

    def streams(self, target: NDArray[Any], rows: Rows, seed: int) -> dict[str, Stream]:
        """Those of the method, and the patches."""
        n_labelled = min(self.config.fit.batch_size, len(rows))
        patches = Stream(
            self.patches.features,
            np.arange(len(self.patches.target)),
            batch_size=max(2, round(self.ratio * n_labelled)),
            seed=seed,
            target=self.patches.target,
            device=self.device,
            name="generated",
        )
        return {**super().streams(target, rows, seed), NOISY: patches}


def train_with_patches(
    config: Setting,
    data: TrainingData,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | None = None,
) -> tuple[TrainedModel, Generated]:
    """Train a classifier on clips and generated patches.

    A patch takes the place of a clip with an unverified label. The statistics of the features
    are those of the labelled clips, and nothing is validated or tested on a patch.

    Parameters
    ----------
    config : Setting
        Its ``generated_ratio`` is above 0.
    data, seed, device, folder, start
        As for :func:`semisonic.classifier.training.train_model`.

    Raises
    ------
    OptionError
        For a method that has no place for patches, and as :func:`generate`.
    """
    if config.method not in METHODS_WITH_PATCHES:
        raise OptionError(
            f"option 'generated_ratio': the method '{config.method}' cannot use generated "
            f"patches; use one of {', '.join(METHODS_WITH_PATCHES)}, or leave the option out"
        )
    place = choose_device(device)
    patches = generate(
        data.features,
        data.target,
        data.labelled,
        mel=config.mel,
        n_classes=len(data.classes),
        steps=config.generator_steps,
        seed=seed,
        device=place,
        folder=None if folder is None else folder / "generator",
    )
    beside = _TrainingWithPatches(
        config, data, place, start, patches=patches, ratio=config.generated_ratio
    )
    return beside.fit(data.target, data.labelled, seed, folder), patches


def generate(
    features: Any,
    target: NDArray[Any],
    rows: Rows,
    *,
    mel: MelOptions,
    n_classes: int,
    steps: int,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
) -> Generated:
    """Train a generator on labelled rows and draw patches of each class.

    Parameters
    ----------
    features : FeatureStore or ndarray, shape (n, 1, mel, frame)
        In dB.
    target : ndarray of int64, shape (n,)
        Class numbers; read at ``rows`` alone.
    rows : ndarray of int64
        Labelled rows to learn from.
    mel : MelOptions
        The front end that made the features.
    n_classes : int
        A class without a row gets no patches.
    steps : int
        In which the generator learns.
    seed : int
        Of weights, order of clips, and patches.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training continues.

    Raises
    ------
    OptionError
        For a front end other than one map of a spectrogram.
    """
    if mel.input == WAVE or mel.n_channels != 1:
        raise OptionError(
            f"option 'generated_ratio': found {'waves' if mel.input == WAVE else 'deltas'}, "
            "expected one spectrogram per clip; give another network, or leave out the deltas"
        )
    seed = derive(seed, "generated") % (1 << 31)
    size = (mel.shape[1], int(np.shape(features)[3]))
    objective = ConditionalGan(
        PatchGenerator(size, n_classes, seed=seed),
        PatchCritic(size, n_classes, seed=seed),
        Standardize("mel", 1, size[0]).fit(feature_parts(features, rows)),
        augmenter("weak", mel, max_shift=_LONGEST_SHIFT * mel.duration),
    )
    clips = Stream(
        features,
        rows,
        batch_size=_FIT.batch_size,
        seed=seed,
        target=target,
        device=torch.device(device),
        name="generator, labelled",
    )
    result = fit(
        objective,
        {"labelled": clips},
        replace(_FIT, steps=steps, epoch_steps=min(_FIT.epoch_steps, steps)),
        seed=seed,
        device=device,
        folder=folder,
        label="generator",
    )
    wanted = np.repeat(np.unique(target[rows]), PER_CLASS).astype(np.int64)
    patches = objective.sample(torch.from_numpy(wanted), floor_db=mel.quietest_db, seed=seed)
    return Generated(patches.numpy().astype(np.float16), wanted, result)
