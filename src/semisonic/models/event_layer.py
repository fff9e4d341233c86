"""The event layer: scores along the time of a window, for a frozen encoder.

Three linear layers are solved for (in :mod:`semisonic.classifier.detection.learn`) on windows with
labelled clips mixed in: whether a sound stands out from the background of the window at a time,
which class it is, and whether one sound fills the whole window.

Papers: the background is the minimum over time of smoothed levels (Martin 2001, "Noise power
spectral density estimation based on optimal smoothing and minimum statistics") and is subtracted
before the encoder (Boll 1979, "Suppression of acoustic noise in speech using spectral
subtraction"). Frames are pooled by how active they are, as in attention pooling (Kong et al. 2018,
"Audio set classification with attention model"); here activity is learned separately, from
mixtures with known times, as in Salamon et al. 2017, "Scaper: a library for soundscape synthesis".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.features.options import MelOptions
from semisonic.models.recorded import recorded_frames, recorded_inside

POINT = 0.1
"""Approximate seconds between scores."""
SHORTEST = 2.0
"""Shortest window in seconds; in shorter ones a sound leaves too little background."""
_SMOOTHED, _AROUND = 5, 2  # points of the background's level, and on both sides of a decision
CONTEXT = 1.5  # seconds on both sides by which a class is told
_GROUPS = 8  # of mel bands
_TAKEN, _LEFT = 3.0, 0.015  # of the minimum's power: what is taken away, and what is left at least
_UNIT_DB, _MOST = 20.0, 3.0  # of the level over the background
_TINY = 1e-10


def power_of(level_db: Tensor) -> Tensor:
    """Powers of levels in dB, same shape."""
    return torch.pow(10.0, level_db / 10.0)


class EventLayer(nn.Module):
    """Computes scores along time in addition to a model's scores of clips.

    Parameters
    ----------
    mel : MelOptions
    n_maps : int
        Number of channels of the encoder's code.
    n_around : int
        Number of frames of the code on both sides that are used for a class.
    n_features : int
        Length of the model's embedding.
    n_classes : int

    Attributes
    ----------
    active, named, steady : nn.Linear
        Whether a sound stands out, its class, and the class that fills the window (the last one:
        none).
    """

    def __init__(
        self, mel: MelOptions, n_maps: int, n_around: int, n_features: int, n_classes: int
    ) -> None:
        super().__init__()
        self.mel = mel
        self.frame = mel.hop_length / mel.sample_rate
        self.start = 0.0 if mel.center else mel.window / 2 / mel.sample_rate
        self.per_point = max(1, round(POINT / self.frame))
        self.n_around = n_around
        self.active = nn.Linear((2 * _GROUPS + 4) * (2 * _AROUND + 1), 1)
        self.named = nn.Linear(2 * n_maps, n_classes)
        self.steady = nn.Linear(n_features, n_classes + 1)

    def times(self, n_frames: int) -> Tensor:
        """Centres of the points in a window of ``n_frames`` frames of features, s, float64."""
        first = torch.arange(-(-n_frames // self.per_point), dtype=torch.float64) * self.per_point
        return self.start + self.frame * (first + (self.per_point - 1) / 2)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Separate sounds from the background of each window.

        Padding and digital zeros are no background, and are filled with that of the rest.

        Parameters
        ----------
        x : Tensor, shape (batch, 1, mel, frame)
            In dB.

        Returns
        -------
        over : Tensor, shape (batch, point, 2 * groups + 4)
            Level of bands above the background.
        cleaned : Tensor, shape (batch, 1, mel, frame)
            In dB, with the background subtracted.
        recorded : Tensor of bool, shape (batch, point)
            Whether a recording is there.
        """
        recorded = recorded_frames(x, self.mel)[:, None].to(x.dtype)
        inside = recorded_inside(recorded[:, 0] > 0, self.mel)[:, None].to(x.dtype)
        power = power_of(x[:, 0])
        there = self._of_points(recorded)
        level = self._mean_of_points(power, recorded)
        below = self._mean_of_points(power, inside)
        counted = (self._of_points(inside) > 0).to(x.dtype)
        n = min(_SMOOTHED, level.shape[2] // 2 * 2 - 1)
        smooth = F.avg_pool1d(below * counted, n, 1, n // 2, count_include_pad=False)
        smooth = smooth / F.avg_pool1d(counted, n, 1, n // 2, count_include_pad=False).clamp(1e-3)
        smooth = torch.where(counted > 0, smooth, torch.inf)
        background = smooth.amin(dim=2, keepdim=True).clamp(min=_TINY)
        level = torch.where(there > 0, level, background)
        power = torch.where(recorded > 0, power, background)
        over = (10 * torch.log10(level.clamp(min=_TINY) / background) / _UNIT_DB).clamp(-0.5, _MOST)
        bands = over.transpose(1, 2)
        whole = 10 * torch.log10(level.sum(1).clamp(min=_TINY) / background.sum(1)) / _UNIT_DB
        found = [
            whole.clamp(-0.5, _MOST)[..., None],
            bands.mean(dim=2, keepdim=True),
            bands.amax(dim=2, keepdim=True),
            bands.square().mean(dim=2, keepdim=True).sqrt(),
            F.adaptive_avg_pool1d(bands, _GROUPS),
            F.adaptive_max_pool1d(bands, _GROUPS),
        ]
        rest = (power - _TAKEN * background).maximum(_LEFT * background).clamp(min=_TINY)
        return torch.cat(found, dim=2), 10 * torch.log10(rest)[:, None], there[:, 0] > 0

    def _of_points(self, x: Tensor) -> Tensor:
        """Means of frames over points, shape (batch, ..., point)."""
        return F.avg_pool1d(x, self.per_point, ceil_mode=True, count_include_pad=False)

    def _mean_of_points(self, x: Tensor, counted: Tensor) -> Tensor:
        """Means over points of the frames that count; 0 without one."""
        mean = self._of_points(x * counted) / self._of_points(counted).clamp(min=1e-3)
        # Of windows in which all frames count, the same to the last digit.
        return torch.where(counted.amin(dim=2, keepdim=True) > 0, self._of_points(x), mean)

    def around(self, over: Tensor) -> Tensor:
        """Input of :attr:`active`: each point and its neighbours, shape (batch, point, dim)."""
        n = over.shape[1]
        wide = F.pad(over.transpose(1, 2), (_AROUND, _AROUND), mode="replicate").transpose(1, 2)
        return torch.cat([wide[:, i : i + n] for i in range(2 * _AROUND + 1)], dim=2)

    def pooled(self, code: Tensor, activity: Tensor) -> Tensor:
        """The input of :attr:`named`: mean and maximum of active frames around each frame.

        Parameters
        ----------
        code : Tensor, shape (batch, channel, frame of the code)
            Code of cleaned features, as the mean over mel.
        activity : Tensor, shape (batch, point)
            0 to 1.

        Returns
        -------
        Tensor, shape (batch, frame of the code, 2 * channel)
        """
        share = F.adaptive_avg_pool1d(activity[:, None], code.shape[2]) + 1e-3
        most, n = share.amax(dim=2, keepdim=True), self.n_around
        mean = F.avg_pool1d(code * share, 2 * n + 1, 1, n) / F.avg_pool1d(share, 2 * n + 1, 1, n)
        largest = F.max_pool1d(code * (share / most), 2 * n + 1, 1, n)
        return torch.cat([mean, largest], dim=1).transpose(1, 2)

    def activity(self, over: Tensor) -> Tensor:
        """Whether a sound stands out at each point, 0 to 1, shape (batch, point)."""
        return torch.sigmoid(self.active(self.around(over)))[..., 0]

    def forward(self, activity: Tensor, code: Tensor, embedding: Tensor) -> Tensor:
        """Scores along time.

        Parameters
        ----------
        activity : Tensor, shape (batch, point)
        code : Tensor, shape (batch, channel, frame of the code)
            Code of cleaned features, as the mean over mel.
        embedding : Tensor, shape (batch, n_features)
            Embedding of the unchanged window.

        Returns
        -------
        Tensor, shape (batch, point, n_classes)
            0 to 1: a class either fills the window or stands out from its background.
        """
        named = torch.softmax(self.named(self.pooled(code, activity)), dim=2).transpose(1, 2)
        n = activity.shape[1]
        along = F.interpolate(named, size=n, mode="linear", align_corners=False).transpose(1, 2)
        filled = torch.softmax(self.steady(embedding), dim=1)[:, None]
        return filled[..., :-1] + filled[..., -1:] * activity[..., None] * along
