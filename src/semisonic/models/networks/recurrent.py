"""``crnn-lstm``, ``crnn-gru``: convolutions, then recurrent layers from frame to frame."""

from __future__ import annotations

from torch import Tensor, nn

from semisonic.models.encoder import DownStep, Encoder
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.cnn import vgg_encoder
from semisonic.models.networks.layers import Block, LayeredEncoder, prelu_neck
from semisonic.models.notation import Dense


class RecurrentEncoder(Encoder):
    """The maps of a convolutional encoder, read frame by frame.

    Parameters
    ----------
    front : LayeredEncoder
        Its steps are the plan.
    recurrent : nn.RNNBase
        Batch first, in one direction.
    whole_windows : bool
        Whether the convolutions see no zeros around the map; then only windows within a clip
        count, so that one that is filled up is as alone.
    """

    no_frames = "its recurrent layers remember what came before"

    def __init__(
        self, front: LayeredEncoder, recurrent: nn.RNNBase, *, whole_windows: bool = False
    ) -> None:
        super().__init__()
        self.front, self.recurrent, self.whole_windows = front, recurrent, whole_windows
        self.in_channels, self.out_channels = front.in_channels, recurrent.hidden_size
        self.plan = front.plan

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code, shape (batch, hidden, 1, fewer frames)."""
        frames = self.front(x).permute(0, 3, 1, 2).flatten(2)  # (batch, frame, channel * mel)
        heard, _ = self.recurrent(frames)
        code: Tensor = heard.transpose(1, 2).unsqueeze(2)
        return code

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (hidden, 1, frame) of the code of an input of that size."""
        return self.out_channels, 1, self.front.code_shape(n_mels, n_frames)[2]

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """The frames that count, at least one."""
        if not self.whole_windows:
            return super().frames_after(n_frames)
        for step in self.plan:
            if isinstance(step, DownStep):
                n_frames = (n_frames - step.size[1]).div(step.stride[1], rounding_mode="floor") + 1
        return n_frames.clamp(min=1)


def crnn_lstm(shape: Shape) -> Backbone:
    """Three convolutions, the last with a step of two, LSTM 2 x 512, 256 units."""
    blocks, channels = [], shape[0]
    for maps, kernel, stride in ((16, 5, 1), (32, 3, 1), (64, 3, 2)):
        conv = nn.Conv2d(channels, maps, kernel, stride)
        blocks.append(Block(conv, nn.BatchNorm2d(maps), nn.ReLU()))
        channels = maps
    front = LayeredEncoder(shape[0], channels, blocks)
    rows = front.code_shape(*shape[1:])[1]
    lstm = nn.LSTM(channels * rows, 512, num_layers=2, batch_first=True)
    neck = GlobalPoolNeck(512, (Dense(256, True),), over_time="last")
    return Backbone("crnn-lstm", RecurrentEncoder(front, lstm, whole_windows=True), neck)


def crnn_gru(shape: Shape) -> Backbone:
    """Four pairs of convolutions, GRU 2 x 256, 128 units."""
    front = vgg_encoder(shape[0], (64, 128, 128, 64))
    channels, rows, _ = front.code_shape(*shape[1:])
    gru = nn.GRU(channels * rows, 256, num_layers=2, batch_first=True)
    return Backbone("crnn-gru", RecurrentEncoder(front, gru), prelu_neck(256, "last"))


NETWORKS = {"crnn-lstm": crnn_lstm, "crnn-gru": crnn_gru}
