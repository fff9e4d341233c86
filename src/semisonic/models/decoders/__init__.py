"""Decoders: four ways from the code back to features.

============  ==============================================================================
``unpool``    the maxima go back to their recorded places (the paper's)
``upsample``  every cell is repeated
``subpixel``  convolutions at the small size make the finer cells as channels
``unet``      up-sampling, with the encoder's own maps beside it, dropped at random
============  ==============================================================================
"""

from __future__ import annotations

from semisonic.base.errors import ModelError
from semisonic.base.options import nearest
from semisonic.models.decoders.base import Decoder
from semisonic.models.decoders.subpixel import SubPixelDecoder
from semisonic.models.decoders.unet import UNetDecoder
from semisonic.models.decoders.unpool import UnpoolDecoder
from semisonic.models.decoders.upsample import UpsampleDecoder

DECODERS: dict[str, type[Decoder]] = {
    "unpool": UnpoolDecoder,
    "upsample": UpsampleDecoder,
    "subpixel": SubPixelDecoder,
    "unet": UNetDecoder,
}


def decoder_class(name: str) -> type[Decoder]:
    """The class of a decoder by its name."""
    if name not in DECODERS:
        raise ModelError(f"unknown decoder '{name}': {nearest(name, DECODERS)}")
    return DECODERS[name]


__all__ = [
    "DECODERS",
    "Decoder",
    "SubPixelDecoder",
    "UNetDecoder",
    "UnpoolDecoder",
    "UpsampleDecoder",
    "decoder_class",
]
