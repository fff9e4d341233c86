"""Options: one frozen dataclass per verb defines parser, recipe, record and documentation.

A field made with :func:`option` has a help text, a unit, choices and a range::

    @dataclass(frozen=True)
    class MelOptions:
        n_mels: int = option(64, "number of mel bands", minimum=1)
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
from types import NoneType
from typing import Any, TypeVar

from semisonic.core.errors import OptionError

T = TypeVar("T")
_GIVEN = "_given"
GIVEN = "given"
"""Key of a run record: the options that were given although ``auto`` could choose them."""


class OpenChoices(Sequence[str]):
    """Choices that may grow while the program runs: ``more`` is read at each use."""

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
    """A dataclass field with its documentation and limits.

    Parameters
    ----------
    default : object
        ``dataclasses.MISSING`` if a value must be given.
    help : str
        Description for ``--help`` and the reference.
    unit : str
    choices : iterable of str, optional
    minimum, maximum : float, optional
        Inclusive limits.

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
        The name found.
    names : iterable of str
        The known names.

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
    return "expected one of: " + ", ".join(sorted(known))


def field_types(cls: type) -> dict[str, Any]:
    """The resolved type of each field of an options class."""
    return typing.get_type_hints(cls)


class ValueType:
    """The type of a field: one value or several, of which kind, and whether None is allowed.

    Attributes
    ----------
    kind : type
        The kind of one value; ``object`` for alternatives, which are not checked.
    is_list, may_be_none : bool
    """

    def __init__(self, hint: Any) -> None:
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        kinds = [one for one in (typing.get_args(hint) if union else [hint]) if one is not NoneType]
        self.may_be_none = union and NoneType in typing.get_args(hint)
        self.is_list = typing.get_origin(kinds[0]) is tuple
        kind = typing.get_args(kinds[0])[0] if self.is_list else kinds[0]
        self.kind: type = kind if len(kinds) == 1 and isinstance(kind, type) else object

    def __str__(self) -> str:
        name = _KINDS.get(self.kind, self.kind.__name__)
        return f"a list of values, each {name}" if self.is_list else name

    def taken(self, value: Any) -> Any:
        """A value converted to the type, if that keeps its meaning.

        Text becomes a path where a path is expected, a whole number a float, one value or any
        sequence a list, a number of numpy one of Python, and "none" None.
        """
        if self.may_be_none and (value is None or value == "none"):
            return None
        if not self.is_list:
            return self._one(value)
        several = isinstance(value, Iterable) and not isinstance(value, str | Mapping)
        return tuple(map(self._one, value if several else [value]))

    def _one(self, value: Any) -> Any:
        if self.kind is Path and isinstance(value, str | os.PathLike):
            return Path(value)
        if isinstance(value, bool):
            return value
        if self.kind is int and isinstance(value, numbers.Integral):
            return int(value)
        if self.kind is float and isinstance(value, numbers.Real):
            return float(value)
        return value

    def fits(self, value: Any) -> bool:
        """Whether a value has the type."""
        if value is None:
            return self.may_be_none
        if self.is_list != isinstance(value, tuple) and self.kind is not object:
            return False
        kinds = (int, float) if self.kind is float else (self.kind,)
        return all(
            isinstance(one, kinds) and not (isinstance(one, bool) and self.kind in (int, float))
            for one in (value if self.is_list else (value,))
        )


_KINDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}


def check(options: T, where: str = "") -> T:
    """Return the options if every value has its type, choice and range.

    Parameters
    ----------
    options : dataclass
    where : str
        Prefix of names in error messages.

    Returns
    -------
    dataclass
        The same.

    Raises
    ------
    OptionError
        With the name, the value found and the values allowed.
    """
    hints = field_types(type(options))
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            check(value, f"{where}{field.name}.")
        else:
            _check_value(
                f"{where}{field.name}", value, ValueType(hints[field.name]), field.metadata
            )
    return options


def _check_value(name: str, value: Any, kind: ValueType, rule: Mapping[str, Any]) -> None:
    place, name = _placed(name)
    unit = f" {rule['unit']}" if rule.get("unit") else ""

    def refused(found: object, expected: str) -> OptionError:
        return OptionError(f"{place}option '{name}': found {found}{expected}")

    if not kind.fits(value):
        raise refused(repr(value), f", expected {kind}{f' ({unit.strip()})' * bool(unit)}")
    low, high, choices = (rule.get(key) for key in ("minimum", "maximum", "choices"))
    for one in value if isinstance(value, tuple) else () if value is None else (value,):
        if choices is not None and one not in choices:
            raise refused(repr(one), f"; {nearest(str(one), choices)}")
        if low is not None and not one >= low:  # so that NaN is refused
            raise refused(f"{one}{unit}", f", expected at least {low}{unit}")
        if high is not None and not one <= high:
            raise refused(f"{one}{unit}", f", expected at most {high}{unit}")


def _placed(name: str) -> tuple[str, str]:
    """``"file: mel.n_mels"`` as ``("file: ", "mel.n_mels")``."""
    before, mark, after = name.rpartition(": ")
    return before + mark, after


def from_mapping(
    cls: type[T], values: Mapping[str, Any], where: str = "", default: T | None = None
) -> T:
    """Build options from a mapping (a recipe's table); unknown keys are errors.

    Nested options classes take nested mappings; missing keys get the defaults of the outer class.
    Keys of the mapping count as given, see :func:`given`.

    Parameters
    ----------
    cls : type
        A class of options.
    values : mapping
    where : str
        Prefix of names in error messages; a part that ends with ``": "``, such as a file, starts
        the message.
    default : object of ``cls``, optional
        Values for missing keys.

    Returns
    -------
    object of ``cls``

    Raises
    ------
    OptionError
        For an unknown key, or a value of another type or out of range.
    """
    hints = field_types(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            place, there = _placed(f"{where}{key}")
            raise OptionError(f"{place}unknown option '{there}': {nearest(name, fields)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            inner = default_of(fields[name]) if default is None else getattr(default, name)
            inner = None if inner is dataclasses.MISSING else inner
            value = from_mapping(typing.cast(type, hint), value, f"{where}{name}.", inner)
        arguments[name] = ValueType(hint).taken(value)
    options = cls(**arguments) if default is None else dataclasses.replace(default, **arguments)  # type: ignore[type-var]
    return mark_given(check(options, where), arguments)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; ``dataclasses.MISSING`` if it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def given(options: Any, default: Any) -> frozenset[str]:
    """Names of the fields that the user set, which nothing else may choose.

    For options read from a command line or a file, these are the fields given there, whatever
    their value; for other options, those that differ from ``default``.

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
    """Dotted names of the given options among some fields and groups."""
    default = type(options)()
    own = given(options, default)
    for name in wanted:
        value = getattr(options, name)
        if dataclasses.is_dataclass(value):
            yield from (f"{name}.{inner}" for inner in given(value, getattr(default, name)))
        elif name in own:
            yield name


def mark_given(options: T, names: Iterable[str]) -> T:
    """A copy of the options with exactly these fields marked as given."""
    marked = copy.copy(options)
    object.__setattr__(marked, _GIVEN, frozenset(names))
    return marked


def changed(options: T, **values: Any) -> T:
    """A copy of the options with other values, which count as given, too."""
    before: frozenset[str] = getattr(options, _GIVEN, frozenset())
    return mark_given(dataclasses.replace(options, **values), before | values.keys())  # type: ignore[type-var]


def to_dict(options: Any) -> dict[str, Any]:
    """The options as plain values for JSON and TOML (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    result: dict[str, Any] = plain(dataclasses.asdict(options))
    return result


# What many verbs share: bases of their options, whose fields come last in the help.


DEVICE = "device: auto, cpu, cuda, cuda:1 or mps"
RUN_CACHE = "folder for decoded clips; by default 'cache' in the run folder"


def same_option(cls: type, name: str) -> Any:
    """A copy of a field of another options class, for a function that takes it separately."""
    field = next(field for field in dataclasses.fields(cls) if field.name == name)
    return dataclasses.field(default=field.default, metadata=field.metadata)


LOCAL, RAY = "local", "ray"


@dataclass(frozen=True)
class EngineOptions:
    """Where to compute. No result depends on it, so a run can continue with another engine."""

    engine: str = option(
        LOCAL,
        "where to compute: local, threads and processes of this machine; ray, a Ray cluster "
        "(needs 'semisonic[cluster]')",
        choices=(LOCAL, RAY),
    )
    address: str | None = option(
        None,
        "address of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; by default the "
        "value of the variable RAY_ADDRESS, else a Ray on this machine that ends with the command",
    )


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Device and workers: a base of the options of verbs that use a model."""

    device: str = option("auto", DEVICE)
    workers: int | None = option(
        None,
        "number of decoding threads, or of processes for long work; by default one per core",
        minimum=1,
    )


@dataclass(frozen=True, kw_only=True)
class JobOptions(DeviceOptions):
    """Device, workers, seed and cache: a base of the options of verbs with long runs."""

    seed: int = option(0, "seed of all random choices", minimum=0)
    cache: Path | None = option(None, RUN_CACHE)


# Plain values as TOML text; Python reads TOML, but does not write it.


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """A text, number, boolean, list or mapping as TOML; anything else as text."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, (int, float)) else _text(str(value))


def toml_text(values: Mapping[str, Any]) -> str:
    """A mapping as TOML: its values first, then a table of each mapping in it.

    Examples
    --------
    >>> print(toml_text({"n": 2, "mel": {"n_mels": 64}}), end="")
    n = 2
    <BLANKLINE>
    [mel]
    n_mels = 64
    """
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    parts: list[tuple[str, Mapping[str, Any]]] = []
    parts.append(("", {key: value for key, value in values.items() if key not in tables}))
    parts += [(f"\n[{_key(key)}]\n", table) for key, table in tables.items()]
    return "".join(
        title + "".join(f"{_key(key)} = {toml_value(value)}\n" for key, value in table.items())
        for title, table in parts
    )


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """Text in TOML's quotes: JSON has the same escapes, except for one."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
