"""Heads that were fitted by a formula: what a linear model and a perceptron have learned.

A head takes statistics (batch, feature) and gives logits whose softmax (or, with several labels
a clip, whose sigmoid) is the score that the fitted model gives. How large its tables are depends
on the fit, so that a fresh head has none; those of a file tell it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError

LEAST = 1e-9
"""Scores below this count as this where a logarithm is taken."""
Shape = tuple[int, ...]


class SimpleHead(nn.Module):
    """Base of all heads.

    Attributes
    ----------
    n_features, n_classes : int
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.n_features, self.n_classes = n_features, n_classes

    def numbers(self, **tables: Tensor) -> None:
        """Keep what was learned: floating-point tables as parameters, whole numbers beside."""
        for name, table in tables.items():
            if hasattr(self, name):
                delattr(self, name)
            if table.is_floating_point():
                self.register_parameter(name, nn.Parameter(table))
            else:
                self.register_buffer(name, table)

    def take_shapes(self, shapes: Mapping[str, Shape]) -> None:
        """Make room for tables of these shapes, before a file's are put in.

        Raises
        ------
        ModelError
            For shapes that do not go together.
        """
        expected = self.state_dict()
        self.numbers(
            **{
                name: torch.empty(shape, dtype=expected[name].dtype)
                for name, shape in shapes.items()
                if name in expected
            }
        )
        found = {name: tuple(table.shape) for name, table in self.state_dict().items()}
        if not self.fits(found):
            self.refuse(f"tables of the shapes {found} do not go together")

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        raise NotImplementedError

    def check(self) -> None:
        """See that tables can be used; raises ModelError. Call it when they were put in."""

    def refuse(self, why: str) -> NoReturn:
        """Raise ModelError."""
        raise ModelError(f"{type(self).__name__}: {why}; the file is damaged")

    def unfitted(self) -> NoReturn:
        """Raise ModelError for a head without tables."""
        raise ModelError("this classifier was never fitted; use train, or load a file")


class StandardisedHead(SimpleHead):
    """A head behind statistics that are standardised by the tables ``mean`` and ``scale``."""

    mean: Tensor
    scale: Tensor
    bias: Tensor

    def check(self) -> None:
        """Raises ModelError for a scale that is not positive."""
        if not (self.scale > 0).all():
            self.refuse("'scale' holds deviations that are not positive")

    def standardised(self, x: Tensor) -> Tensor:
        """Statistics (batch, feature) with mean 0 and deviation 1; ModelError before the fit."""
        if not len(self.bias):
            self.unfitted()
        return (x.to(self.mean.dtype) - self.mean) / self.scale


class LinearHead(StandardisedHead):
    """Logits linear in standardised statistics.

    Tables: ``mean`` and ``scale`` (feature,), ``weight`` (class, feature), ``bias`` (class,).
    """

    weight: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        none = torch.zeros(0, dtype=torch.float64)
        self.numbers(mean=none, scale=none, weight=none, bias=none)

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        d, k = self.n_features, self.n_classes
        return shapes == {"mean": (d,), "scale": (d,), "weight": (k, d), "bias": (k,)}

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        return self.standardised(x) @ self.weight.T + self.bias


class PerceptronHead(StandardisedHead):
    """One hidden layer with ReLU behind standardised statistics.

    Tables: ``mean`` and ``scale`` (feature,), ``hidden_weight`` (hidden, feature), ``hidden_bias``
    (hidden,), ``weight`` (class, hidden), ``bias`` (class,).
    """

    hidden_weight: Tensor
    hidden_bias: Tensor
    weight: Tensor

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        none = torch.zeros(0, dtype=torch.float64)
        self.numbers(
            mean=none, scale=none, hidden_weight=none, hidden_bias=none, weight=none, bias=none
        )

    def fits(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether tables of these shapes go together."""
        d, k = self.n_features, self.n_classes
        h = shapes["hidden_bias"][0] if len(shapes["hidden_bias"]) == 1 else 0
        expected = {
            "mean": (d,), "scale": (d,), "hidden_weight": (h, d), "hidden_bias": (h,),
            "weight": (k, h), "bias": (k,),
        }  # fmt: skip
        return h > 0 and shapes == expected

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, n_classes)."""
        x = torch.relu(self.standardised(x) @ self.hidden_weight.T + self.hidden_bias)
        return x @ self.weight.T + self.bias
