"""What a file can take: audio or features, clips of one length or of any."""

from __future__ import annotations

import torch
from torch import nn

from semisonic.base.errors import OptionError, SemisonicError
from semisonic.features import MelOptions
from semisonic.features.options import WAVE
from semisonic.inference.export_options import AUDIO, AUTO, FEATURES
from semisonic.inference.exporting.convolution import LONGEST_WINDOW
from semisonic.inference.scoring import evaluating
from semisonic.models import SoundModel
from semisonic.models.simple.statistics_encoder import MelStatistics


def choose_input(mel: MelOptions, wanted: str) -> tuple[str, str]:
    """What the file takes, and why it is not audio where that was not asked for.

    Raises
    ------
    OptionError
        When audio is asked for and the front end cannot be part of the file.
    """
    if wanted == FEATURES or mel.input == WAVE or mel.window <= LONGEST_WINDOW:
        return (FEATURES if wanted == FEATURES else AUDIO), ""
    reason = (
        f"the front end has a window of {mel.window} samples, and only windows of up to "
        f"{LONGEST_WINDOW} can be part of a file"
    )
    if wanted == AUTO:
        return FEATURES, f"the file takes features, not audio: {reason}"
    raise OptionError(f"option 'input': found 'audio', but {reason}; take 'features'")


def one_length(model: SoundModel) -> str:
    """Why a model takes clips of one length only; empty if it takes longer ones as well."""
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return "recurrent layers are written out for one length"
    if isinstance(model.encoder, MelStatistics):
        return "percentiles over a clip are written out for one length"
    channels, rows, frames = model.mel.shape
    try:
        with evaluating(model):
            device = next(model.parameters()).device
            model.from_features(torch.zeros(1, channels, rows, 2 * frames + 1, device=device))
    except SemisonicError:
        return "the network takes clips of one length"
    return ""


def other_lengths(mel: MelOptions, kind: str) -> tuple[tuple[int, ...], ...]:
    """Shapes of inputs longer than a clip, on which a file for any length is tried."""
    if kind == AUDIO:
        n = mel.n_samples
        return (1, round(1.37 * n) | 1), (3, 2 * n + 1)
    channels, rows, frames = mel.shape
    return (1, channels, rows, round(1.37 * frames) | 1), (3, channels, rows, 2 * frames + 1)
