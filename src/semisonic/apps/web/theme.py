"""Colours and fonts of the page: those of the reports, with a switch for light and dark."""

from __future__ import annotations

import functools
import re
from importlib.resources import files

NAME = "theme.css"
_BLOCK = re.compile(r":root\s*\{(.*?)\}", re.DOTALL)


@functools.cache
def theme() -> str:
    """The style sheet: the reports' two sets of colours, chosen by ``data-theme`` on the root.

    Reports ask the system; the page has a switch of its own.
    """
    source = files("semisonic.evaluation.report") / "colours.css"
    light, dark = _BLOCK.findall(source.read_text(encoding="utf-8"))
    light = light.replace("color-scheme: light dark", "color-scheme: light")
    return (
        f"/* Made from the colours of the reports. */\n:root {{{light}}}\n"
        f':root[data-theme="dark"] {{ color-scheme: dark;{dark}}}\n'
    )
