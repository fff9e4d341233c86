"""Defaults from a file: a TOML of one's own, or the ``run.json`` of an earlier run."""

from __future__ import annotations

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
    values: dict[tuple[str, ...], Any] = {}
    table = dict(_load(file))
    held = table.pop(GIVEN, None)
    _collect(table, (), flags, file, values)
    if held is None:
        return values
    # A record of a run that left options to ``auto``: what nobody gave is left to it again.
    default = {flag.path: flag.default for flag in flags}
    return {
        path: value
        for path, value in values.items()
        if value != default[path] or ".".join(path) in held
    }


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
    file: Path,
    values: dict[tuple[str, ...], Any],
) -> None:
    tables = {flag.path[: i + 1] for flag in flags for i in range(len(flag.path) - 1)}
    for key, value in table.items():
        name = str(key).replace("-", "_")
        path = (*above, name)
        if path in tables and isinstance(value, Mapping):
            _collect(value, path, flags, file, values)
            continue
        flag = next((f for f in flags if path in (f.path, (f.name,))), None)
        if flag is None:
            known = [
                f.path[-1] if above else f.name for f in flags if f.path[: len(above)] == above
            ]
            where = "".join(f"{part}." for part in above)
            raise OptionError(
                f"--config {file}: unknown option '{where}{key}': "
                f"{nearest(name, known + [t[-1] for t in tables if not above])}"
            )
        values[flag.path] = _plain(value, flag)


def _plain(value: Any, flag: Flag) -> Any:
    """What a file can hold, as the field wants it: lists, whole numbers, paths, 'none'."""
    if value == "none" and flag.may_be_none:
        return None
    if isinstance(value, list):
        return tuple(_plain(item, flag) for item in value)
    if flag.kind is Path and isinstance(value, str):
        return Path(value)
    if flag.kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
