"""Which frames of a window hold a recording: padding and digital zeros do not.

Zeros come from padding of short recordings, from recorders that lost samples, and from editors.
They are neither background nor sound.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from semisonic.features.options import LOG_MEL, MelOptions

_ABOVE_DB = 0.5
"""Level above that of zeros, in dB, from which a band has samples."""


def recorded_frames(x: Tensor, mel: MelOptions) -> Tensor:
    """Frames with samples that are not zero, shape (batch, frame); all of them for other inputs.

    Parameters
    ----------
    x : Tensor, shape (batch, channel, mel, frame)
        In dB.
    mel : MelOptions
    """
    level = x[:, 0].amax(dim=1)
    if mel.input != LOG_MEL or mel.reference != "one" or mel.top_db is not None:
        return level == level
    return level > mel.quietest_db + _ABOVE_DB


def recorded_inside(recorded: Tensor, mel: MelOptions) -> Tensor:
    """Recorded frames whose analysis window has no zeros of those beside them, if there are any.

    Parameters
    ----------
    recorded : Tensor of bool, shape (batch, frame)
        Of :func:`recorded_frames`.
    mel : MelOptions
    """
    n = -(-mel.window // mel.hop_length)
    empty = (~recorded).float()[:, None]
    inside = recorded & (F.max_pool1d(empty, 2 * n + 1, 1, n)[:, 0] == 0)
    return inside | (recorded & ~inside.any(dim=1, keepdim=True))
