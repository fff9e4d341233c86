"""Two runs of the list side by side, and where their clips are."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from semisonic.apps.web.places import Places
from semisonic.apps.web.runs import Run, Runs
from semisonic.audio import AUDIO_SUFFIXES
from semisonic.base.errors import DataError
from semisonic.evaluation.plain import plain
from semisonic.inference.run_comparison import compare_runs
from semisonic.inference.scored_run import ScoredRun, measured_in, scored_run

MOST_CLIPS = 200
_MOST_TRIED = 5
_PART = re.compile(r"(?P<file>.+)@(?P<start>\d+\.\d+)-(?P<end>\d+\.\d+|nan)")


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording: its file and name, start and end in seconds."""

    path: Path
    name: str
    start_time: float
    end_time: float


@dataclass(frozen=True)
class _Measured:
    """A chosen run, what it scored, the run that this stands in, and of which recordings."""

    scored: ScoredRun
    where: str
    data: Path


def side_by_side(runs: Runs, places: Places, a: str, b: str) -> dict[str, Any]:
    """What stands between two runs, as plain values.

    A model is compared by the evaluations of it that lie in the folder of runs, those two that
    have most clips in common; without any, by its validation clips.

    Raises
    ------
    DataError
        When there is no such run, one has no scores, or they were measured on other clips.
    """
    pairs = itertools.product(_measured(runs, a), _measured(runs, b))
    one, other = max(
        pairs, key=lambda pair: len(pair[0].scored.clips.keys() & pair[1].scored.clips.keys())
    )
    found = compare_runs(one.scored, other.scored)
    test = found.comparison
    return {
        "names": [a, b],
        "where": [one.where, other.where],
        "parts": [one.scored.part, other.scored.part],
        "measures": found.measures,
        "verdict": found.reason if test is None else test.verdict(),
        "tests": None if test is None else plain(
            {"p_clips": test.p_clips, "p_folds": test.p_folds, "low": test.claimed_interval.low,
             "high": test.claimed_interval.high, "difference": test.difference}
        ),
        "counts": [found.n_common, found.n_a, found.n_b],
        "by_precision": one.scored.is_multi_label or other.scored.is_multi_label,
        "classes": [asdict(pair) for pair in found.classes],
        "n_clips": len(found.clips),
        "clips": [
            {**asdict(pair), "is_open": _place(places, one.data, pair.clip) is not None}
            for pair in found.clips[:MOST_CLIPS]
        ],
        "data": str(one.data),
        "settings": found.settings,
        "cautions": [*found.cautions, *(() if test is None else test.cautions)],
    }  # fmt: skip


def clip_place(runs: Runs, places: Places, run: str, clip: str) -> Stretch:
    """Where a run's clip is.

    Raises
    ------
    DataError
        When it is no clip of the run, or its recording is in no opened folder.
    """
    scored = scored_run(runs.get(run).path)
    if clip not in scored.clips:
        raise DataError(f"'{clip}' is no clip of '{run}'")
    data = _data_of(scored)
    found = _place(places, data, clip)
    if found is None:
        raise DataError(f"to hear it start the app with --folder {data}")
    return found


def _data_of(scored: ScoredRun) -> Path:
    return Path(str(scored.options.get("data", "")))


def _place(places: Places, data: Path, clip: str) -> Stretch | None:
    """Where a clip is; None if that is no recording in an opened folder."""
    found = _PART.fullmatch(clip)
    file, start, end = clip, 0.0, math.inf
    if found is not None:
        file, start, end = found["file"], float(found["start"]), float(found["end"])
    for root in (data, data.parent):
        path = root / file
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and places.holds(path):
            return Stretch(path, file, start, math.inf if math.isnan(end) else end)
    return None


def _measured(runs: Runs, name: str) -> list[_Measured]:
    run = runs.get(name)
    if run.record.get("command") == "evaluate" or not run.has_model:
        return [_as_it_is(run)]
    others = {one.path: one for one in runs.all()}
    tests = [others[path] for path in measured_in(run.path, others)][:_MOST_TRIED]
    if not tests:
        return [_as_it_is(run)]
    return [_as_of(run, test) for test in tests]


def _as_of(run: Run, test: Run) -> _Measured:
    """What was measured in one run, under the name and with the options of the model's."""
    options = run.record.get("options", {})
    scored = scored_run(test.path)
    named = replace(scored, folder=run.path, options=options)
    return _Measured(named, test.name, _data_of(scored))


def _as_it_is(run: Run) -> _Measured:
    scored = scored_run(run.path)
    return _Measured(scored, run.name, _data_of(scored))
