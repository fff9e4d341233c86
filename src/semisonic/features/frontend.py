"""The front end of a model: waves to standardised features."""

from __future__ import annotations

from torch import Tensor, nn

from semisonic.features.logmel import LogMel
from semisonic.features.options import WAVE, MelOptions
from semisonic.features.standardize import Standardize
from semisonic.features.wave import Waveform


class Frontend(nn.Module):
    """Log-mel (or the waveform) and standardisation, saved as part of the model.

    Parameters
    ----------
    options : MelOptions
    standardize : {"global", "mel", "none"}
        See :class:`Standardize`; fit it on the training clips only.

    Attributes
    ----------
    mel : LogMel or Waveform
    standardize : Standardize
    """

    def __init__(self, options: MelOptions, standardize: str = "global") -> None:
        super().__init__()
        self.options = options
        self.mel = Waveform(options) if options.input == WAVE else LogMel(options)
        self.standardize = Standardize(standardize, options.n_channels, options.n_mels)

    def forward(self, wave: Tensor) -> Tensor:
        """Waves (batch, time) to standardised features (batch, channel, mel, frame)."""
        features: Tensor = self.standardize(self.mel(wave))
        return features
