"""What changed features sound like.

Where cell stays cell (gains, masks), the change is a gain in dB for each cell, and the sound's
own spectrum is multiplied by it. A shift is done to the samples. For all else the sound is
found again from the bands; where time and pitch stay, with the phases of the clip to begin
with.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.features import MelOptions
from semisonic.features.augment.loudness import band_widths
from semisonic.features.inversion import mel_to_wave
from semisonic.features.logmel import LogMel, hann

THROUGH_SPECTRUM = "the change was made to the sound's own spectrum"
BY_SHIFT = "the same shift of the samples"
BY_CUT = "the same part of the samples"
BY_INVERSION = "found again from the mel bands (Griffin-Lim), which roughens any sound a little"


def through_spectrum(wave: Tensor, before: Tensor, after: Tensor, mel: MelOptions) -> Tensor:
    """A wave (time,) changed as its levels were, both (mel, frame), cell by cell."""
    triangles = LogMel(mel).filters * band_widths(mel)[:, None]  # (mel, bin)
    share = triangles / triangles.sum(0).clamp(min=1e-9)
    gain = share.T @ (after - before)  # dB, (bin, frame)
    touched = (triangles.sum(0) > 1e-9).nonzero().flatten()
    low, high = int(touched[0]), int(touched[-1])
    gain[:low], gain[high + 1 :] = gain[low], gain[high]
    window = hann(mel.n_fft).float()
    before_first = 0 if mel.center else mel.window // 2
    shifted = functional.pad(wave, (0, mel.n_fft))[before_first:]
    spectrum = torch.stft(
        shifted, mel.n_fft, mel.hop_length, window=window, pad_mode="constant", return_complex=True
    )
    n_more = spectrum.shape[1] - gain.shape[1]
    gain = functional.pad(gain[None], (0, max(0, n_more)), mode="replicate")[0]
    changed = spectrum * 10 ** (gain[:, : spectrum.shape[1]] / 20)
    found = torch.istft(changed, mel.n_fft, mel.hop_length, window=window, length=len(shifted))
    return functional.pad(found, (before_first, 0))[: len(wave)]


def by_inversion(
    level: Tensor, like: Tensor, mel: MelOptions, *, same_phases: bool = False
) -> Tensor:
    """A wave (time,) that has these levels (mel, frame).

    It gets the peak of the wave it came from where the front end keeps no level.
    """
    wave = mel_to_wave(level, mel, start=like if same_phases else None)
    wave = functional.pad(wave, (0, max(0, len(like) - len(wave))))
    if mel.reference == "max" or mel.peak_normalize:
        wave = wave * (like.abs().amax() / wave.abs().amax().clamp(min=1e-9))
    return wave
