"""Between-class mixing: two sounds are added as they are heard.

Paper: Tokozume et al. 2018, "Learning from between-class examples for deep sound recognition".

What it changes: a share r of the target goes with a share of what is heard. The waves are
added with weights that take the loudness of both into account, p and 1 - p with
p = 1 / (1 + 10^((G1 - G2) / 20) · (1 - r) / r), and the sum is divided by the root of
p² + (1 - p)², so that its energy stays. Shares are drawn evenly from 0 to 1.

Where we differ: energies of mel bands are added instead of samples (the phases of two sounds
cancel on average). The loudness G is A-weighted as in the paper, over the loudest tenth of a
second, read from the bands. Beside a clip of silence the other one stays as it is, where the
formula would make it as quiet as the silence; targets are mixed all the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.features.augment.levels import Levels
from semisonic.features.augment.loudness import loudness_db
from semisonic.features.augment.mixing import PairMixing
from semisonic.features.augment.sounding import silent_rows
from semisonic.features.options import MelOptions


class BetweenClass(PairMixing):
    """Add to each clip another one, by loudness; shares evenly from 0 to 1.

    Parameters
    ----------
    mel : MelOptions

    See Also
    --------
    PairMixing.forward : for ``partner`` and ``share``.
    """

    def __init__(self, mel: MelOptions) -> None:
        super().__init__(mel)
        self.levels = Levels(mel)

    def draw_share(self, x: Tensor) -> Tensor:
        """Even shares."""
        return torch.rand(len(x), device=x.device)

    def mix(self, x: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Levels of the sums."""
        return mix_by_loudness(x, other, share, self.levels)


def mix_by_loudness(x: Tensor, other: Tensor, share: Tensor, levels: Levels) -> Tensor:
    """Sounds added so that ``share`` (batch,) of what is heard is ``x``.

    Both sounds are levels in dB, (batch, 1, mel, frame).
    """
    weight = loudness_weight(loudness_db(x, levels), loudness_db(other, levels), share)
    weight = weight.masked_fill(silent_rows(other), 1.0).masked_fill(silent_rows(x), 0.0)
    energy = weight.square() + (1 - weight).square()
    own = (weight.square() / energy)[:, None, None, None].to(x.dtype)
    return levels.from_power(torch.lerp(levels.power(other), levels.power(x), own))


def loudness_weight(own_db: Tensor, other_db: Tensor, share: Tensor) -> Tensor:
    """The paper's p: the weight of a wave that makes ``share`` of what is heard."""
    louder = 10 ** ((own_db - other_db) / 20)
    return share / (share + louder * (1 - share)).clamp(min=1e-12)
