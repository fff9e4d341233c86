"""Fields of an options class as the page shows them, so that page and command line agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest


def fields_of(options_class: type, names: Iterable[str]) -> list[dict[str, Any]]:
    """Name, help, unit, range and default of some options."""
    known = {field.name: field for field in dataclasses.fields(options_class)}
    return [
        {
            "name": name,
            "help": known[name].metadata["help"],
            "unit": known[name].metadata["unit"],
            "minimum": known[name].metadata["minimum"],
            "maximum": known[name].metadata["maximum"],
            "default": known[name].default,
        }
        for name in names
    ]


def settings_of(values: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    """Settings from the texts of a form; what is empty keeps its default.

    Everything is a number but ``threshold``, which options take as a text.

    Raises
    ------
    OptionError
        For a name that is not among them, or no number.
    """
    wanted = tuple(names)
    settings: dict[str, Any] = {}
    for name, text in values.items():
        if name not in wanted:
            raise OptionError(f"unknown option '{name}': {nearest(name, wanted)}")
        if text == "":
            continue
        if name == "threshold":
            settings[name] = _without_path(text)
            continue
        try:
            settings[name] = float(text)
        except ValueError:
            raise OptionError(f"option '{name}': found '{text}', expected a number") from None
    return settings


def _without_path(text: str) -> str:
    """A threshold that is a word or a number; on the command line it may name a file."""
    if text != "auto":
        try:
            float(text)
        except ValueError:
            raise OptionError(
                f"option 'threshold': found '{text}', expected auto or a number from 0 to 1"
            ) from None
    return text
