"""The sounds are the same on every machine and in every release of one format.

When this fails because a sound was changed on purpose, raise ``FORMAT`` in
``data/synth/dataset.py``, so that sets made before are not taken for new ones, and write the
new numbers down here.
"""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.data.options import CLASSES, OUTSIDE, SynthOptions
from semisonic.data.synth.dataset import FORMAT
from semisonic.data.synth.render import render

POSITIONS = (2000, 6000, 10000, 14000)

# Of one clip of each sound: level (dB) and four samples (of 32768).
FIXED: dict[str, tuple[float, tuple[int, int, int, int]]] = {
    "rain": (-18.89, (-86, 2423, 7219, -1726)),
    "wind": (-25.47, (441, -1728, 1012, -776)),
    "sea_waves": (-21.60, (-2465, -68, 4711, -58)),
    "crackling_fire": (-26.40, (1183, -1084, -243, 789)),
    "engine": (-18.33, (-4299, -743, 3122, -1732)),
    "helicopter": (-22.56, (604, 1093, -767, 1)),
    "siren": (-32.90, (-62, -490, 993, -542)),
    "bell": (-28.77, (-700, -347, 1106, 39)),
    "clock_tick": (-28.54, (-504, 1997, -810, 73)),
    "footsteps": (-34.02, (-10, 39, -11, 41)),
    "bird": (-18.47, (-1304, 222, -3423, 159)),
    "cricket": (-19.56, (-795, -1746, 6521, -1415)),
    "dog_bark": (-34.95, (-186, -13, 92, 27)),
    "frog": (-32.37, (354, -125, -204, -464)),
    "chainsaw": (-24.28, (-192, -1268, 2869, 497)),
    "rooster": (-21.44, (-36, -2069, 8921, 12885)),
    "door_knock": (-29.54, (-1915, -309, 12, -457)),
    "keyboard": (-24.83, (-79, 28, 327, -336)),
    "water_drops": (-22.28, (6061, 2118, -29, -883)),
    "thunder": (-19.89, (7, 7265, -2525, 9276)),
    "babble": (-36.49, (197, -1367, 575, 438)),
    "melody": (-24.50, (-1439, -2927, -3820, -1670)),
    "crow": (-41.69, (-39, -8, -114, -447)),
    "vacuum": (-24.17, (1679, 4763, -1060, 1433)),
    "shower": (-30.74, (-1421, -565, -1284, -686)),
    "clatter": (-32.80, (1026, 939, 400, -201)),
}


def test_the_numbers_below_are_of_this_format() -> None:
    assert FORMAT == 1
    assert set(FIXED) == set(CLASSES) | set(OUTSIDE)


@pytest.mark.parametrize("name", FIXED)
def test_a_sound_has_not_changed(name: str) -> None:
    """Processors round differently: a thousandth of the loudest sample is let pass."""
    x = render(SynthOptions(duration=1.0, sample_rate=16000), f"{name}-000", 0, (name,)).astype(
        float
    )
    level_db, samples = FIXED[name]
    assert 20 * np.log10(np.sqrt(np.square(x).mean())) == pytest.approx(level_db, abs=0.02)
    allowed = 1e-3 * np.abs(x).max() + 1 / 32768
    np.testing.assert_allclose(x[list(POSITIONS)], np.array(samples) / 32768, atol=allowed)
