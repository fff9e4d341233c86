"""``m5``, ``m11``, ``m18``: deep convolutions over time, from samples of a clip of any length.

Dai et al. (2017), "Very deep convolutional neural networks for raw waveforms", ICASSP. The first
filters are 80 samples long, all others 3; four pools of 4 between the blocks leave a frame for
1 024 samples. Where we differ from the paper: convolutions have biases, as in the networks whose
results on ESC-50 are known (seed 002, 2024), and their dropout: of half the values after the
third block of ``m5``, and of 0.4 of the embedding of ``m11`` (they do not say where). As there,
``m5`` pools once more after its last block. Their L2 penalty of 1e-4 belongs to the optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.networks.dense import with_layers
from semisonic.models.networks.parts import MaxPool, Part, PartsEncoder
from semisonic.models.networks.waves import NO_DECODER, WaveConv
from semisonic.models.registry import Body, Shape, register

LEAST_SAMPLES = 1024
"""One frame of the code."""


@dataclass(frozen=True)
class WaveDesign:
    """Maps and depth of each block after the first layer, and what is dropped where."""

    first: int
    blocks: tuple[tuple[int, int], ...]
    dropout: dict[int, float]
    """By the number of the block, 0 for the first layer."""
    embedding_dropout: float = 0.0
    last_pool: bool = False


WAVE_DESIGNS = {
    "m5": WaveDesign(128, ((128, 1), (256, 1), (512, 1)), {2: 0.5}, last_pool=True),
    "m11": WaveDesign(64, ((64, 2), (128, 2), (256, 3), (512, 2)), {}, 0.4),
    "m18": WaveDesign(64, ((64, 4), (128, 4), (256, 4), (512, 4)), {}),
}


def wave_cnn(name: str, design: WaveDesign, shape: Shape) -> Body:
    """The network of a design."""
    encoder = wave_encoder(design)
    encoder.code_shape(*shape[1:])
    neck = GlobalPoolNeck(encoder.out_channels, over_time="mean")
    if design.embedding_dropout:
        neck = with_layers(neck, neck.out_features, nn.Dropout(design.embedding_dropout))
    return Body(name, encoder, neck)


def wave_encoder(design: WaveDesign) -> PartsEncoder:
    """The convolutions of a design."""
    parts, channels = [], 1
    for number, (maps, depth) in enumerate(((design.first, 1), *design.blocks)):
        layers: list[nn.Module] = []
        for _ in range(depth):
            conv = WaveConv(channels, maps, 3) if number else WaveConv(1, maps, 80, 4)
            layers += [conv, nn.BatchNorm2d(maps), nn.ReLU()]
            channels = maps
        if number in design.dropout:
            layers.append(nn.Dropout(design.dropout[number]))
        if number < len(design.blocks) or design.last_pool:
            layers.append(MaxPool(maps, (1, 4), (1, 4), ceil=True))
        parts.append(Part(*layers))
    return PartsEncoder(1, channels, parts, least_frames=LEAST_SAMPLES, no_decoder=NO_DECODER)


for _name, _design in WAVE_DESIGNS.items():
    register(_name, waves=True)(partial(wave_cnn, _name, _design))
