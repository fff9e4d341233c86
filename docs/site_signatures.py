"""Signatures in the reference: values in place of the names of constants, and the options of verbs.

mkdocstrings loads the extension.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any

import griffe

from semisonic import api


class Signatures(griffe.Extension):
    """Show what a call gets if an argument is left out."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Change the functions of a package that has been read."""
        for function in list(_functions(pkg)):
            for parameter in function.parameters:
                parameter.default = _value(parameter.default, pkg)
        for name, function in pkg["api"].functions.items():
            if "options" in function.parameters:
                _add_options(function, inspect.signature(getattr(api, name)))


def _functions(found: griffe.Object) -> Iterator[griffe.Function]:
    for member in found.members.values():
        if isinstance(member, griffe.Function):
            yield member
        elif isinstance(member, griffe.Module | griffe.Class):
            yield from _functions(member)


def _value(default: Any, pkg: griffe.Module) -> Any:
    """The value of a constant of the package; any other default as it is."""
    while isinstance(default, griffe.ExprName):
        place = default.canonical_path.removeprefix(f"{pkg.name}.")
        try:
            constant = pkg[place]
        except KeyError:
            break
        if not isinstance(constant, griffe.Attribute) or constant.value is None:
            break
        default = constant.value
    return default


def _add_options(function: griffe.Function, signature: inspect.Signature) -> None:
    """Replace ``**options`` by the options, as they are at run time."""
    del function.parameters["options"]
    for one in signature.parameters.values():
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
