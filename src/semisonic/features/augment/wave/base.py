"""What all augmentations of samples share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import DataError, OptionError
from semisonic.features.augment.base import Drawn, full_precision, share

_BLOCK = 1024  # samples
_SILENCE = 2e-5  # of full scale, less than one step of 16-bit samples


class WaveAugmentation(nn.Module):
    """A random change of samples, drawn anew for each row; nothing in ``eval()``.

    Parameters
    ----------
    sample_rate : int
        Hz.
    probability : float
        Share of rows that are changed, 0 to 1.

    Notes
    -----
    ``forward`` maps (batch, time) to the same shape and never changes its input. Samples
    beyond full scale are kept. Random numbers come from torch's global generator of the
    tensor's device.

    A subclass has two methods: :meth:`draw` gives the random numbers, :meth:`change` does
    what they say.
    """

    def __init__(self, sample_rate: int, probability: float = 1.0) -> None:
        super().__init__()
        if sample_rate < 1:
            raise OptionError(
                f"{type(self).__name__}, option 'sample_rate': found {sample_rate} Hz, expected "
                "at least 1 Hz"
            )
        self.sample_rate = sample_rate
        self.probability = share(probability, self.named("probability"))

    def forward(self, wave: Tensor) -> Tensor:
        """Changed samples in training, the same ones otherwise."""
        check_wave(wave, type(self).__name__)
        if not self.training:
            return wave
        x = wave.float()
        with full_precision(x):
            changed = self.change(x, self.draw(x))
        if self.probability < 1.0:
            chosen = torch.rand(len(x), 1, device=x.device) < self.probability
            changed = torch.where(chosen, changed, x)
        return changed.to(wave.dtype)

    def draw(self, x: Tensor) -> Drawn:
        """Random numbers for the rows of a batch."""
        raise NotImplementedError

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Samples (batch, time) changed as the numbers say."""
        raise NotImplementedError

    def samples(self, seconds: float) -> int:
        """The nearest number of samples in a time."""
        return round(seconds * self.sample_rate)

    def named(self, option: str) -> str:
        """What an option of this class is called in an error."""
        return f"{type(self).__name__}, option '{option}'"


def check_wave(wave: Tensor, name: str) -> None:
    """A DataError unless the shape is (batch, time) and the type a float."""
    if wave.ndim != 2 or not wave.is_floating_point() or not wave.shape[1]:
        raise DataError(
            f"{name}: found a wave of shape {tuple(wave.shape)} and type {wave.dtype}, expected "
            "(batch, time) of floating-point samples, not empty"
        )


def padded_waves(x: Tensor) -> Tensor:
    """Which waves hold a stretch of digital silence, shape (batch,)."""
    n = x.shape[1] // _BLOCK * _BLOCK
    if not n:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    blocks = x[:, :n].reshape(len(x), -1, _BLOCK)
    return torch.any(blocks.abs().amax(2) < _SILENCE, dim=1)
