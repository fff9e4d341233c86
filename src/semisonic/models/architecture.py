"""What a network of the notation consists of: plain, immutable data, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.errors import ModelError

Size = tuple[int, int]
"""Size along (mel, frame)."""


def size_text(size: Size) -> str:
    """``5`` for a square, ``5x3`` for five mel bands and three frames."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class Conv:
    """A convolution that keeps the size, with ReLU: ``(64)5c``, ``(64)5x3cbn``."""

    filters: int
    kernel: Size
    norm: bool = False
    """Batch normalisation before the ReLU: the marker ``bn``."""

    def __str__(self) -> str:
        return f"({self.filters}){size_text(self.kernel)}c" + ("bn" if self.norm else "")


@dataclass(frozen=True)
class Pool:
    """Max-pooling: ``2p``, ``2x1p``, or with a step of its own ``3p/2``."""

    size: Size
    stride: Size

    def __str__(self) -> str:
        step = "" if self.stride == self.size else f"/{size_text(self.stride)}"
        return f"{size_text(self.size)}p{step}"


@dataclass(frozen=True)
class GlobalPool:
    """Mean over mel bands, then mean plus maximum over frames: ``gp``. Any clip length."""

    def __str__(self) -> str:
        return "gp"


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: ``128fc`` is linear, ``128fcr`` has a ReLU."""

    units: int
    relu: bool = False

    def __str__(self) -> str:
        return f"{self.units}fc" + ("r" if self.relu else "")


Layer = Conv | Pool | GlobalPool | Dense


@dataclass(frozen=True)
class Architecture:
    """Layers in their order; :func:`parse` makes one from text, ``str`` gives it back.

    Convolutions and pools come first, then at most one global pooling, then dense layers.
    Without a global pooling the last map is flattened.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        order = [
            0 if isinstance(x, (Conv, Pool)) else 1 + isinstance(x, Dense) for x in self.layers
        ]
        if order != sorted(order) or order.count(1) > 1:
            raise ModelError(
                f"architecture {self}: expected convolutions and pools first, then at most one "
                "'gp', then dense layers"
            )
        if not any(isinstance(layer, Conv) for layer in self.layers):
            raise ModelError(f"architecture '{self}': expected at least one convolution")

    def __str__(self) -> str:
        return "-".join(map(str, self.layers))

    @property
    def maps(self) -> tuple[Conv | Pool, ...]:
        """The convolutions and pools: the part that an auto-encoder shares."""
        return tuple(layer for layer in self.layers if isinstance(layer, (Conv, Pool)))

    @property
    def dense(self) -> tuple[Dense, ...]:
        """The dense layers; the last one's output is the embedding."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def has_global_pool(self) -> bool:
        """Whether clips of any length fit."""
        return any(isinstance(layer, GlobalPool) for layer in self.layers)

    def without_class_layer(self, n_classes: int) -> Architecture:
        """The body of a classifier: drops a published class layer such as ``-50fc``.

        The last dense layer counts as the class layer when it has as many units as there
        are classes and another dense layer stands before it.

        Raises
        ------
        ModelError
            When two linear layers follow each other and the last one is not of that size:
            most likely a class layer for another number of classes.
        """
        dense = self.dense
        if len(dense) < 2 or dense[-1].relu:
            return self
        if dense[-1].units == n_classes:
            return Architecture(self.layers[:-1])
        if not dense[-2].relu:
            raise ModelError(
                f"architecture '{self}': '{dense[-1]}' looks like a class layer, but there are "
                f"{n_classes} classes; leave it out (it is added for you), or write "
                f"'{dense[-2]}r' before it if it is meant as a hidden layer"
            )
        return self
