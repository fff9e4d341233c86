"""The decision of a model: from the output of a network to scores.

Its numbers are fitted after training by :mod:`semisonic.classifier.calibration` and
:mod:`semisonic.classifier.unknown`, on clips not used for training, and are part of the model
file. Only :class:`DecisionModule` applies them; it is also exported.

Two rules decide whether a sound is unknown. Distance: the distance of the embedding from the
nearest class, relative to the spread of classes (Lee et al., "A simple unified framework for
detecting out-of-distribution samples and adversarial attacks", NeurIPS 2018), plus the entropy of
the scores. A model trained with a pool adds how similar a sound is to sounds of the pool outside
the known classes (Katz-Samuels et al., "Training OOD detectors in their natural habitats", ICML
2022). Noise: a rule that separates known sounds from synthetic noise, like that of Hendrycks et
al., "Deep anomaly detection with outlier exposure", ICLR 2019, but fitted to statistics of
features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import ModelError
from semisonic.core.files import digest
from semisonic.core.options import to_dict
from semisonic.features.logmel import LogMel
from semisonic.features.options import WAVE, MelOptions
from semisonic.features.statistics import N_CEPSTRA, RANGE_DB
from semisonic.models.recorded import recorded_frames, recorded_inside

NONE, TEMPERATURE, VECTOR = "none", "temperature", "vector"
METHODS = (TEMPERATURE, VECTOR)
"""The simplest first."""
KNOWN_THRESHOLD = 0.5
"""Sounds with a lower value of ``known`` are unknown."""
MAX_NOISE_SHARE = KNOWN_THRESHOLD / 2
"""Largest share of a score's excess over chance that is kept for noise."""

Table = NDArray[np.float32]
_RULE_NUMBERS = ("distance", "noise", "offset", "doubt", "kept")
_TINY = np.finfo(np.float64).tiny  # the least number above 0
_TABLES = ("widths", "centres", "weights", "directions", "means")
_OTHER = "other"


@dataclass(frozen=True)
class Calibration:
    """Calibration of logits to probabilities.

    Attributes
    ----------
    method : {"none", "temperature", "vector"}
    scale, offset : tuple of float
        Factors and offsets of the logits: one of each for all classes (temperature; the scale is
        its inverse) or for each class (vector). Empty for "none".
    """

    method: str = NONE
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()

    def text(self) -> str:
        """A short description."""
        words = {VECTOR: "vector scaling", TEMPERATURE: "temperature {:.3g}"}
        return words.get(self.method, NONE).format(*(1.0 / one for one in self.scale))


class OodLimit(NamedTuple):
    """The limit of an OOD score: ``value``, with the width ``scale``.

    ``scale`` is the spread of known sounds. With it, an OOD score becomes a value of 0 to 1, 0.5
    at the limit, that can be averaged over windows.
    """

    value: float
    scale: float

    def in_distribution(self, ood_score: Tensor) -> Tensor:
        """In-distribution values, 0 to 1, of OOD scores of any shape."""
        return torch.sigmoid(torch.clamp((self.value - ood_score) / self.scale, -10.0, 10.0))


@dataclass(frozen=True, eq=False)
class UnknownRules:
    """The rules that a known sound must pass: distance, and a rule against noise.

    The rule against noise is a support vector machine with Gaussian kernels (Cortes and Vapnik,
    1995), on statistics of features: see :class:`semisonic.models.decision.Moments`.

    Attributes
    ----------
    distance, noise : OodLimit
        Limits of the distance to the nearest class with its additions, and of the output of the
        machine.
    widths : ndarray of float32, shape (dim,)
        Factors of the statistics.
    centres : ndarray of float32, shape (n, dim)
        Centres of the kernels, already multiplied by these.
    weights : ndarray of float32, shape (n,)
        Weights of the centres, positive for noise.
    offset : float
    directions : ndarray of float32, shape (embedding, n_directions)
        Projection of embeddings, after which each class has spread 1 in each direction.
    means : ndarray of float32, shape (n_means, n_directions)
        Means of the classes, already projected.
    doubt : float
        Weight of one nat of entropy in the distance.
    kept : float
        Share of known sounds that should pass both rules, 0 to 1.
    other : ndarray of float32, shape (embedding,), optional
        Factors of embeddings that add to the distance the similarity to sounds of the pool that
        are far from every class.
    """

    distance: OodLimit
    noise: OodLimit
    widths: Table
    centres: Table
    weights: Table
    offset: float
    directions: Table
    means: Table
    doubt: float = 0.0
    kept: float = 1.0
    other: Table | None = None


@dataclass(frozen=True)
class Decision:
    """From logits to scores and answers.

    Attributes
    ----------
    calibration : Calibration
    thresholds : mapping of str to float
        The score from which each class is predicted; for all classes, or empty.
    unknown : UnknownRules or None
        Rules for unknown sounds; without them, every sound is known.
    note : mapping
        How it was fitted: number of clips and results, as text and numbers.
    """

    calibration: Calibration = field(default_factory=Calibration)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unknown: UnknownRules | None = None
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether scores are those of the network, unchanged."""
        return self.calibration == Calibration() and not self.thresholds and not self.unknown

    @property
    def key(self) -> str:
        """A hash of what scores depend on besides the network; empty without a decision."""
        if self.is_empty:
            return ""
        tables = [table.tobytes().hex() for table in self.tensors().values()]
        said = self.to_dict()
        return digest(said["calibration"], said["unknown"], tables)

    def least_threshold(self, n_classes: int, *, multi_label: bool) -> float:
        """The lower limit of thresholds, which noise does not exceed.

        Without rules for unknown sounds this is the score of chance: one over the number of
        classes or, with several labels per clip, 0.
        """
        nothing = 0.0 if multi_label else 1.0 / n_classes
        return nothing + (1.0 - nothing) * MAX_NOISE_SHARE if self.unknown else nothing

    def limits(self, classes: Sequence[str], threshold: float | None = None) -> NDArray[np.float64]:
        """The threshold of each class, shape (n_classes,): its own, or a common one.

        Raises
        ------
        ModelError
            Without either.
        """
        if threshold is not None:
            return np.full(len(classes), threshold)
        if not self.thresholds:
            raise ModelError(
                "the model has no thresholds; compute them with 'semisonic calibrate', or give one"
            )
        return np.array([self.thresholds[name] for name in classes])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; tables are in :meth:`tensors`."""
        rules = self.unknown
        return {
            "calibration": to_dict(self.calibration),
            "thresholds": dict(self.thresholds),
            "unknown": rules and {name: getattr(rules, name) for name in _RULE_NUMBERS},
            "note": dict(self.note),
        }

    def tensors(self) -> dict[str, Table]:
        """The tables by name, for the model file."""
        if not self.unknown:
            return {}
        found = {name: getattr(self.unknown, name) for name in (*_TABLES, _OTHER)}
        return {name: table for name, table in found.items() if table is not None}

    @classmethod
    def from_dict(
        cls,
        table: Any,
        tensors: Mapping[str, Table],
        classes: Sequence[str],
        n_statistics: int = 0,
        n_embedding: int = 0,
    ) -> Decision:
        """Read the result of :meth:`to_dict` and :meth:`tensors`, with all checks.

        Raises
        ------
        ModelError
            For anything but a decision of a model with these classes and these sizes of statistics
            and embeddings.
        """
        try:
            said, thresholds = table["calibration"], dict(table["thresholds"])
            n = {NONE: 0, TEMPERATURE: 1, VECTOR: len(classes)}[said["method"]]
            scale = _numbers(said["scale"], "the scale of the calibration", n, _TINY)
            offset = _numbers(said["offset"], "the offset of the calibration", n)
            if thresholds and set(thresholds) != set(classes):
                raise ModelError("the thresholds are not those of the model's classes")
            _numbers(list(thresholds.values()), "the thresholds", len(thresholds), 0.0, 1.0)
            rules = table["unknown"] and _rules(
                table["unknown"], tensors, n_statistics, n_embedding
            )
            note = dict(table["note"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"parts are missing or unknown: {error!r}") from error
        if tensors and not rules:
            raise ModelError("found tables without a rule that uses them")
        by_class = {name: float(thresholds[name]) for name in classes if thresholds}
        return cls(Calibration(said["method"], scale, offset), by_class, rules, note)


def _rules(
    table: Any, tensors: Mapping[str, Table], n_statistics: int, n_embedding: int
) -> UnknownRules:
    """The rules for unknown sounds from a file."""
    (kept,) = _numbers([table["kept"]], "kept", 1, _TINY, 1.0)
    (offset,) = _numbers([table["offset"]], "offset", 1)
    (doubt,) = _numbers([table["doubt"]], "doubt", 1, 0.0)
    distance, noise = (
        OodLimit(*_numbers(table[name], f"the limit of {name}", 2))
        for name in ("distance", "noise")
    )
    _numbers([distance.scale, noise.scale], "the spreads", 2, _TINY)
    found = {name: (one.dtype.name, one.shape) for name, one in tensors.items()}
    n, n_means, r = len(tensors["weights"]), *tensors["means"].shape
    shapes = {"widths": (n_statistics,), "centres": (n, n_statistics), "weights": (n,)}
    shapes |= {"directions": (n_embedding, r), "means": (n_means, r)}
    shapes |= {_OTHER: (n_embedding,)} if _OTHER in tensors else {}
    if (
        not n
        or not n_means
        or found != {name: ("float32", shape) for name, shape in shapes.items()}
    ):
        raise ModelError(f"found the tables {found}, expected {shapes} of float32")
    widths, centres, weights, directions, means = (tensors[name] for name in _TABLES)
    of_noise, other = (widths, centres, weights, offset), tensors.get(_OTHER)
    return UnknownRules(distance, noise, *of_noise, directions, means, doubt, kept, other)


def _numbers(
    values: Any, what: str, n: int, least: float = -np.inf, most: float = np.inf
) -> tuple[float, ...]:
    """Check that a value from a file is ``n`` finite numbers in a range."""
    table = np.asarray(values, np.float64)
    good = np.isfinite(table) & (table >= least) & (table <= most)
    if table.shape != (n,) or not good.all():
        raise ModelError(f"{what}: found {values}, expected {n} finite numbers in their range")
    return tuple(table.tolist())


class DecisionModule(nn.Module):
    """A decision in operations that can be exported.

    Parameters
    ----------
    decision : Decision
    multi_label : bool
    dtype : torch.dtype
        Its number format; float32 for files.
    """

    scale: Tensor
    offset: Tensor

    def __init__(
        self, decision: Decision, *, multi_label: bool, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.multi_label, self.dtype = multi_label, dtype
        calibration = decision.calibration
        # On the CPU, as models are built on the device "meta" before their weights are read.
        for name, values in (
            ("scale", calibration.scale or (1.0,)),
            ("offset", calibration.offset or (0.0,)),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=dtype, device="cpu"))
        rules = decision.unknown
        self.strange = StrangeScore(rules, dtype) if rules else None
        self.noise = NoiseScore(rules, dtype) if rules else None

    def forward(
        self, logits: Tensor, statistics: Tensor | None = None, embedding: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute scores, and how known each sound is.

        Scores of noise are reduced: at most a quarter of their excess over one over the number of
        classes (or, with several labels per clip, over 0) is kept, less the clearer the noise is.
        Their order is kept. Other unknown sounds keep their scores.

        Parameters
        ----------
        logits : Tensor, shape (batch, n_classes)
        statistics : Tensor, shape (batch, n_statistics), optional
            Statistics of the features, for the rule against noise.
        embedding : Tensor, shape (batch, dim), optional
            For the rule of distance.

        Returns
        -------
        scores : Tensor, shape (batch, n_classes)
            Calibrated probabilities; they sum to one unless multi-label.
        known : Tensor, shape (batch,)
            0 to 1, not a probability: unknown below 0.5, exactly 0 for noise; 1 without rules.

        Raises
        ------
        ModelError
            When statistics or embeddings for the rules are missing.
        """
        scores = self.calibrated(logits)
        if self.strange is None or self.noise is None:
            return scores, torch.ones_like(scores[:, 0])
        if statistics is None or embedding is None:
            raise ModelError(
                "the rules for unknown sounds of this model need statistics of features and "
                f"embeddings; found {'no statistics' if statistics is None else 'no embeddings'}"
            )
        no_noise = self.noise.in_distribution(statistics)
        doubt = doubt_of(scores, multi_label=self.multi_label)
        near = self.strange.in_distribution(embedding, doubt)
        known = torch.where(no_noise >= KNOWN_THRESHOLD, near, torch.zeros_like(near))
        return self.tempered(scores, no_noise), known

    def tempered(self, scores: Tensor, no_noise: Tensor) -> Tensor:
        """Scores reduced for noise; see :meth:`forward`."""
        left = no_noise * (MAX_NOISE_SHARE / KNOWN_THRESHOLD)
        share = torch.where(no_noise >= KNOWN_THRESHOLD, torch.ones_like(left), left).unsqueeze(1)
        nothing = 0.0 if self.multi_label else 1.0 / scores.shape[1]
        return nothing + share * (scores - nothing)

    def calibrated(self, logits: Tensor) -> Tensor:
        """Probabilities without the rules for unknown sounds, shape (..., n_classes)."""
        moved = logits.to(self.dtype) * self.scale + self.offset
        return probabilities(moved, multi_label=self.multi_label)


def probabilities(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Scores of the network alone.

    Parameters
    ----------
    logits : Tensor, shape (..., class)
    multi_label : bool

    Returns
    -------
    Tensor, shape (..., class)
        The softmax over the classes or, if a clip may have several, the sigmoid of each.
    """
    return torch.sigmoid(logits) if multi_label else torch.softmax(logits, dim=-1)


def doubt_of(scores: Tensor, *, multi_label: bool) -> Tensor:
    """Doubt of scores, shape (...): their entropy in nats or, with several labels per clip, one
    minus the highest score.
    """
    if multi_label:
        return 1.0 - scores.amax(dim=-1)
    return -(scores * torch.log(torch.clamp(scores, min=1e-12))).sum(dim=-1)


class StrangeScore(nn.Module):
    """The distance of a sound from the nearest class.

    Parameters
    ----------
    rules : UnknownRules
    dtype : torch.dtype
    """

    directions: Tensor
    means: Tensor
    other: Tensor | None

    def __init__(self, rules: UnknownRules, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.limit, self.doubt, self.dtype = rules.distance, rules.doubt, dtype
        for name in ("directions", "means", _OTHER):
            found = getattr(rules, name)
            table = None if found is None else torch.tensor(found, dtype=dtype, device="cpu")
            self.register_buffer(name, table)

    def forward(self, embedding: Tensor, doubt: Tensor) -> Tensor:
        """The OOD score of each sound, shape (batch,): its distance, and shares of its doubt and
        of its likeness to the rest of the pool.

        Parameters
        ----------
        embedding : Tensor, shape (batch, dim)
        doubt : Tensor, shape (batch,)
            Of :func:`doubt_of`.
        """
        embedding = embedding.to(self.dtype)
        moved = embedding @ self.directions
        squares = (moved.unsqueeze(1) - self.means).square().sum(dim=2)
        score = torch.sqrt(squares.amin(dim=1)) + self.doubt * doubt
        return score if self.other is None else score + embedding @ self.other

    def in_distribution(self, embedding: Tensor, doubt: Tensor) -> Tensor:
        """Closeness of sounds to a class, 0 to 1, shape (batch,): 0.5 at the limit."""
        return self.limit.in_distribution(self(embedding, doubt))


class NoiseScore(nn.Module):
    """The similarity of a sound to synthetic noise rather than to known sounds.

    Parameters
    ----------
    rules : UnknownRules
    dtype : torch.dtype
    """

    widths: Tensor
    centres: Tensor
    weights: Tensor

    def __init__(self, rules: UnknownRules, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.limit, self.moved, self.dtype = rules.noise, rules.offset, dtype
        for name in ("widths", "centres", "weights"):
            table = torch.tensor(getattr(rules, name), dtype=dtype, device="cpu")
            self.register_buffer(name, table)

    def forward(self, statistics: Tensor) -> Tensor:
        """The OOD score of each sound, shape (batch,), from statistics (batch, dim)."""
        x = statistics.to(self.dtype) * self.widths
        squares = (x * x).sum(dim=1, keepdim=True) + (self.centres * self.centres).sum(dim=1)
        kernels = torch.exp(-torch.relu(squares - 2.0 * x @ self.centres.T))
        return kernels @ self.weights + self.moved

    def in_distribution(self, statistics: Tensor) -> Tensor:
        """Dissimilarity of sounds to noise, 0 to 1, shape (batch,): 0.5 at the limit."""
        return self.limit.in_distribution(self(statistics))


# What tells noise and silence from sounds.


_BANDS = 40
"""Mel bands for waves, which have none."""
_N_FFT = 1024


class Moments(nn.Module):
    """Statistics of features: three numbers for each mel band and each of up to 20 cepstra.

    Padding and digital zeros do not count.

    Parameters
    ----------
    options : MelOptions
        Of the front end; for waves, separate mel bands are used.

    Attributes
    ----------
    out_features : int
    """

    cosines: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        bands = _BANDS if options.input == WAVE else options.n_mels
        self.mel: LogMel | None = None
        self.options = options
        if options.input == WAVE:
            rate = options.sample_rate
            self.options = MelOptions(
                sample_rate=rate,
                duration=2 * _N_FFT / rate,
                n_fft=_N_FFT,
                hop_length=_N_FFT // 2,
                n_mels=bands,
            )
            self.mel = LogMel(self.options)
        table = dct(np.eye(bands), type=2, norm="ortho", axis=0)[:N_CEPSTRA]
        cosines = torch.from_numpy(np.ascontiguousarray(table)).float()
        self.register_buffer("cosines", cosines, persistent=False)
        self.out_features = 3 * (bands + min(N_CEPSTRA, bands))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, out_features), of features (batch, channel, mel, frame) in dB, or waves."""
        if self.mel is not None:
            wave = x[:, 0, 0].float()
            if wave.shape[1] <= _N_FFT // 2:
                wave = functional.pad(wave, (0, _N_FFT // 2 + 1 - wave.shape[1]))
            x = self.mel(wave)
        # Without what is too far below the loudest cell of a clip.
        level = torch.maximum(x[:, 0], x[:, 0].amax(dim=(1, 2), keepdim=True) - RANGE_DB)
        counted = recorded_inside(recorded_frames(x, self.options), self.options).to(x.dtype)
        cepstra = self.cosines @ level
        return torch.cat([*_moments(level, counted), *_moments(cepstra, counted)], dim=1)


def _moments(values: Tensor, counted: Tensor) -> list[Tensor]:
    """Mean, deviation and deviation of changes over frames that count, each (batch, band)."""
    changes = values[:, :, 1:] - values[:, :, :-1]
    both = counted[:, 1:] * counted[:, :-1]
    if values.shape[2] < 2:
        changes, both = torch.zeros_like(values), counted
    found = []
    for x, weight in ((values, counted), (changes, both)):
        share = (weight / weight.sum(dim=1, keepdim=True).clamp(min=1.0))[:, None]
        mean = (x * share).sum(dim=2)
        found += [mean, ((x - mean[:, :, None]).square() * share).sum(dim=2).sqrt()]
    return [found[0], found[1], found[3]]
