"""Pre-training by two views that agree, while the embedding is kept wide.

Paper: Bardes et al. 2022, "VICReg: variance-invariance-covariance regularization for
self-supervised learning"; the decorrelation is that of Zbontar et al. 2021, "Barlow twins".

What it changes: three plain terms instead of a slow target and a predictor. Views of a clip
get the same vector (invariance), each entry of the vectors varies over a batch (variance),
and different entries vary independently (covariance). Collapse is forbidden by the loss
itself, so the loss on held-out clips tells epochs apart.

Where we differ: the vectors are short (128, not 8 192), for batches and encoders are small.
Variance and covariance are taken over both views together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from semisonic.base.errors import OptionError
from semisonic.learning.base import BatchLike
from semisonic.learning.two_views import TwoViews, pooled

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import Encoder

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
