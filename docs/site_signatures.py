"""Signatures in the reference show what a call gets at run time.

They have the values of defaults in place of names of constants, and in place of ``**options`` the
options of a verb. mkdocstrings loads the extension.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pydoc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe


class Signatures(griffe.Extension):
    """Change the functions of the package after it has been read."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Take defaults and options from the functions themselves."""
        for function in list(_functions(pkg)):
            unclear = [one for one in function.parameters if isinstance(one.default, griffe.Expr)]
            if not unclear and "options" not in function.parameters:
                continue
            made = inspect.signature(pydoc.locate(function.path.removesuffix(".__init__")))
            for one in unclear:
                one.default = _text(made.parameters[one.name].default) or one.default
            if "options" in function.parameters and "options" not in made.parameters:
                _add_options(function, made)


def _functions(found: griffe.Object) -> Iterator[griffe.Function]:
    for member in found.members.values():
        if isinstance(member, griffe.Function):
            yield member
        elif isinstance(member, griffe.Module | griffe.Class) and member.name not in ("cli", "web"):
            yield from _functions(member)


def _text(value: Any) -> str | None:
    """A value as code, options with what differs from their class; None for other objects."""
    if value is None or isinstance(value, str | int | float | tuple):
        return repr(value)
    if isinstance(value, Path):
        return repr(str(value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return None
    own = [(one, getattr(value, one.name)) for one in dataclasses.fields(value)]
    given = [f"{one.name}={_text(inner)}" for one, inner in own if inner != one.default]
    return f"{type(value).__name__}({', '.join(given)})"


def _add_options(function: griffe.Function, made: inspect.Signature) -> None:
    del function.parameters["options"]
    for one in made.parameters.values():
        if one.name not in function.parameters:
            kind = ast.parse(one.annotation, mode="eval").body
            function.parameters.add(
                griffe.Parameter(
                    one.name,
                    annotation=griffe.get_annotation(kind, parent=function),
                    kind=griffe.ParameterKind.keyword_only,
                    default=repr(one.default),
                )
            )
