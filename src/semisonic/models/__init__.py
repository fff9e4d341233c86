"""Networks: the paper's notation, encoders, decoders, classifiers and their files.

Names are imported when first used, so that :func:`parse` and its errors (for the command
line) do not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names
from semisonic.models.architecture import Architecture
from semisonic.models.notation import PAPER, parse

if TYPE_CHECKING:
    from semisonic.models.autoencoder import AutoEncoder, build_autoencoder
    from semisonic.models.catalogue import create, names, register, register_scaled
    from semisonic.models.conv_encoder import ConvEncoder
    from semisonic.models.decoders import DECODERS, Decoder
    from semisonic.models.encoder import Encoder
    from semisonic.models.general.convert import convert_published
    from semisonic.models.general.published import PUBLISHED, Published
    from semisonic.models.inspection import DeadUnits, count_macs, count_parameters, dead_units
    from semisonic.models.necks import FlattenNeck, GlobalPoolNeck, Neck
    from semisonic.models.own import name_of
    from semisonic.models.pretrained import PretrainedEncoder, build_encoder
    from semisonic.models.registry import Body
    from semisonic.models.saving import load, load_encoder, read_about, save, save_encoder
    from semisonic.models.sound_model import SoundModel, build
    from semisonic.models.transferring import Transfer, in_order, transfer
    from semisonic.models.unpooling import max_unpool

__all__ = [
    "DECODERS",
    "PAPER",
    "PUBLISHED",
    "Architecture",
    "AutoEncoder",
    "Body",
    "ConvEncoder",
    "DeadUnits",
    "Decoder",
    "Encoder",
    "FlattenNeck",
    "GlobalPoolNeck",
    "Neck",
    "PretrainedEncoder",
    "Published",
    "SoundModel",
    "Transfer",
    "build",
    "build_autoencoder",
    "build_encoder",
    "convert_published",
    "count_macs",
    "count_parameters",
    "create",
    "dead_units",
    "in_order",
    "load",
    "load_encoder",
    "max_unpool",
    "name_of",
    "names",
    "parse",
    "read_about",
    "register",
    "register_scaled",
    "save",
    "save_encoder",
    "transfer",
]

_WHERE = {
    "autoencoder": ("AutoEncoder", "build_autoencoder"),
    "catalogue": ("create", "names", "register", "register_scaled"),
    "conv_encoder": ("ConvEncoder",),
    "decoders": ("DECODERS", "Decoder"),
    "encoder": ("Encoder",),
    "general.convert": ("convert_published",),
    "general.published": ("PUBLISHED", "Published"),
    "inspection": ("DeadUnits", "count_macs", "count_parameters", "dead_units"),
    "necks": ("FlattenNeck", "GlobalPoolNeck", "Neck"),
    "own": ("name_of",),
    "pretrained": ("PretrainedEncoder", "build_encoder"),
    "registry": ("Body",),
    "saving": ("load", "load_encoder", "read_about", "save", "save_encoder"),
    "sound_model": ("SoundModel", "build"),
    "transferring": ("Transfer", "in_order", "transfer"),
    "unpooling": ("max_unpool",),
}

__getattr__ = lazy_names(__name__, _WHERE)
