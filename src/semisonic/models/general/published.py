"""What there is to convert: networks, front ends, licences, and what they were trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path

from torch import Tensor

from semisonic.features import MelOptions
from semisonic.models.general import efficientat, panns, yamnet
from semisonic.models.general.layouts import (
    Layout,
    cnn14_layout,
    efficientat_layout,
    panns_mobilenet_layout,
    read_torch,
    read_yamnet,
    yamnet_layout,
)

AUDIOSET = "AudioSet: about 2 million clips of 10 s from YouTube, labelled by people"
NATURAL = 20 / log(10)
"""dB of magnitudes, or twice the dB of energies, in one natural logarithm."""


@dataclass(frozen=True)
class Published:
    """A published network.

    Attributes
    ----------
    name : str
        As a model of ours.
    title : str
    mel : MelOptions
        Its front end; the duration is the user's choice.
    read : callable
        A weight file's path to tensors by name.
    layout : callable
        Tensors by name to those of our encoder, neck and standardisation.
    statistics : (mean, deviation) in dB or None
        Turns dB into what the network hears; None where the file holds them, a pair a band.
    n_parameters : int
        With its class layer, as published.
    licence, source, trained_on : str
    class_layers : mapping of str to shape
        Tensors that are set aside, as they name the published classes.
    """

    name: str
    title: str
    mel: MelOptions
    read: Callable[[Path], Mapping[str, Tensor]]
    layout: Layout
    statistics: tuple[float, float] | None
    n_parameters: int
    licence: str
    source: str
    trained_on: str
    class_layers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


_PANNS = (
    "code MIT; the weights' own terms stand where they are published",
    "Kong et al. 2020, PANNs; the weight files of zenodo.org/records/3987831",
    f"{AUDIOSET}, 527 classes",
)
_EFFICIENTAT = (
    "MIT",
    "Schmid et al. 2023, EfficientAT; the releases of github.com/fschmid56/EfficientAT",
    f"{AUDIOSET}, 527 classes, and the answers of transformers trained on them; first on ImageNet",
)

PUBLISHED: dict[str, Published] = {}


def _add(one: Published) -> None:
    PUBLISHED[one.name] = one


_add(
    Published(
        "yamnet", "YAMNet", yamnet.MEL, read_yamnet, yamnet_layout, (0.0, NATURAL), 3_729_481,
        "Apache 2.0 (YAMNet itself; a repackaged file may not say)",
        "Plakal and Ellis 2019, YAMNet, in TensorFlow's models",
        f"{AUDIOSET}, 521 classes",
        {"classifier.weight": (521, 1024), "classifier.bias": (521,)},
    )
)  # fmt: skip
_add(
    Published(
        "cnn14", "CNN14 of PANNs", panns.MEL, read_torch, cnn14_layout, None, 80_753_615, *_PANNS,
        class_layers={"fc_audioset.weight": (527, 2048), "fc_audioset.bias": (527,)},
    )
)  # fmt: skip
_add(
    Published(
        "panns-mobilenet", "MobileNetV1 of PANNs", panns.MEL, read_torch,
        panns_mobilenet_layout, None,
        4_796_303, *_PANNS,
        class_layers={"fc_audioset.weight": (527, 1024), "fc_audioset.bias": (527,)},
    )
)  # fmt: skip
for _name, _n_parameters, _inner, _hidden in (
    ("mn04", 983_599, 384, 512),
    ("mn10", 4_876_831, 960, 1280),
):
    _add(
        Published(
            _name, f"{_name}_as of EfficientAT", efficientat.MEL, read_torch, efficientat_layout,
            (-4.5 * NATURAL / 2, 5 * NATURAL / 2), _n_parameters, *_EFFICIENTAT,
            class_layers={
                "classifier.2.weight": (_hidden, _inner), "classifier.2.bias": (_hidden,),
                "classifier.5.weight": (527, _hidden), "classifier.5.bias": (527,),
            },
        )
    )  # fmt: skip
