"""What differs between what was recorded and what is asked for now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any], where: str = "") -> list[str]:
    """One phrase for each value that is not the same in two nested mappings.

    A table that only one of them has is named without its values.
    """
    changed: list[str] = []
    for key in [*found, *(key for key in wanted if key not in found)]:
        old, new = found.get(key, "nothing"), wanted.get(key, "nothing")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += differences(old, new, f"{where}{key}.")
        elif old != new:
            changed.append(f"'{where}{key}' was {_short(old)}, now {_short(new)}")
    return changed


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} options"
    if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        return f"a list of {len(value)}"
    return str(value)
