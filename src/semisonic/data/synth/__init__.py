"""The embedded data set ``synth``: environmental sounds by procedural synthesis.

Twenty classes of sounds (rain, wind, engines, birds …) are computed from random numbers,
each in many "recordings". A recording fixes what belongs to a place and a source: pitch,
tempo and kind of the sound, room, microphone, background, level. Its clips differ in when
things happen and how exactly. So a split by recording asks the same of a classifier as
real recordings do.

>>> from semisonic.data import synth
>>> synth.make("synth", synth.SynthOptions(n_pool=200))  # doctest: +SKIP
>>> labelled, pool = synth.load("synth")  # doctest: +SKIP
"""

from __future__ import annotations

from semisonic.data.synth.names import CLASSES, OUTSIDE
from semisonic.data.synth.options import SynthOptions
from semisonic.data.synth.plan import Take
from semisonic.data.synth.reader import load
from semisonic.data.synth.writer import make, make_in_cache

__all__ = ["CLASSES", "OUTSIDE", "SynthOptions", "Take", "load", "make", "make_in_cache"]
