"""A label log: what people answered, as :class:`semisonic.labeling.LabelLog` keeps it."""

from __future__ import annotations

import numpy as np

from semisonic.base.errors import DataError
from semisonic.base.members import is_there
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.label_log import is_log, read_log
from semisonic.data.readers.place import Place, ReadOptions
from semisonic.data.standing import Current, replay

_SHOWN = 3


def recognise(place: Place) -> str | None:
    """A file whose first line is that of a log."""
    if place.is_log and is_log(place.path):
        return "its first line is that of a label log"
    return None


def read(place: Place, options: ReadOptions) -> Clips:
    """What holds now: each answered stretch as a clip.

    Raises
    ------
    DataError
        When recordings are missing, or a line is no entry.
    """
    found = read_log(place.path)
    current = Current(found.root, replay(found.entries), options.name or place.name)
    clips = current.clips(group=options.group)
    missing = sorted({str(p) for p in set(clips.paths) if not is_there(p)})
    problems = [*found.problems, *((path, "no such recording") for path in missing)]
    if problems and not options.allow_missing:
        first = "; ".join(f"{where}: {reason}" for where, reason in problems[:_SHOWN])
        raise DataError(
            f"{place.path}: {counted(len(problems), 'place')} of the label log cannot be used: "
            f"{first}"
        )
    if missing:
        clips = clips[np.array([is_there(path) for path in clips.paths], np.bool_)]
    notes = [f"{counted(len(problems), 'place')} of the log cannot be used"] if problems else []
    return clips.with_columns(notes=(*clips.notes, *notes))
