"""Options: one frozen dataclass a verb, from which parser, recipe, record and docs are made.

A field made with :func:`option` carries its help text, unit, choices and range::

    @dataclass(frozen=True)
    class MelOptions:
        n_mels: int = option(64, "mel bands", minimum=1)
        fmin_hz: float = option(0.0, "lowest frequency", unit="Hz", minimum=0)
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import numbers
import os
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from semisonic.core.errors import OptionError

T = TypeVar("T")
_GIVEN = "_given"
GIVEN = "given"
"""Key of a run record: which options of those left to ``auto`` were given."""


class OpenChoices(Sequence[str]):
    """Choices to which others are added while the program runs: ``more`` is looked at each time."""

    def __init__(self, names: Iterable[str], more: Collection[str]) -> None:
        self._names, self._more = tuple(names), more

    def __len__(self) -> int:
        return len(self._names) + len(self._more)

    def __getitem__(self, place: Any) -> Any:
        return (*self._names, *self._more)[place]


def option(
    default: Any,
    help: str,  # noqa: A002
    *,
    unit: str = "",
    choices: Iterable[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field with what a user must know about it.

    Parameters
    ----------
    default : object
        ``dataclasses.MISSING`` for a value that must be given.
    help : str
        What ``--help`` and the reference say.
    unit : str
    choices : iterable of str, optional
    minimum, maximum : float, optional
        Both included.

    Returns
    -------
    dataclasses.Field
    """
    metadata = {
        "help": help,
        "unit": unit,
        "choices": tuple(choices) if not isinstance(choices, OpenChoices | None) else choices,
        "minimum": minimum,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


def nearest(name: str, names: Iterable[str]) -> str:
    """A phrase that suggests the closest of ``names``, or lists them all.

    Parameters
    ----------
    name : str
        What was found.
    names : iterable of str
        What is known.

    Returns
    -------
    str

    Examples
    --------
    >>> nearest("loging", ["logging", "json"])
    "did you mean 'logging'?"
    """
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return "known are: " + ", ".join(sorted(known))


def field_types(cls: type) -> dict[str, Any]:
    """The resolved type of each field of an options class."""
    return typing.get_type_hints(cls)


def check(options: T, where: str = "") -> T:
    """Return the options if every value has its type, choice and range.

    Parameters
    ----------
    options : dataclass
    where : str
        Put before names in errors.

    Returns
    -------
    dataclass
        The same.

    Raises
    ------
    OptionError
        With the name, the value found and what is allowed.
    """
    hints = field_types(type(options))
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        _check_value(f"{where}{field.name}", value, hints[field.name], field.metadata)
    return options


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build options from a mapping (a recipe's table); unknown keys are errors.

    Nested options classes take nested mappings, in which what is left out is as the outer class
    has it by default. What the mapping names counts as given, see :func:`given`. ``where`` is put
    before names in errors: what ends with ``": "``, such as a file, before the whole sentence.

    Parameters
    ----------
    cls : type
        A class of options.
    values : mapping
    where : str
        Put before names in errors.

    Returns
    -------
    object of ``cls``

    Raises
    ------
    OptionError
        For an unknown key, or a value of another type or out of range.
    """
    return _from_mapping(cls, None, values, where)


def given(options: Any, default: Any) -> frozenset[str]:
    """Names of the fields that somebody set, so that nothing else may choose them.

    Of options that were read from a command line or a file these are the fields that stood there,
    whatever their value; of any options those that are other than in ``default``.

    Parameters
    ----------
    options, default : dataclass

    Returns
    -------
    frozenset of str
    """
    fields = (field.name for field in dataclasses.fields(options))
    other = {name for name in fields if getattr(options, name) != getattr(default, name)}
    return frozenset(other) | getattr(options, _GIVEN, frozenset())


def given_names(options: Any, wanted: Iterable[str]) -> Iterator[str]:
    """Dotted names of what was given among some fields and in groups of options."""
    default = type(options)()
    own = given(options, default)
    for name in wanted:
        value = getattr(options, name)
        if dataclasses.is_dataclass(value):
            yield from (f"{name}.{inner}" for inner in given(value, getattr(default, name)))
        elif name in own:
            yield name


def mark_given(options: T, names: Iterable[str]) -> T:
    """The same options with these fields, and no others, known as given.

    Parameters
    ----------
    options : dataclass
    names : iterable of str

    Returns
    -------
    dataclass
        A copy.
    """
    marked = copy.copy(options)
    object.__setattr__(marked, _GIVEN, frozenset(names))
    return marked


def changed(options: T, **values: Any) -> T:
    """The options with other values, which count as given as well as what was given before.

    Parameters
    ----------
    options : dataclass
    **values
        New values by name of the field.

    Returns
    -------
    dataclass
        A copy.
    """
    before: frozenset[str] = getattr(options, _GIVEN, frozenset())
    return mark_given(dataclasses.replace(options, **values), before | values.keys())  # type: ignore[type-var]


def _from_mapping(cls: type[T], default: T | None, values: Mapping[str, Any], where: str) -> T:
    hints = field_types(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    names = set(fields)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in names:
            place, name_there = _placed(f"{where}{key}")
            raise OptionError(f"{place}unknown option '{name_there}': {nearest(name, names)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            inner = _default_of(fields[name]) if default is None else getattr(default, name)
            value = _from_mapping(typing.cast(type, hint), inner, value, f"{where}{name}.")
        arguments[name] = _taken(value, hint)
    options = cls(**arguments) if default is None else dataclasses.replace(default, **arguments)  # type: ignore[type-var]
    return mark_given(check(options, where), arguments)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field with nested options; None where there is none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _taken(value: Any, hint: Any) -> Any:
    """A value as the field's type has it, where that changes nothing of what it says.

    Text is taken as a path where a path is expected, a whole number as a number, one value or
    any sequence of them as a list, and numpy's numbers as Python's.
    """
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return _taken(value, kinds[0]) if len(kinds) == 1 and value is not None else value
    if typing.get_origin(hint) is tuple:
        several = isinstance(value, Iterable) and not isinstance(value, (str, Mapping))
        inner = typing.get_args(hint)[0]
        return tuple(_taken(item, inner) for item in (value if several else [value]))
    if hint is Path and isinstance(value, (str, os.PathLike)):
        return Path(value)
    if hint in (int, float) and not isinstance(value, bool):
        if isinstance(value, numbers.Integral):
            return hint(value)
        if isinstance(value, numbers.Real) and hint is float:
            return float(value)
    return value


def to_dict(options: Any) -> dict[str, Any]:
    """The options as plain values, as JSON and TOML hold them (tuples become lists).

    Parameters
    ----------
    options : dataclass

    Returns
    -------
    dict
    """

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [plain(item) for item in value]
        return value

    result: dict[str, Any] = plain(dataclasses.asdict(options))
    return result


def _check_value(name: str, value: Any, hint: Any, rule: Mapping[str, Any]) -> None:
    if dataclasses.is_dataclass(value):
        check(value, f"{name}.")
        return
    place, name = _placed(name)
    if not _fits(value, hint):
        raise OptionError(f"{place}option '{name}': found {value!r}, expected {_type_name(hint)}")
    unit = f" {rule['unit']}" if rule.get("unit") else ""
    for one in value if isinstance(value, tuple) else (value,):
        if one is None:
            continue
        choices = rule.get("choices")
        if choices is not None and one not in choices:
            raise OptionError(
                f"{place}option '{name}': found {one!r}; {nearest(str(one), choices)}"
            )
        low, high = rule.get("minimum"), rule.get("maximum")
        if low is not None and not one >= low:  # so that NaN is refused
            raise OptionError(
                f"{place}option '{name}': found {one}{unit}, expected at least {low}{unit}"
            )
        if high is not None and not one <= high:
            raise OptionError(
                f"{place}option '{name}': found {one}{unit}, expected at most {high}{unit}"
            )


def _placed(name: str) -> tuple[str, str]:
    """``"file: mel.n_mels"`` as ``("file: ", "mel.n_mels")``."""
    before, mark, after = name.rpartition(": ")
    return before + mark, after


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin is tuple:
        inner = typing.get_args(hint)
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _type_name(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(
            _type_name(part) for part in typing.get_args(hint) if part is not type(None)
        )
    if origin is tuple:
        return f"a list, each {_type_name(typing.get_args(hint)[0])}"
    return names.get(hint, getattr(hint, "__name__", str(hint)))


# What many verbs share: bases of their options, whose fields come last in the help.


DEVICE = "auto, cpu, cuda, cuda:1 or mps"
RUN_CACHE = "folder for decoded clips; 'cache' in the run folder if not given"


def workers_option() -> Any:
    """A field of options: how many decode at once."""
    return option(
        None, "threads that decode, or processes for long work; by default one per core", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """What computes: a base of the options of verbs that use a model."""

    device: str = option("auto", DEVICE)
    workers: int | None = workers_option()


@dataclass(frozen=True, kw_only=True)
class JobOptions(DeviceOptions):
    """What computes, and what a long run needs beside: a base of the options of such verbs."""

    seed: int = option(0, "seed of everything random", minimum=0)
    cache: Path | None = option(None, RUN_CACHE)


# Plain values as TOML text; Python reads TOML, but does not write it.


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """A text, number, truth value or list as TOML has it; what is none of these as text."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    return _text(str(value))


def toml_tables(values: Mapping[str, Any], where: str = "") -> str:
    """A mapping as TOML: its values first, then its mappings and lists of mappings as tables.

    ``where`` is the dotted name of the table that the mapping is.

    Parameters
    ----------
    values : mapping
    where : str
        Dotted name of the table that the mapping is.

    Returns
    -------
    str

    Examples
    --------
    >>> print(toml_tables({"n": 2, "mel": {"n_mels": 64}}), end="")
    n = 2
    <BLANKLINE>
    [mel]
    n_mels = 64
    """
    inner = {key: value for key, value in values.items() if _is_table(value)}
    lines = [f"{_key(k)} = {toml_value(v)}\n" for k, v in values.items() if k not in inner]
    for key, value in inner.items():
        name = f"{where}{_key(key)}"
        if isinstance(value, Mapping):
            below = toml_tables(value, f"{name}.")
            has_own = any(not _is_table(one) for one in value.values()) or not value
            lines.append(f"\n[{name}]\n{below}" if has_own else below)
        else:
            lines += [f"\n[[{name}]]\n{toml_tables(row, f'{name}.')}" for row in value]
    return "".join(lines)


def _is_table(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    return isinstance(value, Mapping)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """The escapes of a JSON text are those of a TOML text, but for one that JSON leaves out."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
