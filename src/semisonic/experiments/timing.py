"""How long the jobs of an experiment took, and how much memory they held."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from semisonic.experiments.results import Outcome

Row = tuple[str, float, str]


def timing_rows(outcome: Outcome, seconds: float) -> list[Row]:
    """What took how many seconds of one core, and a note: the whole, one job, each row."""
    jobs = {job["name"]: job for job in outcome.jobs}
    memory = max((job.get("peak_memory_mib") or 0 for job in outcome.jobs), default=0)
    note = f"{len(jobs)} jobs" + (f", at most {memory:.0f} MiB a process" if memory else "")
    rows = [("all training", seconds, note)]
    for kind in dict.fromkeys(job["kind"] for job in jobs.values()):
        times = [job["seconds"] for job in jobs.values() if job["kind"] == kind]
        rows.append((f"one {kind} job", median(times), "median"))
    return rows + _of_each_row(outcome.jobs)


def _of_each_row(jobs: tuple[dict[str, Any], ...]) -> list[Row]:
    """All folds and draws of each row of the table; an encoder that serves several counts once."""
    seconds: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    draws: dict[tuple[str, str], set[int]] = defaultdict(set)
    known = {job["name"]: job["seconds"] for job in jobs}
    for job in jobs:
        if job["kind"] == "train":
            row = job["cell"], job["arm"]
            for name in filter(None, (job["name"], job.get("start"))):
                seconds[row][name] = known[name]
            draws[row].add(job["draw"])
    return [
        (f"{cell}: {arm}", sum(parts.values()), f"all folds, draws: {len(draws[cell, arm])}")
        for (cell, arm), parts in seconds.items()
    ]
