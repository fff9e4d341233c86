"""Simple classifiers as networks: statistics of a clip, and a head that was fitted.

The encoder learns nothing: log-mel features give the numbers of
:func:`semisonic.features.statistics.mel_statistics`, waves those of
:func:`semisonic.features.statistics.mfcc_statistics` (the baselines of Piczak 2015), in torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.features.logmel import LogMel
from semisonic.features.options import N_CEPSTRUM_STATISTICS, MelOptions
from semisonic.features.statistics import HOP_LENGTH, N_CEPSTRA, N_FFT, N_MELS, PERCENTILES, TOP_DB
from semisonic.models.encoder import Encoder, Trace
from semisonic.models.moments import cosines, mean_and_deviation, moments, within_range
from semisonic.models.necks import Backbone, Neck
from semisonic.models.necks import Shape as FeatureShape

_OF_A_CLIP = "its numbers are statistics of a whole clip"
_N_MFCC = N_CEPSTRUM_STATISTICS // 2  # the zeroth is left out, the rate of crossings comes in


class StatisticsEncoder(Encoder):
    """Base: features (batch, channel, mel, frame) to a map (batch, out_channels, 1, 1)."""

    no_decoder = f"{_OF_A_CLIP}, and no sound follows from them"
    no_frames = _OF_A_CLIP
    plan = ()

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape of the map: one cell."""
        return self.out_channels, 1, 1

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """One frame, whatever the clip's length."""
        return torch.ones_like(n_frames)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The statistics; clips that were filled up to one length are refused."""
        if n_frames is not None:
            raise ModelError(
                f"statistics of clips that were filled up: {_OF_A_CLIP}, those that fill it up "
                "would count; give clips one by one"
            )
        return self.walk(x, None)

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The statistics, shape (batch, out_channels, 1, 1)."""
        return self.statistics(x)[:, :, None, None]

    def statistics(self, x: Tensor) -> Tensor:
        """Shape (batch, out_channels)."""
        raise NotImplementedError


class MelStatistics(StatisticsEncoder):
    """Of log-mel features in dB: see :func:`semisonic.features.statistics.mel_statistics`.

    Parameters
    ----------
    n_channels, n_mels : int
    """

    cosines: Tensor

    def __init__(self, n_channels: int, n_mels: int) -> None:
        super().__init__(n_channels, 6 * n_mels + 3 * min(N_CEPSTRA, n_mels))
        self.register_buffer("cosines", cosines(n_mels, 0, N_CEPSTRA), persistent=False)

    def statistics(self, x: Tensor) -> Tensor:
        """Shape (batch, 6 * mel + 3 * cepstra)."""
        level = within_range(x[:, 0])
        cepstra = self.cosines @ level
        ordered = level.sort(dim=2).values
        bands = [_percentile(ordered, share / 100) for share in PERCENTILES]
        return torch.cat([*moments(level), *bands, *moments(cepstra)], dim=1)


class CepstrumStatistics(StatisticsEncoder):
    """Of waves: see :func:`semisonic.features.statistics.mfcc_statistics`.

    Parameters
    ----------
    sample_rate : int
        Hz; that of the model, once there is one.
    """

    cosines: Tensor

    def __init__(self, sample_rate: int = 44100) -> None:
        super().__init__(1, N_CEPSTRUM_STATISTICS)
        self.register_buffer("cosines", cosines(N_MELS, 1, _N_MFCC), persistent=False)
        self.set_sample_rate(sample_rate)

    def set_sample_rate(self, sample_rate: int) -> None:
        """Set the rate that decides where mel bands lie."""
        self.mel = LogMel(
            MelOptions(
                sample_rate=sample_rate,
                duration=2 * N_FFT / sample_rate,
                n_fft=N_FFT,
                hop_length=HOP_LENGTH,
                n_mels=N_MELS,
                top_db=TOP_DB,
            )
        )

    def statistics(self, x: Tensor) -> Tensor:
        """Shape (batch, 26), of waves (batch, 1, 1, time)."""
        wave = x[:, 0, 0].float()
        if wave.shape[1] <= N_FFT // 2:
            wave = torch.nn.functional.pad(wave, (0, N_FFT // 2 + 1 - wave.shape[1]))
        cepstra = self.cosines @ self.mel(wave)[:, 0]
        negative = wave.unfold(1, HOP_LENGTH, HOP_LENGTH) < 0
        crossings = (negative[:, :, 1:] != negative[:, :, :-1]).float().mean(dim=2)
        both = [mean_and_deviation(values) for values in (cepstra, crossings[:, None])]
        means, deviations = zip(*both, strict=True)
        return torch.cat([*means, *deviations], dim=1)


class StatisticsNeck(Neck):
    """The statistics as they are; what classifies them is a head of its own kind.

    Parameters
    ----------
    n_features : int
    head : type of nn.Module
        Made from the numbers of features and classes.
    """

    no_frames = _OF_A_CLIP

    def __init__(self, n_features: int, head: type[torch.nn.Module]) -> None:
        super().__init__(n_features, ())
        self.head = head

    def forward(self, code: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The embedding, shape (batch, out_features)."""
        return code.flatten(1)

    def class_layer(self, n_classes: int) -> torch.nn.Module:
        """A head that has not been fitted."""
        return self.head(self.out_features, n_classes)


def _percentile(ordered: Tensor, share: float) -> Tensor:
    """Between neighbours of values in order, as numpy's; (batch, band, frame) to (batch, band)."""
    place = share * (ordered.shape[2] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[2] - 1)
    low, high = ordered[:, :, below], ordered[:, :, above]
    return low + (high - low) * (place - below)


LEAST = 1e-9
"""Scores below this count as this where a logarithm is taken."""
Shape = tuple[int, ...]


class SimpleHead(nn.Module):
    """Base of all heads.

    Attributes
    ----------
    n_features, n_classes : int
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.n_features, self.n_classes = n_features, n_classes

    def numbers(self, **tables: Tensor) -> None:
        """Keep what was learned: floating-point tables as parameters, whole numbers beside."""
        for name, table in tables.items():
            if hasattr(self, name):
                delattr(self, name)
            if table.is_floating_point():
                self.register_parameter(name, nn.Parameter(table))
            else:
                self.register_buffer(name, table)

    def take_shapes(self, shapes: Mapping[str, Shape]) -> None:
        """Make room for tables of these shapes, before a file's are put in.

        Raises
        ------
        ModelError
            For shapes that do not go together.
        """
        expected = self.state_dict()
        self.numbers(
            **{
                name: torch.empty(shape, dtype=expected[name].dtype)
                for name, shape in shapes.items()
                if name in expected
            }
        )
        shapes_now = {name: tuple(table.shape) for name, table in self.state_dict().items()}
        if not self.fits(shapes_now):
            self.refuse(f"tables of the shapes {shapes_now} do not go together")

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        raise NotImplementedError

    def check(self) -> None:
        """See that tables can be used; raises ModelError. Call it when they were put in."""

    def refuse(self, why: str) -> NoReturn:
        """Raise ModelError."""
        raise ModelError(f"{type(self).__name__}: {why}; the file is damaged")

    def unfitted(self) -> NoReturn:
        """Raise ModelError for a head without tables."""
        raise ModelError("this classifier was never fitted; use train, or load a file")


class LinearHead(SimpleHead):
    """Logits linear in standardised statistics.

    Tables: ``mean`` and ``scale`` (feature,), ``weight`` (class, feature), ``bias`` (class,).
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        none = torch.zeros(0, dtype=torch.float64)
        self.numbers(mean=none, scale=none, weight=none, bias=none)

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        d, k = self.n_features, self.n_classes
        return shapes == {"mean": (d,), "scale": (d,), "weight": (k, d), "bias": (k,)}

    def check(self) -> None:
        """Raises ModelError for a scale that is not positive."""
        if not (self.scale > 0).all():
            self.refuse("'scale' holds deviations that are not positive")

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        if not len(self.bias):
            self.unfitted()
        standardised = (x.to(self.mean.dtype) - self.mean) / self.scale
        return standardised @ self.weight.T + self.bias


class NeighbourHead(SimpleHead):
    """The nearest examples vote, weighted by one over their distance.

    Tables: ``examples`` (example, feature), ``shares`` (example, class) of 0 and 1,
    ``n_neighbours``, and ``several``, 1 with several labels per clip.
    """

    examples: Tensor
    shares: Tensor
    n_neighbours: Tensor
    several: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        self._asked, self._several = 0, False
        self.numbers(
            examples=torch.zeros(0, n_features),
            shares=torch.zeros(0, n_classes),
            n_neighbours=torch.tensor(0),
            several=torch.tensor(0),
        )

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        n = shapes["examples"][0] if shapes["examples"] else 0
        return n > 0 and shapes == {
            "examples": (n, self.n_features),
            "shares": (n, self.n_classes),
            "n_neighbours": (),
            "several": (),
        }

    def check(self) -> None:
        """Raises ModelError for more neighbours than examples, or shares out of range."""
        if not 1 <= int(self.n_neighbours) <= len(self.examples):
            self.refuse(f"'n_neighbours' is {int(self.n_neighbours)} of {len(self.examples)}")
        if not ((self.shares >= 0) & (self.shares <= 1)).all():
            self.refuse("'shares' are not within 0 to 1")
        self._asked, self._several = int(self.n_neighbours), bool(self.several)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        if not len(self.examples):
            self.unfitted()
        x, examples = x.double(), self.examples.double()
        if torch.compiler.is_compiling():  # cdist without a matrix product cannot be exported
            far = (x[:, None] - examples).square().sum(dim=2).sqrt()
        else:
            far = torch.cdist(x, examples, compute_mode="donot_use_mm_for_euclid_dist")
        far, nearest = far.topk(self._asked, dim=1, largest=False)
        same = (far == 0).double()
        # A clip that is an example itself is asked of no other.
        weights = torch.where(same.amax(dim=1, keepdim=True) > 0, same, 1 / far.clamp(min=1e-300))
        weights = weights / weights.sum(dim=1, keepdim=True)
        scores = (weights[:, :, None] * self.shares.double()[nearest]).sum(dim=1)
        return logits_of(scores, self._several)


class ForestHead(SimpleHead):
    """A forest: trees of yes-or-no questions whose leaves, added up, are the scores.

    A node asks whether a statistic is at most its threshold and goes left if so; a leaf goes to
    itself.

    Tables: ``feature``, ``threshold``, ``left``, ``right`` and ``row`` (node,), ``roots`` (tree,),
    ``leaves`` (row, class): what is added, the same row for like leaves, and ``several``, 1 with
    several labels per clip.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    row: Tensor
    roots: Tensor
    leaves: Tensor
    several: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        whole = torch.zeros(0, dtype=torch.int64)
        self.numbers(
            feature=whole,
            threshold=torch.zeros(0),
            left=whole,
            right=whole,
            row=whole,
            roots=whole,
            leaves=torch.zeros(0, n_classes, dtype=torch.float64),
            several=torch.tensor(0),
        )
        self._depth, self._several = 0, False

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        if any(len(shapes[name]) != 1 for name in ("row", "roots")) or not shapes["leaves"]:
            return False
        (n,), (n_trees,), n_rows = shapes["row"], shapes["roots"], shapes["leaves"][0]
        nodes = dict.fromkeys(("feature", "threshold", "left", "right", "row"), (n,))
        expected: dict[str, Shape] = {
            **nodes,
            "roots": (n_trees,),
            "leaves": (n_rows, self.n_classes),
            "several": (),
        }
        return min(n, n_trees, n_rows) > 0 and shapes == expected

    def check(self) -> None:
        """Raises ModelError for nodes that lead nowhere, or back."""
        n = len(self.row)
        own = torch.arange(n, device=self.row.device)
        limits = (
            ("feature", 0, self.n_features),
            ("row", 0, len(self.leaves)),
            ("roots", 0, n),
            ("left", 0, n),
            ("right", 0, n),
            ("several", 0, 2),
        )
        for name, low, high in limits:
            table = self.get_buffer(name)
            if ((table < low) | (table >= high)).any():
                self.refuse(f"'{name}' holds numbers outside {low} to {high - 1}")
        leaf = (self.left == own) & (self.right == own)
        if not (leaf | ((self.left > own) & (self.right > own))).all():
            self.refuse("a tree leads back to itself")
        self._depth, self._several = self._measure(), bool(self.several)

    def _measure(self) -> int:
        """The most questions from a root to a leaf."""
        nodes, depth = torch.unique(self.roots), 0
        while True:
            inner = nodes[self.left[nodes] != nodes]
            if not len(inner):
                return depth
            nodes = torch.unique(torch.cat([self.left[inner], self.right[inner]]))
            depth += 1

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        if not len(self.roots):
            self.unfitted()
        x = x.float()
        node = self.roots.expand(x.shape[0], -1)  # (batch, tree)
        for _ in range(self._depth):
            below = x.gather(1, self.feature[node]) <= self.threshold[node]
            node = torch.where(below, self.left[node], self.right[node])
        return logits_of(self._sum(self.row[node]), self._several)

    def _sum(self, rows: Tensor) -> Tensor:
        """The sum of the leaves that each clip came to, (batch, tree) to (batch, class)."""
        if torch.compiler.is_compiling() or len(rows) <= 1:
            return self.leaves[rows].sum(dim=1)
        # One clip at a time, as leaves of all trees and clips side by side may be large.
        return torch.stack([self.leaves[row].sum(dim=0) for row in rows])


def logits_of(scores: Tensor, several: bool) -> Tensor:
    """Logits whose softmax, or sigmoid, the scores are."""
    high = scores.clamp(min=LEAST).log()
    return high - (1 - scores).clamp(min=LEAST).log() if several else high


HEADS: dict[str, type[SimpleHead]] = {
    "knn": NeighbourHead,
    "forest": ForestHead,
    "svm": LinearHead,
    "logistic": LinearHead,
}
"""What classifies, by the name of the classifier."""


def simple_body(name: str, shape: FeatureShape) -> Backbone:
    """Statistics of features of a shape (channel, mel, frame), or of waves, (1, 1, time).

    Parameters
    ----------
    name : str
        One of :data:`SIMPLE`.
    """
    waves = shape[:2] == (1, 1)
    encoder: StatisticsEncoder = CepstrumStatistics() if waves else MelStatistics(*shape[:2])
    return Backbone(name, encoder, StatisticsNeck(encoder.out_channels, HEADS[name]))
