"""From log-mel levels back to sound."""

from __future__ import annotations

import torch
from scipy.signal import lfilter
from torch import Tensor
from torch.nn import functional

from semisonic.core.errors import DataError
from semisonic.features.logmel import LogMel, hann, preemphasise
from semisonic.features.options import MelOptions

_UPDATES = 80
_MOMENTUM = 0.99


@torch.no_grad()
def mel_to_wave(
    level: Tensor, mel: MelOptions, *, n_iterations: int = 40, start: Tensor | None = None
) -> Tensor:
    """Samples whose log-mel spectrogram is close to a given one.

    Parameters
    ----------
    level : Tensor, shape (mel, frame)
        Levels in dB, as :class:`LogMel` gives them.
    mel : MelOptions
        The front end. Where it removes the level of a clip, that is not found again.
    n_iterations : int
        Steps in which phases are made to fit each other.
    start : Tensor, shape (time,), optional
        A sound whose phases are a good guess, such as the one that was changed; random ones
        by default (from torch's global generator).

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
    hop = min(mel.hop_length, max(1, mel.n_fft // 4))
    n_samples = (level.shape[1] - 1) * mel.hop_length
    if not mel.center:
        n_samples += mel.window
    n_frames = 1 + (level.shape[1] - 1) * mel.hop_length // hop
    fine = functional.interpolate(level[None], size=n_frames, mode="linear", align_corners=True)[0]
    magnitude = _behind_bands(fine, mel)
    before = 0 if mel.center else mel.window // 2
    if start is not None:
        start = functional.pad(start, (0, max(0, n_samples - len(start))))[before:]
    # A transform needs a window's length at least.
    magnitude = functional.pad(magnitude, (0, max(0, 1 + -(-mel.n_fft // hop) - n_frames)))
    if start is not None and mel.preemphasis:
        start = preemphasise(start, mel.preemphasis)
    wave = _with_phases(magnitude, mel.n_fft, hop, n_iterations, start)
    if mel.preemphasis:
        wave = torch.from_numpy(lfilter([1.0], [1.0, -mel.preemphasis], wave.numpy())).float()
    return functional.pad(wave, (before, max(0, n_samples - before - len(wave))))[:n_samples]


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


def _with_phases(
    magnitude: Tensor, n_fft: int, hop: int, n_iterations: int, start: Tensor | None
) -> Tensor:
    """Samples (time,) whose spectrum has these magnitudes, (bin, frame), as far as one can."""
    window = hann(n_fft).float().to(magnitude.device)
    n_samples = (magnitude.shape[1] - 1) * hop

    def wave_of(phase: Tensor) -> Tensor:
        spectrum = magnitude * phase
        wave: Tensor = torch.istft(spectrum, n_fft, hop, window=window, length=n_samples)
        return wave

    def spectrum_of(wave: Tensor) -> Tensor:
        whole = functional.pad(wave, (0, max(0, n_samples - len(wave))))[:n_samples]
        return torch.stft(whole, n_fft, hop, window=window, pad_mode="reflect", return_complex=True)

    if start is None:
        phase = torch.polar(torch.ones_like(magnitude), 6.2832 * torch.rand_like(magnitude))
    else:
        phase = _unit(spectrum_of(start))
    last = torch.zeros_like(phase)
    for _ in range(n_iterations):
        now = spectrum_of(wave_of(phase))
        phase = _unit(now + _MOMENTUM * (now - last))
        last = now
    return wave_of(phase)


def _unit(x: Tensor) -> Tensor:
    return x / x.abs().clamp(min=1e-20)
