"""The sounds, one function each: ``sound(place, take, n, rate)``.

``place`` gives the numbers that belong to a recording: pitch, tempo, kind, ground. It is
the same stream for every clip of that recording. ``take`` gives what differs from clip to
clip: when things happen and how exactly. ``n`` is the number of samples, ``rate`` the
sample rate in Hz. The level of what comes back has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from semisonic.data.synth.draw import Generator, Wave
from semisonic.data.synth.sounds.birds import bird, crow, rooster
from semisonic.data.synth.sounds.calls import cricket, dog_bark, frog
from semisonic.data.synth.sounds.engines import chainsaw, engine, helicopter, vacuum
from semisonic.data.synth.sounds.fire import crackling_fire
from semisonic.data.synth.sounds.impacts import (
    clatter,
    clock_tick,
    door_knock,
    footsteps,
    keyboard,
)
from semisonic.data.synth.sounds.people import babble, melody
from semisonic.data.synth.sounds.signals import bell, siren
from semisonic.data.synth.sounds.water import sea_waves, shower, water_drops
from semisonic.data.synth.sounds.weather import rain, thunder, wind

Sound: TypeAlias = Callable[[Generator, Generator, int, int], Wave]

SOUNDS: dict[str, Sound] = {
    sound.__name__: sound
    for sound in (
        *(rain, wind, thunder, sea_waves, water_drops, shower, crackling_fire),
        *(engine, chainsaw, helicopter, vacuum, siren, bell),
        *(clock_tick, footsteps, door_knock, keyboard, clatter),
        *(bird, rooster, crow, cricket, frog, dog_bark, babble, melody),
    )
}
"""Every sound by its name."""
