"""When the classes of a clip are heard: scores along the time of a window, for a frozen encoder.

Three linear layers, which are solved for on windows that labelled clips were mixed into (in
:mod:`semisonic.classifier.detection.learn`): whether anything stands out from the background of
the window at a time, which class that is, and whether one sound goes on through all of the window.

Papers: the background is the minimum over time of smoothed levels (Martin 2001, "Noise power
spectral density estimation based on optimal smoothing and minimum statistics") and is taken away
before the encoder (Boll 1979, "Suppression of acoustic noise in speech using spectral
subtraction"). Frames are pooled by how active they are, as in attention pooling (Kong et al. 2018,
"Audio set classification with attention model"); here activity is learned by itself, from mixtures
whose times are known, as in Salamon et al. 2017, "Scaper: a library for soundscape synthesis".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.features.options import LOG_MEL, MelOptions
from semisonic.models.encoder import frame_grid

if TYPE_CHECKING:
    from semisonic.models.sound_model import SoundModel

POINT = 0.1
"""Seconds from one score to the next, about."""
SHORTEST = 2.0
"""Seconds of a window below which a sound leaves too little of it to hear the background by."""
_SMOOTHED, _AROUND = 5, 2  # points of the background's level, and on both sides of a decision
_CONTEXT = 1.5  # seconds on both sides by which a class is told
_GROUPS = 8  # of mel bands
_TAKEN, _LEFT = 3.0, 0.015  # of the minimum's power: what is taken away, and what is left at least
_UNIT_DB, _MOST = 20.0, 3.0  # of the level over the background
_TINY = 1e-10


def power_of(level_db: Tensor) -> Tensor:
    """Powers of levels in dB, same shape."""
    return torch.pow(10.0, level_db / 10.0)


class EventLayer(nn.Module):
    """Scores along time beside a model's scores of clips.

    Parameters
    ----------
    mel : MelOptions
    n_maps : int
        Channels of the encoder's code.
    n_around : int
        Frames of the code on both sides by which a class is told.
    n_features : int
        Of the model's embedding.
    n_classes : int

    Attributes
    ----------
    active, named, steady : nn.Linear
        Whether something stands out, which class that is, and which class fills the window (the
        last answer: none does).
    """

    def __init__(
        self, mel: MelOptions, n_maps: int, n_around: int, n_features: int, n_classes: int
    ) -> None:
        super().__init__()
        self.frame = mel.hop_length / mel.sample_rate
        self.start = 0.0 if mel.center else mel.window / 2 / mel.sample_rate
        self.per_point = max(1, round(POINT / self.frame))
        self.n_around = n_around
        self.active = nn.Linear((2 * _GROUPS + 4) * (2 * _AROUND + 1), 1)
        self.named = nn.Linear(2 * n_maps, n_classes)
        self.steady = nn.Linear(n_features, n_classes + 1)

    @classmethod
    def of(cls, model: SoundModel) -> EventLayer:
        """A layer for a model, not learned yet.

        Raises
        ------
        ModelError
            When the model cannot have one; the text says why.
        """
        mel, encoder, why = model.mel, model.encoder, model.encoder.no_frames
        if mel.input != LOG_MEL or mel.deltas or mel.reference != "one" or mel.peak_normalize:
            why = "its features are no levels of one channel that keep the loudness of the sound"
        elif model.multi_label:
            why = "a clip may have several labels"
        elif mel.duration < SHORTEST:
            why = f"its windows have {mel.duration:g} s, less than {SHORTEST:g} s"
        if why:
            raise ModelError(f"'{model.name}' learns no times of events: {why}")
        step = frame_grid(encoder.plan)[1] * mel.hop_length / mel.sample_rate
        n_maps = encoder.code_shape(mel.n_mels, mel.n_frames)[0]
        around = round(_CONTEXT / step)
        return cls(mel, n_maps, around, model.neck.out_features, len(model.classes))

    def times(self, n_frames: int) -> Tensor:
        """Middles of the points in a window of so many frames of features, s, float64."""
        first = torch.arange(-(-n_frames // self.per_point), dtype=torch.float64) * self.per_point
        return self.start + self.frame * (first + (self.per_point - 1) / 2)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What stands out from the background of each window.

        Parameters
        ----------
        x : Tensor, shape (batch, 1, mel, frame)
            In dB.

        Returns
        -------
        over : Tensor, shape (batch, point, 2 * groups + 4)
            How far bands lie over the background.
        cleaned : Tensor, shape (batch, 1, mel, frame)
            In dB, the background taken away.
        """
        power = power_of(x[:, 0])
        level = F.avg_pool1d(power, self.per_point, ceil_mode=True, count_include_pad=False)
        n = min(_SMOOTHED, level.shape[2] // 2 * 2 - 1)
        smooth = F.avg_pool1d(level, n, 1, n // 2, count_include_pad=False)
        background = smooth.amin(dim=2, keepdim=True).clamp(min=_TINY)
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
        return torch.cat(found, dim=2), 10 * torch.log10(rest)[:, None]

    def around(self, over: Tensor) -> Tensor:
        """What :attr:`active` reads: each point and its neighbours, shape (batch, point, dim)."""
        n = over.shape[1]
        wide = F.pad(over.transpose(1, 2), (_AROUND, _AROUND), mode="replicate").transpose(1, 2)
        return torch.cat([wide[:, i : i + n] for i in range(2 * _AROUND + 1)], dim=2)

    def pooled(self, code: Tensor, activity: Tensor) -> Tensor:
        """What :attr:`named` reads: mean and maximum of active frames around each frame.

        Parameters
        ----------
        code : Tensor, shape (batch, channel, frame of the code)
            Of cleaned features, the mean over mel.
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
        """Whether something stands out at each point, 0 to 1, shape (batch, point)."""
        return torch.sigmoid(self.active(self.around(over)))[..., 0]

    def forward(self, activity: Tensor, code: Tensor, embedding: Tensor) -> Tensor:
        """Scores along time.

        Parameters
        ----------
        activity : Tensor, shape (batch, point)
        code : Tensor, shape (batch, channel, frame of the code)
            Of cleaned features, the mean over mel.
        embedding : Tensor, shape (batch, n_features)
            Of the window as it is.

        Returns
        -------
        Tensor, shape (batch, point, n_classes)
            0 to 1: either a class fills the window, or it stands out from what does.
        """
        named = torch.softmax(self.named(self.pooled(code, activity)), dim=2).transpose(1, 2)
        n = activity.shape[1]
        along = F.interpolate(named, size=n, mode="linear", align_corners=False).transpose(1, 2)
        filled = torch.softmax(self.steady(embedding), dim=1)[:, None]
        return filled[..., :-1] + filled[..., -1:] * activity[..., None] * along
