"""Training windows for a detector: labelled sounds mixed into background.

A model that is to find sounds in long recordings must have heard them as they are there: at any
time of a window, at any level, with the background of the place around them.

>>> from semisonic.data import load_clips
>>> from semisonic.data.mixing import MixOptions, mix
>>> mix(load_clips("birds"), "windows", MixOptions(copies=3))  # doctest: +SKIP
"""

from __future__ import annotations

from semisonic.data.mixing.adding import add_sound, place_sound, rms
from semisonic.data.mixing.backgrounds import LEVEL, made_up
from semisonic.data.mixing.cutting import Cut, cut_sounds, find_event
from semisonic.data.mixing.long import Composed, compose
from semisonic.data.mixing.options import CutOptions, MixOptions
from semisonic.data.mixing.writer import Mixed, mix

__all__ = [
    "LEVEL",
    "Composed",
    "Cut",
    "CutOptions",
    "MixOptions",
    "Mixed",
    "add_sound",
    "compose",
    "cut_sounds",
    "find_event",
    "made_up",
    "mix",
    "place_sound",
    "rms",
]
