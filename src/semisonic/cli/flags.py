"""From options dataclasses to flags and back: names, values, and defaults from a file."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

from semisonic.core.errors import OptionError
from semisonic.core.options import (
    GIVEN,
    ValueType,
    default_of,
    field_types,
    from_mapping,
    given,
    given_names,
    nearest,
    toml_value,
)

MAIN_GROUP = "Options"
COMMON = "Common options"
_COMMON_FIELDS = ("output", "seed", "device", "workers")
_SHORT = {"output": "-o", "k": "-k", "n": "-n"}
_METAVARS = {int: "N", float: "X", Path: "PATH"}


@dataclass(frozen=True)
class Flag:
    """One option or argument of a verb.

    Attributes
    ----------
    key : str
        Where its value lives in the options: ``mel.n_mels``.
    name : str
        What it is called on the command line, with underscores. When two classes have a field of
        the same name, the outer one keeps it and the inner one gets the name of its group in front:
        ``duration`` and ``mel_duration``.
    type : ValueType
    default : object
    rule : mapping
        Help, unit, choices and range; see :func:`semisonic.core.options.option`.
    group : str
        The heading that it stands under.
    is_argument, is_required : bool
        Whether it is given by its place, and whether it must be given.
    """

    key: str
    name: str
    type: ValueType
    default: Any
    rule: Mapping[str, Any]
    group: str
    is_argument: bool = False
    is_required: bool = False

    @property
    def place(self) -> str:
        """How an argument stands in the usage line: FILE, FILE... or [FILE]."""
        name = self.name.upper() + "..." * self.type.is_list
        return name if self.is_required else f"[{name}]"

    @property
    def has_commas(self) -> bool:
        """Whether one text holds several values: numbers or choices, as free text has commas."""
        is_free_text = self.type.kind in (str, Path) and not self.rule.get("choices")
        return self.type.is_list and not self.is_argument and not is_free_text

    @property
    def metavar(self) -> str:
        """What stands for the value in the help: N, X, TEXT, PATH or the choices."""
        choices = "|".join(self.rule.get("choices") or ())
        if choices and len(choices) <= 24:
            return choices
        return _METAVARS.get(self.type.kind, "TEXT") + ",…" * self.has_commas

    @property
    def unit(self) -> str:
        """The unit behind a number, with a space before it."""
        return f" {self.rule['unit']}" if self.rule.get("unit") else ""

    @property
    def limits(self) -> str:
        """The range of a number in words, empty when it has none."""
        low, high = self.rule.get("minimum"), self.rule.get("maximum")
        if low is None:
            return "" if high is None else f"at most {high:g}{self.unit}"
        return f"at least {low:g}{self.unit}" if high is None else f"{low:g} to {high:g}{self.unit}"

    @property
    def shown(self) -> str:
        """The default as people read it, with its unit."""
        if self.default is None or self.default in ("", ()):
            return "none"
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        values = self.default if isinstance(self.default, tuple) else (self.default,)
        return ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values) + self.unit

    @property
    def help(self) -> str:
        """What it is, its choices or range, its default with the unit."""
        choices = ", ".join(self.rule.get("choices") or ())
        parts = [f"one of {choices}"] if choices and "|" not in self.metavar else []
        parts += [self.limits] if self.limits else []
        parts += [] if self.is_argument else [f"default: {self.shown}"]
        text = str(self.rule.get("help", ""))
        return f"{text}  [{'; '.join(parts)}]" if parts else text

    def parameter(self) -> click.Parameter:
        """The parameter of click, which passes on what was typed; see :meth:`parsed`."""
        many = self.type.is_list
        if self.is_argument:
            n = -1 if many else 1
            return click.Argument([self.name], required=False, nargs=n, metavar=self.place)
        spelled = self.name.replace("_", "-")
        names = [self.name, f"--{spelled}"]
        if self.type.kind is bool:
            names[1] += f"/--no-{spelled}"
            return click.Option(names, help=self.help, default=None)
        names += [_SHORT[self.name]] if self.name in _SHORT else []
        return click.Option(names, help=self.help, metavar=self.metavar, multiple=many, type=str)

    def parsed(self, typed: Any) -> Any:
        """The value of what was typed: a text, or several for a list, which commas part, too.

        What is no number stays text, which the check of all options refuses.
        """
        if not isinstance(typed, str | tuple):
            return typed
        texts = (typed,) if isinstance(typed, str) else typed
        if self.has_commas:
            texts = tuple(part.strip() for part in ",".join(texts).split(",") if part.strip())
        if self.type.may_be_none and not self.is_argument and "none" in map(str.lower, texts):
            return None
        values = tuple(map(self._one, texts))
        return values if self.type.is_list else values[0]

    def _one(self, text: str) -> Any:
        kind = self.type.kind
        try:
            return kind(text) if kind in (int, float, Path) else text
        except ValueError:
            return text


def flags_of(
    options_class: type, arguments: Collection[str] = (), optional: Collection[str] = ()
) -> list[Flag]:
    """All flags of an options class, nested classes included, outer ones first.

    Arguments are the fields without a default and those named in ``arguments``; those named
    in ``optional`` may be left out.
    """
    flags: dict[str, Flag] = {}
    found = _walk(options_class, dataclasses.MISSING, "", MAIN_GROUP)
    for flag in sorted(found, key=lambda flag: flag.key.count(".")):
        name = flag.key.replace(".", "_") if flag.name in flags else flag.name
        if name in flags:
            raise TypeError(f"{options_class.__name__} has two options '{name}'")
        required = flag.default is dataclasses.MISSING or name in arguments
        flags[name] = dataclasses.replace(
            flag, name=name, is_argument=required or name in optional, is_required=required
        )
    return list(flags.values())


def _walk(options_class: type, defaults: Any, above: str, group: str) -> Iterator[Flag]:
    """Go through the fields; ``defaults`` is the outer class's default for this one."""
    hints = field_types(options_class)
    for field in sorted(dataclasses.fields(options_class), key=lambda field: bool(field.kw_only)):
        hint, key = hints[field.name], f"{above}{field.name}"
        is_missing = defaults is dataclasses.MISSING
        default = default_of(field) if is_missing else getattr(defaults, field.name)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            text = field.metadata.get("help") or hint.__doc__ or hint.__name__
            title = text.strip().splitlines()[0].rstrip(".:").replace("`", "")
            yield from _walk(hint, default, f"{key}.", title[:1].upper() + title[1:])
        else:
            heading = COMMON if not above and field.name in _COMMON_FIELDS else group
            yield Flag(key, field.name, ValueType(hint), default, field.metadata, heading)


def options_of(options_class: type, values: Mapping[str, Any]) -> Any:
    """The options that some values give, by the key of their flag; the rest is as by default.

    Raises
    ------
    OptionError
        For a value of the wrong type, choice or range.
    """
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *groups, name = key.split(".")
        here = tree
        for group in groups:
            here = here.setdefault(group, {})
        here[name] = value
    options: Any = from_mapping(options_class, tree)
    return options.settled() if hasattr(options, "settled") else options


def as_toml(options: Any, flags: Sequence[Flag], *, complete: bool = False) -> str:
    """The options as a TOML text that ``--config`` reads back.

    What is left to ``auto`` stands there as a remark.

    Parameters
    ----------
    options : dataclass
        Options of a verb.
    flags : sequence of Flag
        Those of the class.
    complete : bool
        All options; else those that were given or differ from their defaults.
    """
    left = getattr(options, "left_to_auto", ())
    held = set(given_names(options, left)) if left else set()
    tables: dict[str, list[str]] = {"": []}
    for flag in flags:
        table, _, name = flag.key.rpartition(".")
        value = attrgetter(flag.key)(options)
        above = attrgetter(table)(options) if table else options
        if flag.key not in held and (flag.key in left or table in left):
            line = f"# {name}: chosen by auto" * complete
        elif not complete and value == flag.default and name not in given(above, above):
            continue
        else:
            line = f"# {name}: not set" if value is None else f"{name} = {toml_value(value)}"
        tables.setdefault(table, []).append(line)
    parts = [] if complete else ["# all other options: as by default, or chosen by auto (-v: all)"]
    for table, lines in tables.items():
        shown = list(filter(None, lines))
        parts += [f"\n[{table}]" * bool(table), *shown] if shown else []
    return "\n".join(parts).lstrip("\n") + "\n"


# Defaults from a file: a TOML of one's own, or the ``run.json`` of an earlier run.


def read_config(file: Path, flags: Sequence[Flag]) -> dict[str, Any]:
    """The values in a file, by the key of their flag; see :func:`values_of`.

    Raises
    ------
    OptionError
        When the file cannot be read or holds a key that is no option, with the nearest.
    """
    kind = "JSON" if file.suffix == ".json" else "TOML"
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except OSError as error:
        raise OptionError(f"--config {file}: {error.strerror}") from error
    except ValueError as error:
        raise OptionError(f"--config {file}: not {kind}: {error}") from error
    if kind == "JSON" and isinstance(found, dict):
        found = found.get("options", found)  # a run record has versions, seeds and so on beside
    if not isinstance(found, dict):
        raise OptionError(f"--config {file}: found a {type(found).__name__}, expected options")
    held = found.pop(GIVEN, None)
    values = values_of(found, flags, f"--config {file}: ")
    if held is None:
        return values
    # A record of a run that left options to ``auto``: what nobody gave is left to it again.
    default = {flag.key: flag.default for flag in flags}
    return {key: one for key, one in values.items() if one != default[key] or key in held}


def values_of(table: Mapping[str, Any], flags: Sequence[Flag], where: str = "") -> dict[str, Any]:
    """The values in a mapping, by the key of their flag.

    A key may be the name of a flag (``n_mels``, ``n-mels``) or stand in the table of its options
    class (``[mel] n_mels``), for which its options object may stand, too. ``where`` begins errors.

    Raises
    ------
    OptionError
        For a key that is no option, with the nearest.
    """
    groups = {f.key[:end] for f in flags for end, letter in enumerate(f.key) if letter == "."}
    keys = {flag.name: flag.key for flag in flags} | {flag.key: flag.key for flag in flags}
    values: dict[str, Any] = {}
    for key, value in _flat(table, groups):
        if key not in keys:
            above, _, name = key.rpartition(".")
            known = {one.rpartition(".")[2] for one in (*keys, *groups) if one.startswith(above)}
            raise OptionError(f"{where}unknown option '{key}': {nearest(name, known)}")
        values[keys[key]] = value
    return values


def _flat(table: Mapping[str, Any], groups: Collection[str], above: str = "") -> Iterator[Any]:
    """The dotted keys of a table and of the tables in it, with underscores, and their values."""
    for key, value in table.items():
        name = above + str(key).replace("-", "_")
        if name in groups and dataclasses.is_dataclass(value):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if name in groups and isinstance(value, Mapping):
            yield from _flat(value, groups, f"{name}.")
        else:
            yield name, value
