"""The notation of the paper, ``(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc``; without torch.

Layers are joined by ``-``:

=============  ==================================================================
``(64)5c``     convolution of 64 filters of 5 x 5, same padding, ReLU
``(64)5x3c``   filters of 5 mel bands by 3 frames
``(64)5cbn``   with batch normalisation before the ReLU
``2p``         max-pool of 2 x 2, step 2;  ``2x1p``: 2 mel bands by 1 frame
``3p/2``       max-pool of 3 x 3, step 2
``gp``         global pooling (instead of flattening): clips of any length
``128fc``      dense layer, linear as in the paper's code;  ``128fcr``: with ReLU
=============  ==================================================================

The class layer is added; a published form that ends in one (``-50fc``) is accepted. So are spaces,
capitals and long dashes; printing gives the canonical form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from semisonic.core.errors import ModelError

Size = tuple[int, int]
"""Size along (mel, frame)."""


def _size_text(size: Size) -> str:
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
        return f"({self.filters}){_size_text(self.kernel)}c" + ("bn" if self.norm else "")


@dataclass(frozen=True)
class MaxPooling:
    """Max-pooling: ``2p``, ``2x1p``, or with a step of its own ``3p/2``."""

    size: Size
    stride: Size

    def __str__(self) -> str:
        step = "" if self.stride == self.size else f"/{_size_text(self.stride)}"
        return f"{_size_text(self.size)}p{step}"


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


Layer = Conv | MaxPooling | GlobalPool | Dense


@dataclass(frozen=True)
class Architecture:
    """Layers in order; :func:`parse` reads it from text, ``str`` writes it.

    Convolutions and pools come first, then at most one global pooling, then dense layers.
    Without a global pooling the last map is flattened.
    """

    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return "-".join(map(str, self.layers))

    @property
    def maps(self) -> tuple[Conv | MaxPooling, ...]:
        """The convolutions and pools: the part that an auto-encoder shares."""
        return tuple(layer for layer in self.layers if isinstance(layer, (Conv, MaxPooling)))

    @property
    def dense(self) -> tuple[Dense, ...]:
        """The dense layers; the output of the last one is the embedding."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def has_global_pool(self) -> bool:
        """Whether it takes clips of any length."""
        return GlobalPool() in self.layers

    def without_class_layer(self, n_classes: int) -> Architecture:
        """The body of a classifier: drops a published class layer such as ``-50fc``.

        The last dense layer counts as the class layer if it has as many units as there are classes
        and follows another dense layer.

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
                f"{n_classes} classes; leave it out (a class layer is added), or write "
                f"'{dense[-2]}r' before it for a hidden layer"
            )
        return self


PAPER = "(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc"

MAX_TEXT = 1000
MAX_FILTERS = 4096
MAX_KERNEL = 255
MAX_UNITS = 16384

_DASHES = "-–—−"


def parse(text: str) -> Architecture:
    """Read an architecture.

    Parameters
    ----------
    text : str
        See the table above.

    Returns
    -------
    Architecture
        ``str()`` gives its canonical form.

    Raises
    ------
    ModelError
        With the text, a mark below the wrong position, and what was expected.
    """
    return _NotationParser(text).architecture()


def looks_like_notation(text: str) -> bool:
    """Whether a text is an architecture and not a registered name."""
    return text.lstrip()[:1] in {"(", *"0123456789"}


class _NotationParser:
    """A position in the text, and one method per rule of the grammar."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise ModelError(
                f"architecture: found {len(text)} characters, expected at most {MAX_TEXT}"
            )
        self.text = re.sub(r"\s", " ", text)
        self.at = 0

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        place = self.at if at is None else at
        found = f"found '{self.text[place]}'" if place < len(self.text) else "found the end"
        raise ModelError(
            f"architecture: {found}, expected {expected}\n  {self.text}\n  {' ' * place}^"
        )

    def skip(self) -> None:
        self.at = len(self.text) - len(self.text[self.at :].lstrip(" "))

    def take(self, word: str) -> bool:
        self.skip()
        if self.text[self.at : self.at + len(word)].lower() != word:
            return False
        self.at += len(word)
        return True

    def number(self, what: str, maximum: int) -> int:
        self.skip()
        digits = re.match("[0-9]*", self.text[self.at :])[0]  # type: ignore[index]
        if not digits:
            self.fail(what)
        if len(digits) > 6 or not 1 <= int(digits) <= maximum:
            self.fail(f"{what} from 1 to {maximum}")
        self.at += len(digits)
        return int(digits)

    def size(self, what: str) -> Size:
        first = self.number(what, MAX_KERNEL)
        return first, self.number(f"{what} along time", MAX_KERNEL) if self.take("x") else first

    def architecture(self) -> Architecture:
        layers: list[Layer] = []
        while True:
            self.skip()
            start = self.at
            layer = self.layer()
            before = layers[-1] if layers else None
            if isinstance(before, Dense | GlobalPool) and not isinstance(layer, Dense):
                self.fail(
                    "only dense layers ('128fc') after a global pooling or dense layer", start
                )
            layers.append(layer)
            self.skip()
            if self.at == len(self.text):
                break
            if self.text[self.at] not in _DASHES:
                self.fail("'-' and another layer, or the end")
            self.at += 1
        if not any(isinstance(layer, Conv) for layer in layers):
            self.fail("a convolution such as '(64)5c' among the layers")
        return Architecture(tuple(layers))

    def layer(self) -> Layer:
        if self.take("("):
            return self.conv()
        if self.take("gp"):
            return GlobalPool()
        start = self.at
        if not self.text[self.at : self.at + 1].isdigit():
            self.fail("a layer such as '(64)5c', '2p', 'gp' or '128fc'")
        first = self.number("a number", MAX_UNITS)
        if self.take("fc"):
            return Dense(first, relu=self.take("r"))
        second = self.number("the size along time", MAX_KERNEL) if self.take("x") else first
        if self.take("p"):
            if first > MAX_KERNEL:
                self.fail(f"the size of a pool from 1 to {MAX_KERNEL}", start)
            stride = self.size("the step of the pool") if self.take("/") else (first, second)
            return MaxPooling((first, second), stride)
        if self.take("c"):
            example = f"'(64){self.text[start : self.at].strip()}'"
            self.fail(f"the number of filters in brackets before it, as in {example}", start)
        return self.fail("'p' (max-pool) or 'fc' (dense) after the number")

    def conv(self) -> Conv:
        filters = self.number("the number of filters", MAX_FILTERS)
        if not self.take(")"):
            self.fail("')' after the number of filters")
        kernel = self.size("the size of the filters")
        if not self.take("c"):
            self.fail("'c' (convolution) after the size of the filters")
        return Conv(filters, kernel, norm=self.take("bn"))
