"""Values between text and Python: what is typed, what is shown, what TOML holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from semisonic.apps.cli.flags import Flag
from semisonic.base.options import given_names
from semisonic.base.toml import toml_value

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


def as_toml(options: Any) -> str:
    """The options as a TOML text that ``--config`` reads back.

    What is left to ``auto`` stands there as a remark.
    """
    left = getattr(options, "left_to_auto", ())
    return _as_toml(options, left, set(given_names(options, left)) if left else set())


def _as_toml(options: Any, left: Sequence[str], held: set[str], before: str = "") -> str:
    plain, tables = [], []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            below = _as_toml(value, left, held, f"{field.name}.")
            tables.append(f"\n[{field.name}]\n{below}")
        elif (before[:-1] or field.name) in left and before + field.name not in held:
            plain.append(f"# {field.name}: chosen by auto\n")
        elif value is None:
            plain.append(f"# {field.name}: not set\n")
        else:
            plain.append(f"{field.name} = {toml_value(value)}\n")
    return "".join(plain + tables)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
