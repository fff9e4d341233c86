"""Phase vocoder: a spectrum read at another speed, with phases that go on smoothly.

Paper: Flanagan and Golden 1966, "Phase vocoder"; the steps are those of
``librosa.phase_vocoder``.

Where we differ: each row has speeds of its own, and all rows and frames are computed at once:
phases are a running product, without a sine or an arc tangent.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

N_FFT = 2048
HOP = 512


def analysed(x: Tensor, ends: Tensor | None = None) -> Tensor:
    """Spectra (batch, bin, frame) of waves (batch, time).

    Frame k has its middle at sample k times :data:`HOP`; there is one more than fit into the
    wave. Beyond its ends is silence, or the wave goes round where ``ends`` (batch,) is False.
    """
    if ends is None:
        padded = functional.pad(x, (N_FFT // 2, N_FFT // 2 + HOP))
    else:
        place = torch.arange(-N_FFT // 2, x.shape[1] + N_FFT // 2 + HOP, device=x.device)
        beyond = (place < 0) | (place >= x.shape[1])
        padded = x[:, place.remainder(x.shape[1])].masked_fill(beyond & ends[:, None], 0.0)
    return torch.stft(padded, N_FFT, HOP, window=_window(x), center=False, return_complex=True)


def synthesised(spectrum: Tensor, n_samples: int) -> Tensor:
    """Waves (batch, n_samples) of spectra (batch, bin, frame)."""
    window = _window(spectrum.real)
    wave: Tensor = torch.istft(spectrum, N_FFT, HOP, window=window, center=True, length=n_samples)
    return wave


def phase_vocoder(spectrum: Tensor, place: Tensor) -> Tensor:
    """Spectra read at other times.

    Parameters
    ----------
    spectrum : Tensor of complex, shape (batch, bin, frame)
        Of :data:`N_FFT` and :data:`HOP`.
    place : Tensor of float, shape (batch, n)
        Where to look, in frames. Beyond the last frame is silence.

    Returns
    -------
    Tensor of complex, shape (batch, bin, n)
        Magnitudes linear between frames; phases go on from the first by what they turn from
        frame to frame at each place.
    """
    n_bins, n_frames = spectrum.shape[1:]
    below = place.floor()
    first = below.long().clamp(0, n_frames)[:, None].expand(-1, n_bins, -1)
    power = spectrum.real.square() + spectrum.imag.square()
    size = functional.pad(power.sqrt(), (0, 2))
    part = (place - below)[:, None].to(size.dtype)
    size = torch.lerp(size.gather(2, first), size.gather(2, first + 1), part)
    phase = functional.pad(_phases(spectrum, power), (0, 3), value=1.0)
    turn = phase[..., 1:] * phase[..., :-1].conj()
    start = phase.gather(2, first[..., :1])
    return size * torch.cat((start, turn.gather(2, first[..., :-1])), dim=2).cumprod(2)


def _phases(spectrum: Tensor, power: Tensor) -> Tensor:
    """Complex numbers of size one; nothing counts as phase zero."""
    heard = power > 0
    unit = spectrum * torch.where(heard, power, 1.0).rsqrt()
    return torch.where(heard, unit, torch.ones_like(unit))


def row_by_row(change: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """Apply a function of batches to one row after another on a CPU, else to all at once.

    One clip's spectra stay in the cache; those of a batch fall on fresh memory, which costs
    more than the transforms.
    """
    if rows[0].device.type != "cpu" or len(rows[0]) < 2:
        return change(*rows)
    single = [[row[i : i + 1] for row in rows] for i in range(len(rows[0]))]
    return torch.cat([change(*one) for one in single])


def _window(x: Tensor) -> Tensor:
    return torch.hann_window(N_FFT, device=x.device, dtype=x.dtype)
