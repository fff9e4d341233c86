"""The notation of the paper: ``(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc``.

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

The class layer is added for you; a published form that ends in one (``-50fc``) is
understood. Spaces, capitals and long dashes are accepted; printing gives one form.
"""

from __future__ import annotations

import re
from typing import NoReturn

from semisonic.base.errors import ModelError
from semisonic.models.architecture import Architecture, Conv, Dense, GlobalPool, Layer, Pool, Size

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
        ``str()`` of it is the canonical form, and parsing that gives the same again.

    Raises
    ------
    ModelError
        With the text and a mark below the place that is wrong, and what was expected.
    """
    return _Reader(text).architecture()


def looks_like_notation(text: str) -> bool:
    """Whether a text is meant as an architecture, and not as a registered name."""
    return text.lstrip()[:1] in {"(", *"0123456789"}


class _Reader:
    """A position in the text, and one method a rule of the grammar."""

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
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1

    def take(self, word: str) -> bool:
        self.skip()
        if self.text[self.at : self.at + len(word)].lower() != word:
            return False
        self.at += len(word)
        return True

    def number(self, what: str, maximum: int) -> int:
        self.skip()
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in "0123456789":
            self.at += 1
        digits = self.text[start : self.at]
        if not digits:
            self.fail(what)
        if len(digits) > 6 or not 1 <= int(digits) <= maximum:
            self.fail(f"{what} from 1 to {maximum}", start)
        return int(digits)

    def size(self, what: str, maximum: int) -> Size:
        first = self.number(what, maximum)
        if not self.take("x"):
            return first, first
        return first, self.number(f"{what} along time", maximum)

    def architecture(self) -> Architecture:
        layers: list[Layer] = []
        while True:
            self.skip()
            start = self.at
            layer = self.layer()
            self.check_order(layers, layer, start)
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
        if self.at == len(self.text) or not self.text[self.at].isdigit():
            self.fail("a layer such as '(64)5c', '2p', 'gp' or '128fc'")
        first = self.number("a number", MAX_UNITS)
        if self.take("fc"):
            return Dense(first, relu=self.take("r"))
        second = self.number("the size along time", MAX_KERNEL) if self.take("x") else first
        if self.take("p"):
            if max(first, second) > MAX_KERNEL:
                self.fail(f"the size of a pool from 1 to {MAX_KERNEL}", start)
            stride = self.size("the step of the pool", MAX_KERNEL) if self.take("/") else None
            return Pool((first, second), stride or (first, second))
        if self.take("c"):
            self.fail(
                "the number of filters in brackets before a convolution, as in "
                f"'(64){self.text[start : self.at].strip()}'",
                start,
            )
        return self.fail("'p' (max-pool) or 'fc' (dense) after the number")

    def conv(self) -> Conv:
        filters = self.number("the number of filters", MAX_FILTERS)
        if not self.take(")"):
            self.fail("')' after the number of filters")
        kernel = self.size("the size of the filters", MAX_KERNEL)
        if not self.take("c"):
            self.fail("'c' (convolution) after the size of the filters")
        return Conv(filters, kernel, norm=self.take("bn"))

    def check_order(self, before: list[Layer], layer: Layer, start: int) -> None:
        last = before[-1] if before else None
        if isinstance(last, Dense) and not isinstance(layer, Dense):
            self.fail("only dense layers ('128fc') after the first of them", start)
        if isinstance(last, GlobalPool) and not isinstance(layer, Dense):
            self.fail("only dense layers ('128fc') after the global pooling", start)
