"""What was found, held against what people marked in the same recordings."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError
from semisonic.data.events import POSITIVE
from semisonic.data.labels import collect_labels
from semisonic.evaluation.events import score_events, score_overlaps
from semisonic.inference.detecting.result import DetectResult
from semisonic.inference.detecting.truth_scores import TruthScores

_log = logging.getLogger(__name__)
_SHOWN = 3


def hold_against(result: DetectResult, labels: Path) -> TruthScores:
    """Score what was found by label files of the same recordings.

    Parameters
    ----------
    result : DetectResult
    labels : Path
        A label file or a folder of them, in any format that is known.

    Raises
    ------
    DataError
        When no label file speaks of any of the recordings.
    """
    own = {os.path.abspath(file): file for file in result.durations}
    root = Path(os.path.commonpath([os.path.dirname(file) for file in own])) if own else Path()
    found = collect_labels(labels, root=root)
    named = {file: os.path.abspath(root / file) for file in found.recordings}
    places = {file: own[path] for file, path in named.items() if path in own}
    if not places:
        why = f"; {found.problems[0][1]}" if found.problems else ""
        raise DataError(
            f"{labels}: speaks of none of the recordings that were heard, such as "
            f"{next(iter(result.durations), 'none')}{why}"
        )
    for where, reason in found.problems[:_SHOWN]:
        _log.warning("%s: %s", where, reason)
    marked = found.events
    marked = marked[np.isin(marked.file, list(places)) & (marked.presence == POSITIVE)]
    unknown = tuple(sorted(set(marked.label.tolist()) - set(result.labels)))
    marked = marked[np.isin(marked.label, result.labels)]
    true = replace(marked, file=np.array([places[f] for f in marked.file.tolist()], np.str_))
    heard = sorted(set(places.values()))
    events = result.events[np.isin(result.events.file, heard)]
    hours = sum(result.durations[file] for file in heard) / 3600
    return TruthScores(
        score_overlaps(true, events, hours=hours), score_events(true, events, hours=hours),
        len(heard), hours, unknown,
    )  # fmt: skip
