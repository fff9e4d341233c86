"""``crnn-lstm``, ``crnn-gru``: convolutions, then recurrent layers from frame to frame."""

from __future__ import annotations

from torch import Tensor, nn

from semisonic.models.encoder import DownStep, Encoder, Trace
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.cnn import vgg_encoder
from semisonic.models.networks.layers import EncoderLayer, LayeredEncoder, ValidConv, prelu_neck
from semisonic.models.notation import Dense


class RecurrentEncoder(Encoder):
    """The maps of a convolutional encoder, read frame by frame.

    Parameters
    ----------
    front : PartsEncoder
        Its steps are the plan.
    recurrent : nn.RNNBase
        Batch first, in one direction.
    """

    no_decoder = "its recurrent layers have no mirror image"
    no_frames = "its recurrent layers remember what came before"

    def __init__(self, front: LayeredEncoder, recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.front, self.recurrent = front, recurrent
        self.in_channels, self.out_channels = front.in_channels, recurrent.hidden_size
        self.plan = front.plan

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The code, shape (batch, hidden, 1, fewer frames)."""
        maps = self.front.walk(x, record)
        frames = maps.permute(0, 3, 1, 2).flatten(2)  # (batch, frame, channel * mel)
        heard, _ = self.recurrent(frames)
        code: Tensor = heard.transpose(1, 2).unsqueeze(2)
        return code

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (hidden, 1, frame) of the code of an input of that size."""
        return self.out_channels, 1, self.front.code_shape(n_mels, n_frames)[2]


class WholeWindowsEncoder(RecurrentEncoder):
    """One whose convolutions see no zeros around the map, so a clip filled up is as alone."""

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """The frames that nothing of what fills up has touched, at least one."""
        for step in self.plan:
            if isinstance(step, DownStep):
                n_frames = (n_frames - step.size[1]).div(step.stride[1], rounding_mode="floor") + 1
        return n_frames.clamp(min=1)


def crnn_lstm(shape: Shape) -> Backbone:
    """Three convolutions, the last with a step of two, LSTM 2 x 512, 256 units."""
    layers = [(16, (5, 5), (1, 1)), (32, (3, 3), (1, 1)), (64, (3, 3), (2, 2))]
    parts, channels = [], shape[0]
    for maps, kernel, stride in layers:
        conv = ValidConv(channels, maps, kernel, stride)
        parts.append(EncoderLayer(conv, nn.BatchNorm2d(maps), nn.ReLU()))
        channels = maps
    front = LayeredEncoder(shape[0], channels, parts)
    rows = front.code_shape(*shape[1:])[1]
    lstm = nn.LSTM(channels * rows, 512, num_layers=2, batch_first=True)
    neck = GlobalPoolNeck(512, (Dense(256, True),), over_time="last")
    return Backbone("crnn-lstm", WholeWindowsEncoder(front, lstm), neck)


def crnn_gru(shape: Shape) -> Backbone:
    """Four pairs of convolutions, GRU 2 x 256, 128 units."""
    front = vgg_encoder(shape[0], (64, 128, 128, 64))
    channels, rows, _ = front.code_shape(*shape[1:])
    gru = nn.GRU(channels * rows, 256, num_layers=2, batch_first=True)
    return Backbone("crnn-gru", RecurrentEncoder(front, gru), prelu_neck(256, "last"))


NETWORKS = {"crnn-lstm": crnn_lstm, "crnn-gru": crnn_gru}
