"""From an options dataclass to the flat list of what stands on a command line.

A field of a nested options class becomes a flag like any other, in a group of its own.
When two classes have a field of the same name, the outer one keeps the plain name and
the inner one gets the name of its field in front: ``duration`` and ``mel_duration``.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semisonic.base.options import field_types, from_mapping

MAIN_GROUP = "Options"


@dataclass(frozen=True)
class Flag:
    """One option or argument of a verb.

    ``path`` is where its value lives in the options (``("mel", "n_mels")``), ``name`` what
    it is called on the command line, with underscores. An argument is given by its place.
    """

    path: tuple[str, ...]
    name: str
    hint: Any
    default: Any
    rule: Mapping[str, Any]
    group: str
    is_argument: bool
    is_required: bool

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return typing.get_origin(self.inner) is tuple

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return self.inner is bool

    @property
    def may_be_none(self) -> bool:
        """Whether the word 'none' is a value of it."""
        return type(None) in _alternatives(self.hint)

    @property
    def inner(self) -> Any:
        """The type without its 'or None'."""
        kinds = [kind for kind in _alternatives(self.hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else str

    @property
    def kind(self) -> Any:
        """The type of one value."""
        return typing.get_args(self.inner)[0] if self.is_list else self.inner


def flags_of(
    options_class: type, arguments: Collection[str] = (), optional: Collection[str] = ()
) -> list[Flag]:
    """All flags of an options class, nested classes included, outer ones first.

    Arguments are the fields without a default and those named in ``arguments``; those named
    in ``optional`` may be left out.
    """
    found = sorted(_walk(options_class, None, (), MAIN_GROUP), key=lambda flag: len(flag.path))
    taken: set[str] = set()
    flags = []
    for flag in found:
        name = flag.path[-1]
        if name in taken:
            name = "_".join(flag.path)
        if name in taken:
            raise TypeError(f"{options_class.__name__} has two options '{name}'")
        taken.add(name)
        required = flag.is_argument or name in arguments
        flags.append(
            dataclasses.replace(
                flag,
                name=name,
                is_argument=required or name in optional,
                is_required=required,
            )
        )
    return flags


def options_of(
    options_class: type, flags: Sequence[Flag], values: Mapping[tuple[str, ...], Any]
) -> Any:
    """The options that some values give, by the path of their flag; the rest is as by default.

    Raises
    ------
    OptionError
        For a value of the wrong type, choice or range.
    """
    tree: dict[str, Any] = {}
    for path, value in values.items():
        here = tree
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value
    options: Any = from_mapping(options_class, tree)
    return options.settled() if hasattr(options, "settled") else options


def place_of(flag: Flag) -> str:
    """How an argument stands in the usage line: FILE, FILE... or [FILE]."""
    name = flag.name.upper() + "..." * flag.is_list
    return name if flag.is_required else f"[{name}]"


def _walk(options_class: type, defaults: Any, path: tuple[str, ...], group: str) -> Iterator[Flag]:
    """Go through the fields; ``defaults`` is the outer class's default for this one."""
    hints = field_types(options_class)
    for field in dataclasses.fields(options_class):
        hint, here = hints[field.name], (*path, field.name)
        default = field.default
        if defaults is not None:
            default = getattr(defaults, field.name)
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if dataclasses.is_dataclass(hint):
            nested = typing.cast(type, hint)
            title = _title(field.metadata.get("help") or nested.__doc__ or nested.__name__)
            yield from _walk(nested, default, here, title)
        else:
            placed = default is dataclasses.MISSING
            yield Flag(here, field.name, hint, default, field.metadata, group, placed, placed)


def _title(text: str) -> str:
    first_line = text.strip().splitlines()[0].rstrip(".:").replace("`", "")
    return first_line[:1].upper() + first_line[1:]


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)
