"""Time crop: training on a shorter part of each clip.

Short sounds are padded with silence, and a crop of the padding teaches a class that is not
there. So a crop is only taken where it holds at least half as much sound as the fullest crop
of the clip does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import DataError, OptionError
from semisonic.features.augment.base import Augmentation, Drawn, at_least, share, uniform
from semisonic.features.augment.sounding import QUIET_DB, sounding_frames
from semisonic.features.augment.warp import take_frames
from semisonic.features.options import MelOptions


class TimeCrop(Augmentation):
    """Take a random part of each clip; in ``eval()`` the whole clip.

    Parameters
    ----------
    mel : MelOptions
    duration : float
        Length of the part, in seconds; at most that of a clip.
    min_share : float
        A part is taken where it holds at least this share, 0 to 1, of the sounding frames of
        the fullest part. 0 allows silence.
    quiet_db : float
        Frames this far below the loudest cell of the clip count as silence, in dB. Less than
        the default keeps crops away from the noise between sounds as well.

    Notes
    -----
    ``forward`` maps (batch, channel, mel, frame) to fewer frames, the number that a wave of
    ``duration`` gives.
    """

    def __init__(
        self,
        mel: MelOptions,
        duration: float,
        min_share: float = 0.5,
        quiet_db: float = QUIET_DB,
    ) -> None:
        super().__init__(mel)
        n_samples = round(duration * mel.sample_rate)
        if not mel.min_samples <= n_samples <= mel.n_samples:
            raise OptionError(
                f"{self.named('duration')}: found {duration:g} s, expected "
                f"{mel.min_samples / mel.sample_rate:.3g} to {mel.duration:g} s, a clip's length"
            )
        self.duration = duration
        self.n_frames = mel.count_frames(n_samples)
        self.min_share = share(min_share, self.named("min_share"))
        self.quiet_db = at_least(quiet_db, 0.0, self.named("quiet_db"), "dB")

    def draw(self, x: Tensor) -> Drawn:
        """``start``: the first frame of each part, among those that hold enough sound."""
        n_starts = x.shape[3] - self.n_frames + 1
        if n_starts < 1:
            raise DataError(
                f"TimeCrop: found clips of {x.shape[3]} frames, expected at least "
                f"{self.n_frames}, {self.duration:g} s"
            )
        before = torch.nn.functional.pad(sounding_frames(x, self.quiet_db).cumsum(1), (1, 0))
        held = before[:, self.n_frames :] - before[:, :n_starts]  # (batch, start)
        enough = held >= self.min_share * held.amax(1, keepdim=True)
        chance = uniform(x, 0.0, 1.0, n_starts).masked_fill(~enough, -1.0)
        return {"start": chance.argmax(1)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The parts, (batch, 1, mel, n_frames)."""
        frame = torch.arange(self.n_frames, device=x.device)
        return take_frames(x, drawn["start"][:, None] + frame)
