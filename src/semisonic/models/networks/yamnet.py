"""YAMNet: the body of MobileNetV1 on patches of 0.96 s.

Plakal and Ellis (2019), "YAMNet", in TensorFlow's models; Howard et al. (2017), "MobileNets".
Every patch of 96 frames, 48 apart, gives a vector, the mean over its map; a clip's vector is the
mean over its patches.

Where we differ: normalisations are folded into the convolutions, as they are in published
ports; padding at a clip's end is silence in the features, not in the samples, so the last two
frames before it differ a little.
"""

from __future__ import annotations

from math import log

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.features.options import MelOptions
from semisonic.models.encoder import Encoder, PatchStep
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape

OFFSET = 0.001
MEL = MelOptions(
    sample_rate=16000,
    n_fft=512,
    win_length=400,
    hop_length=160,
    n_mels=64,
    fmin_hz=125.0,
    fmax_hz=7500.0,
    power=1.0,
    center=False,
    mel_scale="kaldi",
    log_offset=OFFSET,
)
STEM = 32
LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""Channels and step of each pair of a convolution over a map alone and one over all maps."""
LENGTH, HOP = 96, 48
EMBEDDING = 1024


class SameConvRelu(nn.Conv2d):
    """Convolution with bias and ReLU, padded as TensorFlow's "same".

    At a step of 2 it pads an even size behind alone, and an odd one on both sides.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The map, sizes divided by the step and rounded up."""
        around = [
            max((-(-n // step) - 1) * step + kernel - n, 0)
            for n, step, kernel in zip(x.shape[2:], self.stride, self.kernel_size, strict=True)
        ]
        mel, frame = around
        x = F.pad(x, (frame // 2, frame - frame // 2, mel // 2, mel - mel // 2))
        return F.relu(super().forward(x))


class YamnetEncoder(Encoder):
    """Convolutions on patches; the maps of a clip's patches stand side by side."""

    def __init__(self, in_channels: int, n_mels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, EMBEDDING
        convs = [SameConvRelu(in_channels, STEM, 3, 2)]
        width, rows, frames = STEM, -(-n_mels // 2), LENGTH // 2
        for channels, step in LAYERS:
            convs += [
                SameConvRelu(width, width, 3, step, groups=width),
                SameConvRelu(width, channels, 1),
            ]
            width, rows, frames = channels, -(-rows // step), -(-frames // step)
        self.convs = nn.Sequential(*convs)
        self.step = PatchStep(LENGTH, HOP, rows, frames)
        self.plan = (self.step,)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The maps of all patches, shape (batch, 1024, 2, 3 a patch) for 64 bands."""
        n_patches = self.step.count(x.shape[3])
        missing = LENGTH + (n_patches - 1) * HOP - x.shape[3]
        x = F.pad(x, (0, missing), value=log(OFFSET))  # silence, so that the last frames count
        patches = x.unfold(3, LENGTH, HOP).permute(0, 3, 1, 2, 4).flatten(0, 1)
        code = self.convs(patches)  # (batch * patch, channel, mel, frame)
        side_by_side: Tensor = code.unflatten(0, (-1, n_patches)).movedim(1, 3).flatten(3)
        return side_by_side


def yamnet(shape: Shape) -> Backbone:
    """YAMNet without its class layer."""
    encoder = YamnetEncoder(shape[0], shape[1])
    return Backbone("yamnet", encoder, GlobalPoolNeck(EMBEDDING, over_time="mean"))


NETWORKS = {"yamnet": yamnet}
