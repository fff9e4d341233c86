"""The map as a piece of a page: points on a canvas that play when they are touched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.evaluation.report.blocks import Block
from semisonic.evaluation.report.markup import escape
from semisonic.labeling.map_points import OTHERS, Meaning
from semisonic.labeling.map_sounds import LINK, Sounds


@dataclass(frozen=True)
class SoundMap(Block):
    """Points with names and sounds.

    Attributes
    ----------
    places : ndarray, shape (n, 2)
        Within 0 to 1.
    names : sequence of str
        Of the recordings.
    times : ndarray, shape (n, 2)
        Start and end in the recording, seconds.
    meanings : mapping of str to Meaning
    colour : str
        The meaning at the beginning; empty if there is none.
    sounds : Sounds
    """

    places: NDArray[np.float64]
    names: Sequence[str]
    times: NDArray[np.float64]
    meanings: Mapping[str, Meaning]
    colour: str
    sounds: Sounds

    @property
    def style(self) -> str:
        """The rules that the page needs for it."""
        return _file("map.css")

    @property
    def script(self) -> str:
        """What draws and plays."""
        return _file("map.js")

    @property
    def media(self) -> str:
        """Where sounds may come from besides the page itself."""
        return "'self' file:" if self.sounds.kind == LINK else ""

    def html(self) -> str:
        """A frame from the file, and the points as data."""
        options = "".join(
            f'<option value="{escape(name)}"{" selected" * (name == self.colour)}>'
            f"{escape(meaning.title)}</option>"
            for name, meaning in self.meanings.items()
        )
        # "<" is written so that no name can end the element.
        data = json.dumps(self._data(), ensure_ascii=True, separators=(",", ":"))
        return (
            _file("map.html")
            .replace("{{options}}", options)
            .replace("{{count}}", str(len(self.places)))
            .replace("{{data}}", data.replace("<", "\\u003c"))
        )

    def plain(self) -> dict[str, Any]:
        """The points without sounds."""
        return {"kind": "map", **self._data(), "sources": None}

    def _data(self) -> dict[str, Any]:
        recordings = list(dict.fromkeys(self.names))
        number = {name: i for i, name in enumerate(recordings)}
        return {
            "x": np.round(self.places[:, 0], 4).tolist(),
            "y": np.round(self.places[:, 1], 4).tolist(),
            "recordings": [_printable(name) for name in recordings],
            "recording": [number[name] for name in self.names],
            "start": np.round(self.times[:, 0], 3).tolist(),
            "end": np.round(self.times[:, 1], 3).tolist(),
            "meanings": {
                name: {
                    "title": meaning.title,
                    "names": [_printable(value) for value in meaning.names],
                    "of": meaning.of.tolist(),
                }
                for name, meaning in self.meanings.items()
            },
            "others": OTHERS,
            "colour": self.colour,
            "kind": self.sounds.kind,
            "sources": list(self.sounds.sources),
        }


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
