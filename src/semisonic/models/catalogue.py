"""The networks of this package, and how to make any network from its name or notation."""

from __future__ import annotations

from functools import partial

import semisonic.models.catalogue  # noqa: F401
from semisonic.core.errors import ModelError
from semisonic.core.options import nearest
from semisonic.models.encoder import ConvEncoder
from semisonic.models.necks import FlattenNeck, GlobalPoolNeck, Neck
from semisonic.models.networks import (
    efficientat,  # noqa: F401
    panns,  # noqa: F401
    yamnet,  # noqa: F401
)
from semisonic.models.notation import PAPER, SIMPLE, looks_like_notation, parse
from semisonic.models.registry import (
    Backbone,
    Shape,
    as_backbone,
    find,
    register,
    registered,
)
from semisonic.models.simple import simple_body
from semisonic.models.staged import DESIGNS, NetworkDesign, StagedEncoder

# Published networks, each under its registered name; importing this package registers them.
#
# =========================  ==================================================================
# ``piczak-short`` ...       two convolutions over nearly all of mel and large dense layers
# ``cnn2``, ``cnn3``         plain convolutions on a picture of 64 x 128
# ``m5``, ``m11``, ``m18``   convolutions over time alone, from samples
# ``aclnet-sc``, ``-dwsc``   from samples, by a learned picture of 64 rows; of any width
# ``vgg``, ``resnet``        convolutions on log-mel of any length
# ``crnn-lstm``, ``-gru``    convolutions, then recurrent layers over frames
# ``transformer``            attention between patches of log-mel
# =========================  ==================================================================


# The networks of this package, and how to make any network from its name or notation.
#
# This file imports those that register networks; none of them imports this one.


def names(waves: bool | None = None) -> list[str]:
    """The registered names, in order.

    Parameters
    ----------
    waves : bool or None
        Only networks that read samples (True) or log-mel features (False); all if None.
    """
    return registered(waves)


def create(name_or_notation: str, shape: Shape, n_classes: int = 0) -> Backbone:
    """A network for features of a shape.

    Parameters
    ----------
    name_or_notation : str
        A registered name, one with a width such as ``aclnet-dwsc-0.5``, an architecture as in
        :mod:`semisonic.models.notation`, or a simple classifier (:data:`SIMPLE`).
    shape : (channel, mel, frame)
        Of the features; (1, 1, time) are waves, a frame a sample.
    n_classes : int
        Lets a published class layer at the end of an architecture be recognised.

    Raises
    ------
    ModelError
        For an unknown name (with the nearest one), a wrong architecture (with the place),
        features too small for it, or waves where mel bands are read and the other way round.
    """
    name = name_or_notation.strip()
    if name in SIMPLE:
        return simple_body(name, shape)
    factory = find(name)
    if factory is not None:
        return as_backbone(name, factory(shape), shape)
    if looks_like_notation(name):
        return from_notation(name, shape, n_classes)
    raise ModelError(
        f"unknown model '{name}': {nearest(name, [*names(), *SIMPLE])}; an architecture such as "
        f"'{PAPER}' works too"
    )


def from_notation(text: str, shape: Shape, n_classes: int = 0) -> Backbone:
    """The network that an architecture describes."""
    architecture = parse(text)
    if n_classes:
        architecture = architecture.without_class_layer(n_classes)
    encoder = ConvEncoder(architecture, shape[0])
    code_shape = encoder.code_shape(*shape[1:])
    neck: Neck
    if architecture.has_global_pool:
        neck = GlobalPoolNeck(code_shape[0], architecture.dense)
    else:
        neck = FlattenNeck(code_shape, architecture.dense)
    return Backbone(str(architecture), encoder, neck)


def from_design(name: str, design: NetworkDesign, shape: Shape) -> Backbone:
    """The network that a design describes, for clips of any length."""
    encoder = StagedEncoder(design, shape[0], shape[1])
    channels, rows, _ = encoder.code_shape(*shape[1:])
    rows = rows if design.keep_rows else 0
    return Backbone(name, encoder, GlobalPoolNeck(channels, over_time=design.over_time, rows=rows))


@register("paper")
def paper(shape: Shape) -> Backbone:
    """The network of the paper: three convolutions of 64 filters and a dense layer of 128."""
    return from_notation(PAPER, shape)


for _name, _design in DESIGNS.items():
    register(_name)(partial(from_design, _name, _design))
