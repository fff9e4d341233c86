"""How long the rows of a result took."""

from __future__ import annotations

from typing import Any

from semisonic.experiments.results import ExperimentOutcome, timing_rows


def job(name: str, cell: str, seconds: float, **more: Any) -> dict[str, Any]:
    kind = "train" if "arm" in more else "pre-train"
    return {"name": name, "cell": cell, "kind": kind, "seconds": seconds, "draw": 0, **more}


def test_an_encoder_that_serves_several_draws_counts_once_a_row() -> None:
    jobs = (
        job("e", "4 per class", 100.0, peak_memory_mib=700.0),
        job("c", "4 per class", 30.0, arm="alone", start=""),
        job("t0", "4 per class", 1.0, arm="with", start="e"),
        job("t1", "4 per class", 2.0, arm="with", start="e", draw=1, peak_memory_mib=None),
        job("e", "8 per class", 100.0),
        job("t2", "8 per class", 3.0, arm="with", start="e"),
    )
    outcome = ExperimentOutcome(None, (), jobs)  # type: ignore[arg-type]
    rows = {what: (seconds, note) for what, seconds, note in timing_rows(outcome, 136.0)}
    assert rows["all training"] == (136.0, "5 jobs, at most 700 MiB a process")
    assert rows["one pre-train job"][0] == 100.0
    assert rows["4 per class: with"] == (103.0, "all folds, draws: 2")
    assert rows["4 per class: alone"] == (30.0, "all folds, draws: 1")
    assert rows["8 per class: with"] == (103.0, "all folds, draws: 1")


def test_jobs_of_an_earlier_version_that_did_not_tell_their_memory_are_no_obstacle() -> None:
    jobs = (job("c", "all labels", 30.0, arm="alone"),)
    rows = timing_rows(ExperimentOutcome(None, (), jobs), 30.0)  # type: ignore[arg-type]
    assert rows[0] == ("all training", 30.0, "1 jobs")
