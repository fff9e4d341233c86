"""Encoders that learn nothing: a clip as the mean, deviation and changes of what is heard in it.

Log-mel features give the numbers of :func:`semisonic.features.mel_statistics`, waves those of
:func:`semisonic.features.mfcc_statistics` (the baselines of Piczak 2015), in torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.features import LogMel, MelOptions
from semisonic.features.cepstrum import HOP_LENGTH, N_FFT, N_MELS, TOP_DB
from semisonic.features.options import N_CEPSTRUM_STATISTICS
from semisonic.features.statistics import N_CEPSTRA, PERCENTILES
from semisonic.models.encoder import Encoder
from semisonic.models.moments import cosines, mean_and_deviation, moments, within_range
from semisonic.models.necks import Neck
from semisonic.models.plan import Trace

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
    """Of log-mel features in dB: see :func:`semisonic.features.mel_statistics`.

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
    """Of waves: see :func:`semisonic.features.mfcc_statistics`.

    Parameters
    ----------
    sample_rate : int
        Hz; that of the model, once there is one.
    """

    cosines: Tensor

    def __init__(self, sample_rate: int = 44100) -> None:
        super().__init__(1, N_CEPSTRUM_STATISTICS)
        self.register_buffer("cosines", cosines(N_MELS, 1, _N_MFCC), persistent=False)
        self.hear_at(sample_rate)

    def hear_at(self, sample_rate: int) -> None:
        """Set the rate that decides where mel bands lie."""
        self.mel = LogMel(
            MelOptions(
                sample_rate=sample_rate, duration=2 * N_FFT / sample_rate, n_fft=N_FFT,
                hop_length=HOP_LENGTH, n_mels=N_MELS, top_db=TOP_DB,
            )
        )  # fmt: skip

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
