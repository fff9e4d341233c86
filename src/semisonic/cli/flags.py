"""From options dataclasses to flags and back: names, values, and defaults from a file."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from semisonic.core.errors import OptionError
from semisonic.core.options import (
    GIVEN,
    field_types,
    from_mapping,
    given,
    given_names,
    nearest,
    toml_value,
)

# A field of a nested options class becomes a flag like any other, in a group of its own.
# When two classes have a field of the same name, the outer one keeps the plain name and
# the inner one gets the name of its field in front: ``duration`` and ``mel_duration``.


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
    for field in sorted(dataclasses.fields(options_class), key=lambda field: bool(field.kw_only)):
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


# Values between text and Python: what is typed, what is shown, what TOML holds.


_KINDS = {int: "a whole number", float: "a number", str: "text", Path: "a path"}
_METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


class FlagType(click.ParamType[Any]):
    """Reads the text of one flag.

    Lists of numbers or choices are separated by commas. Free text may hold commas itself, so
    a list of texts is given by repeating the option.
    """

    name = "value"

    def __init__(self, flag: Flag) -> None:
        self.flag = flag

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn what was typed into the value of the field."""
        if not isinstance(value, str):
            return value
        flag = self.flag
        if flag.may_be_none and not flag.is_argument and value.lower() == "none":
            return None
        if has_commas(flag):
            return tuple(self._one(part.strip()) for part in value.split(",") if part.strip())
        return self._one(value)

    def _one(self, text: str) -> Any:
        kind = self.flag.kind
        try:
            return kind(text) if kind in (int, float, Path) else text
        except ValueError:
            unit = self.flag.rule.get("unit")
            return self.fail(f"found '{text}', expected {_KINDS[kind]}{f' ({unit})' * bool(unit)}.")


def has_commas(flag: Flag) -> bool:
    """Whether one text holds several values of a flag."""
    is_free_text = flag.kind in (str, Path) and not flag.rule.get("choices")
    return flag.is_list and not flag.is_argument and not is_free_text


def gathered(flag: Flag, value: Any) -> Any:
    """The value of a flag from what click collected: the parts of a list put together."""
    if not flag.is_list or flag.is_argument:
        return value
    if None in value:
        return None
    return tuple(one for part in value for one in part) if has_commas(flag) else tuple(value)


def metavar(flag: Flag) -> str:
    """What stands for the value in the help: N, X, TEXT, PATH or the choices."""
    choices = flag.rule.get("choices")
    if choices and len("|".join(choices)) <= 24:
        return "|".join(choices)
    name = _METAVARS.get(flag.kind, "TEXT")
    return f"{name},…" if has_commas(flag) else name


def describe(flag: Flag) -> str:
    """The help of a flag: what it is, its choices or range, its default with the unit."""
    rule = flag.rule
    parts = []
    choices = rule.get("choices")
    if choices and metavar(flag) != "|".join(choices):
        parts.append("one of " + ", ".join(choices))
    parts.extend(limits(flag))
    if not flag.is_argument:
        parts.append(f"default: {shown(flag)}")
    text = str(rule.get("help", ""))
    return f"{text}  [{'; '.join(parts)}]" if parts else text


def limits(flag: Flag) -> list[str]:
    """The range of a number in words, empty when it has none."""
    low, high = flag.rule.get("minimum"), flag.rule.get("maximum")
    unit = f" {flag.rule['unit']}" if flag.rule.get("unit") else ""
    if low is not None and high is not None:
        return [f"{low:g} to {high:g}{unit}"]
    if low is not None:
        return [f"at least {low:g}{unit}"]
    return [f"at most {high:g}{unit}"] if high is not None else []


def shown(flag: Flag) -> str:
    """The default as people read it, with its unit."""
    value, unit = flag.default, flag.rule.get("unit")
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ",".join(map(_number, value)) if isinstance(value, tuple) else _number(value)
    return f"{text} {unit}" if unit else text


def as_toml(options: Any, *, complete: bool = False) -> str:
    """The options as a TOML text that ``--config`` reads back.

    What is left to ``auto`` stands there as a remark.

    Parameters
    ----------
    options : dataclass
        Options of a verb.
    complete : bool
        All options; else those that were given or differ from their defaults.
    """
    left = getattr(options, "left_to_auto", ())
    held = set(given_names(options, left)) if left else set()
    text = _as_toml(options, None, left, held, complete)
    rest = "" if complete else "# all other options: as by default, or chosen by auto (-v: all)\n"
    return rest + text


def _as_toml(
    options: Any, usual: Any, left: Sequence[str], held: set[str], complete: bool, before: str = ""
) -> str:
    plain, tables = [], []
    by_hand = given(options, options)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        default = _default(field) if usual is None else getattr(usual, field.name)
        if dataclasses.is_dataclass(value):
            below = _as_toml(value, default, left, held, complete, f"{field.name}.")
            if below:
                tables.append(f"\n[{field.name}]\n{below}")
        elif (before[:-1] or field.name) in left and before + field.name not in held:
            plain.append(f"# {field.name}: chosen by auto\n" * complete)
        elif not complete and value == default and field.name not in by_hand:
            continue
        elif value is None:
            plain.append(f"# {field.name}: not set\n")
        else:
            plain.append(f"{field.name} = {toml_value(value)}\n")
    return "".join(plain + tables)


def _default(field: dataclasses.Field[Any]) -> Any:
    """Its default; a field that must be given has none, which equals no value."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# Defaults from a file: a TOML of one's own, or the ``run.json`` of an earlier run.


def read_config(file: Path, flags: Sequence[Flag]) -> dict[tuple[str, ...], Any]:
    """The values in a file, by the path of their flag.

    A key may be the name of a flag (``n_mels``, ``n-mels``) or stand in the table of its
    options class (``[mel] n_mels``).

    Raises
    ------
    OptionError
        When the file cannot be read or holds a key that is no option, with the nearest.
    """
    table = dict(_load(file))
    held = table.pop(GIVEN, None)
    values = values_of(table, flags, f"--config {file}: ")
    if held is None:
        return values
    # A record of a run that left options to ``auto``: what nobody gave is left to it again.
    default = {flag.path: flag.default for flag in flags}
    return {
        path: value
        for path, value in values.items()
        if value != default[path] or ".".join(path) in held
    }


def values_of(
    table: Mapping[str, Any], flags: Sequence[Flag], where: str = ""
) -> dict[tuple[str, ...], Any]:
    """The values in a mapping, by the path of their flag.

    Keys are as in :func:`read_config`; for a whole group its options object may stand.
    ``where`` begins errors.

    Raises
    ------
    OptionError
        For a key that is no option, with the nearest.
    """
    values: dict[tuple[str, ...], Any] = {}
    _collect(table, (), flags, where, values)
    return values


def _load(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise OptionError(f"--config {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if file.suffix == ".json" else "TOML"
        raise OptionError(f"--config {file}: not {kind}: {error}") from error
    if file.suffix == ".json" and isinstance(found, dict):
        # The run record keeps the options beside versions, seeds and so on.
        found = found.get("options", found)
    if not isinstance(found, dict):
        raise OptionError(f"--config {file}: found a {type(found).__name__}, expected options")
    return found


def _collect(
    table: Mapping[str, Any],
    above: tuple[str, ...],
    flags: Sequence[Flag],
    where: str,
    values: dict[tuple[str, ...], Any],
) -> None:
    tables = {flag.path[: i + 1] for flag in flags for i in range(len(flag.path) - 1)}
    for key, value in table.items():
        name = str(key).replace("-", "_")
        path = (*above, name)
        if path in tables and dataclasses.is_dataclass(value):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if path in tables and isinstance(value, Mapping):
            _collect(value, path, flags, where, values)
            continue
        flag = next((f for f in flags if path in (f.path, (f.name,))), None)
        if flag is None:
            known = [
                f.path[-1] if above else f.name for f in flags if f.path[: len(above)] == above
            ]
            place = "".join(f"{part}." for part in above)
            raise OptionError(
                f"{where}unknown option '{place}{key}': "
                f"{nearest(name, known + [t[-1] for t in tables if not above])}"
            )
        none = isinstance(value, str) and value == "none" and flag.may_be_none
        values[flag.path] = None if none else value
