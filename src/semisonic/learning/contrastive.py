"""SimCLR: contrastive pre-training, and whether an embedding has collapsed.

Papers: Chen et al. 2020, "A simple framework for contrastive learning of visual
representations" (SimCLR, with the loss NT-Xent); for sounds, Fonseca et al. 2021,
"Unsupervised contrastive learning of sound event representations". The effective rank of an
embedding: Roy and Vetterli 2007; the deviation of normalised embeddings: Chen and He 2021,
"Exploring simple Siamese representation learning".

What it changes: each clip is changed twice at random, and of all views in a batch the other view
of the same clip must be the most alike. The encoder learns what the changes do not affect. Other
clips push each other apart, which keeps the embedding wide.

Where we differ: batches are small (64 clips), so that a clip of the same class is seldom among
those that are pushed away, and the temperature is 0.2. A code is pooled by the mean over mel, then
mean plus maximum over frames (Niizumi et al. 2023, "BYOL for audio"), which fits clips and views
of any length, whatever neck a classifier puts on the encoder later. The effective rank is taken of
centred embeddings, so that a mean that all clips share, which ReLU makes, does not count as a
direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import DataError, ModelError
from semisonic.learning.objective import BatchLike, Objective, full_precision
from semisonic.models.encoder import Encoder
from semisonic.models.weights import initialise, undisturbed

HIDDEN = 2
"""Width of the projector's hidden layer, in widths of its output."""
MIN_DEVIATION = 0.02
"""Below this deviation all clips have nearly the same embedding."""
MIN_RANK = 2.0
"""Below this effective rank embeddings differ along one line only."""


class SimClr(Objective):
    """Cross-entropy of finding a clip's other view by cosine similarity.

    Parameters
    ----------
    encoder : Encoder or nn.Module
        What is kept afterwards. Makes a map, (batch, channel, mel, frame), or embeddings, (batch,
        dim), of standardised views.
    standardize : nn.Module
        Fitted. ``nn.Identity()`` for an encoder that takes views as they are.
    view : nn.Module
        Features in dB, (batch, channel, mel, frame), to a random view of each row, in dB,
        with as many frames or fewer. It stays in training mode.
    out_channels : int, optional
        Channels of the map, or ``dim``. Needed for a plain module; an :class:`Encoder` knows it.
    projection : int
        Length of the vectors that are compared.
    temperature : float
        What similarities are divided by, above 0. Smaller: the most alike of the other clips
        count more.
    seed : int
        Of the projector's first weights.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` (nats), and ``found``, the share of views
    whose other view was the most alike. A batch of one clip has nothing to be compared
    with: its loss is 0. Views are random in evaluation, too: with a seed set before it, each
    validation compares the same views.
    """

    streams = ("unlabelled",)

    def __init__(
        self,
        encoder: nn.Module,
        standardize: nn.Module,
        view: nn.Module,
        *,
        out_channels: int = 0,
        projection: int = 128,
        temperature: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.standardize = standardize
        self.view = view
        self.temperature = temperature
        if isinstance(encoder, Encoder) and not out_channels:
            out_channels = encoder.out_channels
        if out_channels < 1:
            raise ModelError(
                f"out_channels: found {out_channels} for a {type(encoder).__name__}, expected the "
                "length of its embeddings, or the channels of its map"
            )
        self.projector = _projector(out_channels, projection, seed)

    def train(self, mode: bool = True) -> SimClr:
        """Set the mode of the networks; views are made in both."""
        super().train(mode)
        self.view.train()
        return self

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        views = self.two_views(batches["unlabelled"].x)  # (2 * batch, channel, mel, frame)
        loss, found = nt_xent(self.projector(pooled(self.encoder(views))), self.temperature)
        return {"loss": loss, "found": found}

    def two_views(self, x: Tensor) -> Tensor:
        """Both views of each clip, standardised, (2 * batch, channel, mel, frame)."""
        with torch.no_grad(), full_precision(x):
            both: Tensor = self.standardize(torch.cat((self.view(x), self.view(x))))
            return both

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings, (batch, out_channels), of unchanged clips, features in dB."""
        return pooled(self.encoder(self.standardize(x)))

    def extra_repr(self) -> str:
        """What torch prints besides its modules."""
        return f"temperature={self.temperature:g}"


def nt_xent(projections: Tensor, temperature: float = 0.2) -> tuple[Tensor, Tensor]:
    """The loss NT-Xent: cross-entropy of finding each clip's other view.

    Parameters
    ----------
    projections : Tensor, shape (2 * batch, dim)
        Of one view of each clip, then of the other view of each in the same order.
    temperature : float
        What cosine similarities are divided by, above 0.

    Returns
    -------
    loss : Tensor, no dimension
        In nats.
    found : Tensor, no dimension
        Share of views whose other view was the most alike, 0 to 1.

    Examples
    --------
    >>> loss, found = nt_xent(torch.eye(3).repeat(2, 1))
    >>> found.item()
    1.0
    """
    z = functional.normalize(projections.float(), dim=1)
    n = len(z) // 2
    other = torch.arange(2 * n, device=z.device).roll(n)  # row of each view's other view
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    found = (similarity.detach().argmax(dim=1) == other).float().mean()
    return functional.cross_entropy(similarity, other), found


def pooled(code: Tensor) -> Tensor:
    """One vector a clip, (batch, channel), of a code (batch, channel, mel, frame).

    A code that is one vector a clip already is not changed.
    """
    if code.ndim == 2:
        return code
    over_mel = code.mean(dim=2)
    return over_mel.mean(dim=2) + over_mel.amax(dim=2)


def _projector(n_inputs: int, n_outputs: int, seed: int) -> nn.Sequential:
    hidden = HIDDEN * n_outputs
    with undisturbed():
        network = nn.Sequential(
            nn.Linear(n_inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_outputs),
        )
        initialise(network, seed, "projector.")
    return network


@dataclass(frozen=True)
class EmbeddingSpread:
    """How far and in how many directions the embeddings of some clips differ.

    The rank does not show a collapse onto a point, nor the deviation one onto a line: check both.

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
        """Whether the embeddings of different clips are nearly the same."""
        return self.deviation < MIN_DEVIATION or self.rank < MIN_RANK


@torch.no_grad()
def embedding_spread(embeddings: Tensor) -> EmbeddingSpread:
    """Measure embeddings of different clips.

    Parameters
    ----------
    embeddings : Tensor, shape (n, dimensions)

    Returns
    -------
    EmbeddingSpread

    Raises
    ------
    DataError
        For fewer than two embeddings, or values that are not finite.

    Examples
    --------
    >>> round(embedding_spread(torch.eye(4)).rank, 6)  # four points about their mean
    3.0
    >>> embedding_spread(torch.ones(4, 2)).is_collapsed
    True
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
    """The exponential of the entropy of normalised singular values."""
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    if total <= 1e-12 * max(1.0, float(centred.shape[0])):
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())
