"""The options of a verb as keyword arguments of its Python function."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from semisonic.cli.parser import Flag, Verb
from semisonic.core.options import OpenChoices, field_types

F = TypeVar("F", bound=Callable[..., Any])
PRINTS = ("json",)
"""Options that only change what is printed: a function returns a result instead."""


def flags_in_python(verb: Verb) -> list[Flag]:
    """The flags of a verb without those that only change what is printed."""
    return [flag for flag in verb.flags if flag.name not in PRINTS]


def groups_of(verb: Verb) -> dict[str, type]:
    """The groups of a verb's options: the name and the class of each."""
    hints = field_types(verb.options_class)
    return {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and dataclasses.is_dataclass(hint)
    }


def options_of_verb(verb: Verb) -> Callable[[F], F]:
    """Show the options of a verb, in place of ``**options``, in the signature of its function.

    Parameters that the function names are left as they are. Annotations are texts.
    """

    def shown(function: F) -> F:
        signature = inspect.signature(function)
        named = {
            one.name: one
            for one in signature.parameters.values()
            if one.kind is not inspect.Parameter.VAR_KEYWORD
        }
        groups: dict[str, tuple[str, Any]] = {
            name: (f"{group.__name__} | Mapping[str, Any]", {})
            for name, group in groups_of(verb).items()
        }
        flags = flags_in_python(verb)
        outer = {flag.name: _kind(flag) for flag in flags if "." not in flag.key}
        inner = {flag.name: _kind(flag) for flag in flags if "." in flag.key}
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=kind)
            for name, (kind, value) in (*outer.items(), *groups.items(), *inner.items())
            if name not in named
        ]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*named.values(), *options]
        )
        return function

    return shown


def _kind(flag: Flag) -> tuple[str, Any]:
    """The annotation and the default of an option."""
    choices = flag.rule.get("choices")
    if choices:
        kind = f"Literal[{', '.join(map(repr, choices))}]"
        kind += " | str" * isinstance(choices, OpenChoices)
    else:
        kind = "str | PathLike[str]" if flag.type.kind is Path else flag.type.kind.__name__
    kind += f" | Iterable[{kind}]" * flag.type.is_list + " | None" * flag.type.may_be_none
    return kind, str(flag.default) if isinstance(flag.default, Path) else flag.default
