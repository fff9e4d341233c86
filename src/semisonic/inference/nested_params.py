"""Parameters inside options dataclasses, by scikit-learn's names: ``mel__n_mels``."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest

S = TypeVar("S", bound="NestedParams")


class NestedParams:
    """Lets an estimator's options be read, set and searched over by name."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep`` also those inside options, as ``mel__n_mels``."""
        params: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep:
            for name, value in list(params.items()):
                if dataclasses.is_dataclass(value):
                    for field in dataclasses.fields(value):
                        params[f"{name}__{field.name}"] = getattr(value, field.name)
        return params

    def set_params(self: S, **params: Any) -> S:
        """Set parameters by name, those inside options as ``mel__n_mels``.

        Raises
        ------
        OptionError
            For an unknown name or a value out of range.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise OptionError(
                    f"{type(self).__name__}: unknown parameter '{name}': {nearest(name, known)}"
                )
        for name in sorted(params, key=lambda name: "__" in name):  # whole options first
            outer, _, inner = name.partition("__")
            value = params[name]
            if inner:
                value = dataclasses.replace(getattr(self, outer), **{inner: value})
            setattr(self, outer, value)
        return self
