"""Defaults from a file: a TOML of one's own, or the ``run.json`` of an earlier run."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semisonic.apps.cli.flags import Flag
from semisonic.base.errors import OptionError
from semisonic.base.options import GIVEN, nearest


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
