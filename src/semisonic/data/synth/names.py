"""The names of the sounds, light enough to be read by a command line."""

from __future__ import annotations

CLASSES: tuple[str, ...] = (
    "rain",
    "wind",
    "sea_waves",
    "crackling_fire",
    "engine",
    "helicopter",
    "siren",
    "bell",
    "clock_tick",
    "footsteps",
    "bird",
    "cricket",
    "dog_bark",
    "frog",
    "chainsaw",
    "rooster",
    "door_knock",
    "keyboard",
    "water_drops",
    "thunder",
)
"""The classes in their order; a set of n classes takes the first n."""

OUTSIDE: tuple[str, ...] = ("babble", "melody", "crow", "vacuum", "shower", "clatter")
"""Sounds that are never a class: they occur in the unlabelled pool and in backgrounds."""
