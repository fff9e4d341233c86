"""Parameters inside groups of options, by scikit-learn's names: ``mel__n_mels``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from semisonic.base.errors import OptionError
from semisonic.base.options import from_mapping, nearest

S = TypeVar("S", bound="NestedParams")


class NestedParams:
    """Lets an estimator's options be read, set and searched over by name.

    A parameter whose default is an options object is a group. It may be given as such an object,
    or as a dict of the options that differ from the default.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep`` also those inside groups, as ``mel__n_mels``."""
        params: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep:
            for name in self._groups():
                for field, value in _values(self.group(name)).items():
                    params[f"{name}__{field}"] = value
        return params

    def set_params(self: S, **params: Any) -> S:
        """Set parameters by name, those inside groups as ``mel__n_mels``.

        Raises
        ------
        OptionError
            For an unknown name.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise OptionError(
                    f"{type(self).__name__}: unknown parameter '{name}': {nearest(name, known)}"
                )
        for name in sorted(params, key=lambda name: "__" in name):  # whole groups first
            outer, _, inner = name.partition("__")
            value = params[name]
            if inner:
                value = {**_values(getattr(self, outer)), inner: value}
            setattr(self, outer, value)
        return self

    def group(self, name: str) -> Any:
        """The options of a group.

        Raises
        ------
        OptionError
            For an unknown option or a wrong value.
        """
        default, given = self._groups()[name], getattr(self, name)
        if not isinstance(given, Mapping | type(default)):
            raise OptionError(
                f"{type(self).__name__}, parameter '{name}': found {given!r}, expected a dict of "
                f"options or {type(default).__name__}(...)"
            )
        found = {key: self.named(value) for key, value in _values(given).items()}
        return from_mapping(type(default), {**_values(default), **found}, f"{name}.")

    def named(self, value: Any) -> Any:
        """What stands in options for a value that is given as an object."""
        return value

    @classmethod
    def _groups(cls) -> dict[str, Any]:
        """The groups, with their defaults."""
        return {
            parameter.name: parameter.default
            for parameter in inspect.signature(cls).parameters.values()
            if dataclasses.is_dataclass(parameter.default)
        }


def _values(group: Any) -> dict[str, Any]:
    """The options of a group by name, as they were given."""
    if isinstance(group, Mapping):
        return dict(group)
    return {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
