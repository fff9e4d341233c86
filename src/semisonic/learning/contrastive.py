"""Pre-training by two views of a clip, and whether the embedding has collapsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import DataError, OptionError
from semisonic.learning.consistency import Teacher
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.initialise import initialise, undisturbed

if TYPE_CHECKING:
    from semisonic.features.frontend import Standardize
    from semisonic.models.encoder import Encoder

# How much an embedding still tells: has it collapsed to a point, or to a few directions?
#
# An objective without negatives may be satisfied by giving every clip the same vector, and an
# auto-encoder may lose its units one by one. The loss does not show it; these measures do.
#
# Papers: Chen and He 2021, "Exploring simple Siamese representation learning" (deviation of
# normalised embeddings); Roy and Vetterli 2007, "The effective rank" (the exponential of the
# entropy of normalised singular values).
#
# Where we differ: the effective rank is taken of centred embeddings, so that a mean that all
# clips share, which ReLU makes, does not count as a direction. It is therefore blind to a
# collapse onto a point, and the deviation to one onto a line: look at both.


MIN_DEVIATION = 0.02
"""Below this deviation all clips have nearly the same embedding."""

MIN_RANK = 2.0
"""Below this effective rank embeddings differ along one line only."""


@dataclass(frozen=True)
class EmbeddingSpread:
    """How far and in how many directions the embeddings of some clips differ.

    Attributes
    ----------
    deviation : float
        Root mean square distance of normalised embeddings from their mean: 0 when all are
        the same, 1 when they point in all directions evenly. Embeddings that are never
        negative share a mean and stay well below 1.
    rank : float
        Effective rank, from 1 up to ``n_dimensions``; 0 when all embeddings are the same.
    n_dimensions : int
        Length of an embedding; with fewer clips than that, fewer directions can be seen.
    """

    deviation: float
    rank: float
    n_dimensions: int

    @property
    def is_collapsed(self) -> bool:
        """Whether the embeddings hardly tell one clip from another."""
        return self.deviation < MIN_DEVIATION or self.rank < MIN_RANK


@torch.no_grad()
def embedding_spread(embeddings: Tensor) -> EmbeddingSpread:
    """Measure embeddings of different clips.

    Parameters
    ----------
    embeddings : Tensor, shape (n, dimensions)

    Raises
    ------
    DataError
        For fewer than two embeddings, or values that are not finite.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise DataError(
            f"spread of embeddings: found shape {tuple(embeddings.shape)}, expected "
            "(at least 2, dimensions)"
        )
    if not torch.isfinite(embeddings).all():
        raise DataError("spread of embeddings: found values that are not finite")
    z = embeddings.double().cpu()
    normalised = functional.normalize(z, dim=1)
    deviation = (normalised - normalised.mean(0)).square().sum(1).mean().sqrt()
    return EmbeddingSpread(float(deviation), _effective_rank(z - z.mean(0)), z.shape[1])


def _effective_rank(centred: Tensor) -> float:
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    if total <= 1e-12 * max(1.0, float(centred.shape[0])):
        return 0.0
    shares = values / total
    return float(torch.special.entr(shares).sum().exp())


# What all objectives have in common that compare two views of a clip.
#
# A clip is changed twice at random, and both results shall get embeddings that say the same.
# What the changes leave alone is what the encoder learns to listen to. The changes come as a
# module from the caller; this file holds the rest: pooling, small networks on top of it, and
# what is measured of the embedding.
#
# Pooling: the mean over mel, then mean plus maximum over frames, as in Niizumi et al. 2023,
# "BYOL for audio: exploring pre-trained general-purpose audio representations". It fits clips
# and views of any length, whatever neck a classifier puts on the encoder later.


HIDDEN = 2
"""Width of the hidden layer of a small network, in widths of its output."""


class TwoViews(Objective):
    """Base: an encoder, a module that makes views, and a projector.

    Parameters
    ----------
    encoder : Encoder
        What is kept afterwards.
    standardize : Standardize
        Fitted.
    view : nn.Module
        Features in dB, (batch, channel, mel, frame), to a random view of each row, in dB,
        with as many frames or fewer. It stays in training mode.
    projection : int
        Length of the vectors that are compared.
    seed : int
        Of the projector's first weights.

    Notes
    -----
    Reads the stream ``unlabelled``. Views are random in evaluation, too: with a seed set
    before it, each validation compares the same views.
    """

    streams = ("unlabelled",)

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if projection < 2:
            raise OptionError(f"option 'projection': found {projection}, expected at least 2")
        self.encoder = encoder
        self.standardize = standardize
        self.view = view
        self.projection = projection
        self.projector = mlp(encoder.out_channels, projection, seed, "projector.")

    def train(self, mode: bool = True) -> TwoViews:
        """Set the mode of the networks; views are made in both."""
        super().train(mode)
        self.view.train()
        return self

    def two_views(self, x: Tensor) -> Tensor:
        """Both views of each clip, standardised, (2 * batch, channel, mel, frame).

        In full precision: half of it would round levels to half a decibel.
        """
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            both: Tensor = self.standardize(torch.cat((self.view(x), self.view(x))))
            return both

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings, (batch, out_channels), of unchanged clips, features in dB."""
        return pooled(self.encoder(self.standardize(x)))


def pooled(code: Tensor) -> Tensor:
    """One vector a clip, (batch, channel), of a code (batch, channel, mel, frame)."""
    over_mel = code.mean(dim=2)
    return over_mel.mean(dim=2) + over_mel.amax(dim=2)


def mlp(n_inputs: int, n_outputs: int, seed: int, name: str) -> nn.Sequential:
    """A small network: dense, batch normalisation, ReLU, dense."""
    hidden = HIDDEN * n_outputs
    with undisturbed():
        network = nn.Sequential(
            nn.Linear(n_inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_outputs),
        )
        initialise(network, seed, name)
    return network


# Pre-training by telling clips apart: two views of a clip find each other among all others.
#
# Paper: Chen et al. 2020, "A simple framework for contrastive learning of visual
# representations" (SimCLR), with the loss NT-Xent. For sounds: Fonseca et al. 2021,
# "Unsupervised contrastive learning of sound event representations".
#
# What it changes: of all views in a batch, the other view of the same clip must be the most
# alike. Other clips push each other apart, which keeps the embedding wide without a slow target
# or a term for it.
#
# Where we differ: batches are small (64 clips), so that a clip of the same class seldom stands
# among those that are pushed away, and the temperature is 0.2.


class SimClr(TwoViews):
    """Cross-entropy of finding a clip's other view by cosine similarity.

    Parameters
    ----------
    encoder, standardize, view, projection, seed
        See :class:`TwoViews`.
    temperature : float
        What similarities are divided by, above 0. Smaller: the most alike of the other clips
        count more.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` (nats), and ``found``, the share of views
    whose other view was the most alike. A batch of one clip has nothing to be told apart
    from: its loss is 0.
    """

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        temperature: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, standardize, view, projection=projection, seed=seed)
        if not temperature > 0:
            raise OptionError(f"option 'temperature': found {temperature}, expected above 0")
        self.temperature = temperature

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        views = self.two_views(batches["unlabelled"].x)  # (2 * batch, channel, mel, frame)
        z = functional.normalize(self.projector(pooled(self.encoder(views))).float(), dim=1)
        n = len(z) // 2
        other = torch.arange(2 * n, device=z.device).roll(n)  # row of each view's other view
        alike = (z @ z.T / self.temperature).fill_diagonal_(-torch.inf)
        return {
            "loss": functional.cross_entropy(alike, other),
            "found": (alike.detach().argmax(dim=1) == other).float().mean(),
        }

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"temperature={self.temperature:g}"


# Pre-training by two views without negatives: an online network predicts a slow one.
#
# Papers: Grill et al. 2020, "Bootstrap your own latent"; Niizumi et al. 2021, "BYOL for audio:
# self-supervised learning for general-purpose audio representation", who made it work on
# spectrograms, with random crops, other sounds beneath and resized crops as changes.
#
# What it changes: no clip is pushed away from others, so batches may be small and a pool may
# hold many clips of one kind, as a pool of field recordings does. A predictor on one side and
# a slowly moving target on the other keep the embedding from collapsing; whether they do is
# measured beside the loss (see :mod:`semisonic.learning.contrastive`).
#
# Where we differ: the encoder is any of this package instead of theirs. Both views go through
# the encoder in one batch, so batch normalisation sees them together. The changes are those of
# ``semisonic.features.augment``; other sounds come from the same batch instead of a memory of
# past ones. The target is a :class:`Teacher`: its decay is lower in the first steps and then
# constant, as in the audio paper, and it normalises by averages of the online network's
# statistics (Cai et al. 2021, "Exponential moving average normalization") instead of the batch's.


class Byol(TwoViews):
    """Distance between the prediction from one view and the target of the other.

    Parameters
    ----------
    encoder, standardize, view, projection, seed
        See :class:`TwoViews`.
    target_decay : float
        Share of the target's weights that stays at each step, from 0 up to 1 (excluded). 0
        is no slow target: the online network of the step before, as nearly in SimSiam.
    predictor : bool
        Whether the online side has a predictor. Without one the embedding collapses.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss``, the mean over clips and both directions
    of 2 - 2 cos, from 0 (the same) to 4 (opposite). It is low in a collapse, too, so look at
    the spread of the embeddings beside it.
    """

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        target_decay: float = 0.99,
        predictor: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, standardize, view, projection=projection, seed=seed)
        self.predictor: nn.Module = (
            mlp(projection, projection, seed, "predictor.") if predictor else nn.Identity()
        )
        self.target_encoder = Teacher(encoder, target_decay)
        self.target_projector = Teacher(self.projector, target_decay)

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        views = self.two_views(batches["unlabelled"].x)  # (2 * batch, channel, mel, frame)
        predicted = self.predictor(self.projector(pooled(self.encoder(views))))
        with torch.no_grad():
            code = self.target_encoder.network(views)
            target = self.target_projector.network(pooled(code))
        first, second = target.chunk(2)
        cosine = functional.cosine_similarity(
            predicted.float(), torch.cat((second, first)).float(), dim=1
        )
        return {"loss": (2 - 2 * cosine).mean()}

    def after_step(self) -> None:
        """The target moves towards the online network."""
        self.target_encoder.follow(self.encoder)
        self.target_projector.follow(self.projector)


# Pre-training by two views that agree, while the embedding is kept wide.
#
# Paper: Bardes et al. 2022, "VICReg: variance-invariance-covariance regularization for
# self-supervised learning"; the decorrelation is that of Zbontar et al. 2021, "Barlow twins".
#
# What it changes: three plain terms instead of a slow target and a predictor. Views of a clip
# get the same vector (invariance), each entry of the vectors varies over a batch (variance),
# and different entries vary independently (covariance). Collapse is forbidden by the loss
# itself, so the loss on held-out clips tells epochs apart.
#
# Where we differ: the vectors are short (128, not 8 192), for batches and encoders are small.
# Variance and covariance are taken over both views together.


SMALLEST = 1e-4
"""Added to variances, so that their roots have gradients at zero."""


class VicReg(TwoViews):
    """Invariance, variance and covariance of two views, each with a weight.

    Parameters
    ----------
    encoder, standardize, view, projection, seed
        See :class:`TwoViews`.
    invariance, variance, covariance : float
        Weights of the terms, at least 0 each; 0 is off.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss``, and before their weights ``invariance``
    (mean squared difference of the views), ``variance`` (mean over entries of how far their
    deviation falls short of 1) and ``covariance`` (sum of squared covariances of different
    entries, divided by their number).
    """

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, standardize, view, projection=projection, seed=seed)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for name, weight in self.weights.items():
            if not weight >= 0:
                raise OptionError(f"option '{name}': found {weight}, expected at least 0")

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        views = self.two_views(batches["unlabelled"].x)  # (2 * batch, channel, mel, frame)
        z = self.projector(pooled(self.encoder(views))).float()
        first, second = z.chunk(2)
        centred = z - z.mean(0)
        covariances = centred.T @ centred / (len(z) - 1)  # (projection, projection)
        deviations = (covariances.diagonal() + SMALLEST).sqrt()
        squared = covariances.square()
        terms = {
            "invariance": functional.mse_loss(first, second),
            "variance": functional.relu(1 - deviations).mean(),
            "covariance": (squared.sum() - squared.diagonal().sum()) / self.projection,
        }
        loss = sum((self.weights[name] * term for name, term in terms.items()), z.new_zeros(()))
        return {"loss": loss, **{name: term.detach() for name, term in terms.items()}}

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return ", ".join(f"{name}={weight:g}" for name, weight in self.weights.items())
