"""Pitch shift: the sound goes up or down at the same speed.

A sound at f Hz goes to r·f. For a spectrogram that is another mel axis: each band takes what
stood at its centre divided by r, by the mel formula itself, so that harmonics stay harmonics
(a shift by whole bands would be right above 1 kHz only). The energy is spread over r times the
width, so the level in each band falls by 10·log10(r) dB; for a pure tone below 1 kHz, where all
bands have one width, that is 1 dB too much at 4 semitones. Where a band is a sum and no mean (HTK,
Kaldi), it grows with its width again, which is as 700 Hz and its frequency.

Beyond the ends of the mel axis nothing is known, and the last known band goes on: silence
there would tell augmented clips apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Augmentation, Drawn, at_least, uniform
from semisonic.features.augment.warp import interpolate_bands
from semisonic.features.filterbank import band_edges_hz, hz_to_htk, hz_to_mel
from semisonic.features.options import MelOptions

MOST_SEMITONES = 24.0

_BREAK_HZ, _PER_DECADE = 700.0, 2595.0  # of HTK's formula
_CORNER_HZ = 1000.0
_MEL_PER_HZ = float(hz_to_mel(1.0))
_CORNER_MEL = float(hz_to_mel(_CORNER_HZ))
_MEL_PER_E = float(hz_to_mel(math.e * _CORNER_HZ)) - _CORNER_MEL


class PitchShift(Augmentation):
    """Shift the pitch of each clip by a random interval.

    Parameters
    ----------
    mel : MelOptions
    max_semitones : float
        Largest shift, up or down, 0 to 24 semitones; any interval between is drawn.
    probability : float
        Share of rows that are changed.
    """

    centres: Tensor

    def __init__(self, mel: MelOptions, max_semitones: float, probability: float = 1.0) -> None:
        super().__init__(mel, probability)
        name = self.named("max_semitones")
        self.max_semitones = at_least(max_semitones, 0.0, name, "semitones")
        if max_semitones > MOST_SEMITONES:
            raise OptionError(
                f"{name}: found {max_semitones:g} semitones, expected at most {MOST_SEMITONES:g}"
            )
        edges = band_edges_hz(mel)
        scale = hz_to_mel if mel.has_unit_areas else hz_to_htk
        self._low = float(scale(edges[0]))
        self._step = (float(scale(edges[-1])) - self._low) / (mel.n_mels + 1)  # mel a band
        centres = torch.from_numpy(edges[1:-1]).float()
        self.register_buffer("centres", centres, persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``semitones``, above 0 for up."""
        return {"semitones": uniform(x, -self.max_semitones, self.max_semitones)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        octaves = drawn["semitones"] / 12
        heard = self.centres / octaves.exp2()[:, None]  # Hz, (batch, mel)
        spread_db = -10 * math.log10(2) * octaves[:, None]
        if self.mel.has_unit_areas:
            mel = _slaney(heard)
        else:
            mel = _PER_DECADE * (1 + heard / _BREAK_HZ).log10()
            spread_db = spread_db + 10 * ((_BREAK_HZ + self.centres) / (_BREAK_HZ + heard)).log10()
        shifted = interpolate_bands(x, (mel - self._low) / self._step - 1)
        return self.levels.amplify(shifted, spread_db[:, None, :, None])


def _slaney(hz: Tensor) -> Tensor:
    """Slaney's mel scale on tensors, as :func:`hz_to_mel`."""
    above = _CORNER_MEL + _MEL_PER_E * (hz.clamp(min=_CORNER_HZ) / _CORNER_HZ).log()
    return torch.where(hz < _CORNER_HZ, hz * _MEL_PER_HZ, above)
