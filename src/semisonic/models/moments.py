"""Means, deviations and changes of a clip's bands: what tells noise and silence from sounds."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn
from torch.nn import functional

from semisonic.features.logmel import LogMel
from semisonic.features.options import WAVE, MelOptions
from semisonic.features.statistics import N_CEPSTRA, RANGE_DB

_BANDS = 40
"""Of waves, which have none of their own."""
_N_FFT = 1024


class Moments(nn.Module):
    """Features to three numbers for each mel band and each of up to 20 cepstra.

    Parameters
    ----------
    options : MelOptions
        Of the front end; waves are looked at through mel bands of their own.

    Attributes
    ----------
    out_features : int
    """

    cosines: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        bands = _BANDS if options.input == WAVE else options.n_mels
        self.mel: LogMel | None = None
        if options.input == WAVE:
            rate = options.sample_rate
            self.mel = LogMel(
                MelOptions(
                    sample_rate=rate,
                    duration=2 * _N_FFT / rate,
                    n_fft=_N_FFT,
                    hop_length=_N_FFT // 2,
                    n_mels=bands,
                )
            )
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
        return torch.cat([*_moments(level), *_moments(self.cosines @ level)], dim=1)


def _moments(values: Tensor) -> list[Tensor]:
    """Mean, deviation and deviation of changes over frames, each (batch, band)."""
    changes = values[:, :, 1:] - values[:, :, :-1]
    if values.shape[2] < 2:
        changes = torch.zeros_like(values)
    found = []
    for x in (values, changes):
        mean = x.mean(dim=2)
        found += [mean, (x - mean[:, :, None]).square().mean(dim=2).sqrt()]
    return [found[0], found[1], found[3]]
