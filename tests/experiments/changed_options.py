"""Options that differ from others in one field, for each field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from semisonic.core.errors import OptionError


def changed(options: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name of each field, and the options with another value of it."""
    for field in dataclasses.fields(options):
        value, name = getattr(options, field.name), before + field.name
        if dataclasses.is_dataclass(value):
            for inner, other in changed(value, f"{name}."):
                yield inner, dataclasses.replace(options, **{field.name: other})
            continue
        for other in _others(value, field.metadata):
            try:
                yield name, dataclasses.replace(options, **{field.name: other})
            except OptionError:  # does not go with the other fields
                continue
            break
        else:
            raise AssertionError(f"no other value of {name} can be made: {value!r}")


def _others(value: Any, rule: Any) -> Iterator[Any]:
    choices, low, high = (rule.get(name) for name in ("choices", "minimum", "maximum"))
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, tuple):
        yield (*value, *((choices or (3,))[:1] if choices != value else ()))
        yield ()
    elif choices:
        yield from (one for one in choices if one != value)
    elif isinstance(value, str):
        yield value + "x"
    else:
        for other in ((value or 0) * 2 + 1, (value or 0) / 2, low, high, -1.0):
            if other is None or other == value:
                continue
            if (low is None or other >= low) and (high is None or other <= high):
                yield other if value is None else type(value)(other)
