"""The formats of label files by name, and which of them a file is."""

from __future__ import annotations

from pathlib import Path

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.data.labels import (
    audacity,
    birdnet,
    csv_long,
    csv_wide,
    kaleidoscope,
    raven_write,
)
from semisonic.data.labels.form import Format
from semisonic.data.labels.text import read_head

AUTO = "auto"
BY_NAME: dict[str, Format] = {
    form.name: form
    for form in (
        csv_long.FORMAT,
        csv_wide.FORMAT,
        audacity.FORMAT,
        raven_write.FORMAT,
        raven_write.COMBINED,
        birdnet.FORMAT,
        kaleidoscope.FORMAT,
    )
}
FORMATS = tuple(BY_NAME)
# The more special ones first: a table of BirdNET has a file and a label, too.
_TRIED = ("kaleidoscope", "birdnet", "raven-combined", "raven", "csv", "csv-wide", "audacity")


def format_of(name: str) -> Format:
    """The format of a name.

    Raises
    ------
    OptionError
        When there is none, with the nearest.
    """
    if name not in BY_NAME:
        raise OptionError(f"format: found '{name}'; {nearest(name, FORMATS)}")
    return BY_NAME[name]


def recognise(path: Path) -> Format | None:
    """The format of a file by its content; None when it is none of them."""
    head = read_head(path)
    if head is None:
        return None
    return next((BY_NAME[n] for n in _TRIED if BY_NAME[n].recognise(head)), None)
