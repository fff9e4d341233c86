"""Plain values as TOML text; Python reads TOML, but does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

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
