"""What the options of ``detect`` and ``listen`` have in common. No torch here."""

from __future__ import annotations

AUTO = "auto"
BACKGROUND = ("background", "noise", "silence", "other")
THRESHOLD = (
    "score that an event must reach: a number from 0 to 1; a CSV file with the columns label and "
    "threshold; or auto, the model's own where it has some, else 0.5"
)
CLASSES = "only these classes; all but background if none given"
NO_EVENTS = "classes that are no events, as far as the model has them"
