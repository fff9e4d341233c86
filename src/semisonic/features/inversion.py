"""From log-mel levels back to sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.core.errors import DataError
from semisonic.features.logmel import LogMel, hann
from semisonic.features.options import MelOptions

_UPDATES = 80
_MOMENTUM = 0.99


@torch.no_grad()
def mel_to_wave(level: Tensor, mel: MelOptions, *, n_iterations: int = 40) -> Tensor:
    """Samples whose log-mel spectrogram is close to a given one.

    Papers: Lee and Seung 2001, "Algorithms for non-negative matrix factorization" (magnitudes
    behind the bands); Griffin and Lim 1984, with the momentum of Perraudin et al. 2013 (phases).

    Parameters
    ----------
    level : Tensor, shape (mel, frame)
        Levels in dB, as :class:`LogMel` gives them.
    mel : MelOptions
        The front end. What it does to the level of a clip, and pre-emphasis, are not undone.
    n_iterations : int
        Steps in which phases, random at first (torch's global generator), are made to fit.

    Returns
    -------
    Tensor, shape (time,)
        As many samples as the frames stand for.
    """
    if level.ndim != 2 or len(level) != mel.n_mels:
        raise DataError(
            f"mel_to_wave: found levels of shape {tuple(level.shape)}, expected ({mel.n_mels}, "
            "frame)"
        )
    hop = min(mel.hop_length, max(1, mel.n_fft // 4))  # a transform that overlaps enough
    n_samples = (level.shape[1] - 1) * mel.hop_length
    n_frames = 1 + n_samples // hop
    fine = functional.interpolate(level[None], size=n_frames, mode="linear", align_corners=True)[0]
    shortest = 1 + -(-mel.n_fft // hop)
    magnitude = functional.pad(_behind_bands(fine, mel), (0, max(0, shortest - n_frames)))
    window, length = hann(mel.n_fft).float(), (magnitude.shape[1] - 1) * hop
    spectrum = torch.polar(magnitude, 2 * torch.pi * torch.rand_like(magnitude))
    last = torch.zeros_like(spectrum)
    for _ in range(n_iterations):
        wave = torch.istft(spectrum, mel.n_fft, hop, window=window, length=length)
        now = torch.stft(
            wave, mel.n_fft, hop, window=window, pad_mode="reflect", return_complex=True
        )
        spectrum = magnitude * torch.sgn(now + _MOMENTUM * (now - last))
        last = now
    found: Tensor = torch.istft(spectrum, mel.n_fft, hop, window=window, length=length)
    before = 0 if mel.center else mel.window // 2
    return functional.pad(found[:n_samples], (before, before))


def _behind_bands(level: Tensor, mel: MelOptions) -> Tensor:
    """Magnitudes, (bin, frame), that sum up to the bands."""
    filters = LogMel(mel).filters  # (mel, bin)
    bands = (10 ** (level * (mel.power / 20)) - mel.log_offset).clamp(min=0)
    found = filters.T @ (bands / filters.square().sum(1, keepdim=True))
    total = filters.sum(0)[:, None].clamp(min=1e-12)
    for _ in range(_UPDATES):
        ratio = bands / (filters @ found).clamp(min=1e-30)
        found = found * (filters.T @ ratio) / total
    return found.clamp(min=0) ** (1 / mel.power)
