"""Sounds to try the page with, made by the package itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.options import nearest

RATE = 22050
_SECONDS = 5.0
_FADE = 0.5
_SNR_DB = 24.0
_SINGLE = {
    "dog_bark": "Dog bark",
    "bird": "Bird",
    "rain": "Rain",
    "siren": "Siren",
    "clock_tick": "Clock tick",
    "footsteps": "Footsteps",
}
_WALK = ("wind", "bird", "dog_bark", "footsteps", "engine", "bell", "crow", "rain", "thunder")
WALK = "walk"


def examples() -> list[dict[str, str]]:
    """Name and title of each."""
    single = [{"name": name, "title": title} for name, title in _SINGLE.items()]
    return [*single, {"name": WALK, "title": "A walk, 40 s"}]


def make_example(name: str) -> NDArray[np.float32]:
    """The samples of an example at ``RATE``; the same each time.

    Raises
    ------
    DataError
        When there is none of that name.
    """
    if name == WALK:
        return _joined([_sound(one, number) for number, one in enumerate(_WALK)])
    if name not in _SINGLE:
        raise DataError(f"no example '{name}'; {nearest(name, [*_SINGLE, WALK])}")
    return _sound(name, 0)


def _sound(name: str, number: int) -> NDArray[np.float32]:
    from semisonic.data.synth.plan import Take
    from semisonic.data.synth.render import render

    recording = f"example-{name}"
    return render(Take(1, recording, number, (name,), _SECONDS, RATE, _SNR_DB))


def _joined(waves: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One after the other, each fading into the next."""
    n = round(_FADE * RATE)
    rise = np.sin(np.linspace(0, np.pi / 2, n)).astype(np.float32)
    step = len(waves[0]) - n
    result = np.zeros(step * len(waves) + n, np.float32)
    for number, wave in enumerate(waves):
        faded = wave.copy()
        faded[:n] *= rise
        faded[-n:] *= rise[::-1]
        result[number * step : number * step + len(wave)] += faded
    peak = float(np.abs(result).max())
    return result / np.float32(max(peak, 1.0))
