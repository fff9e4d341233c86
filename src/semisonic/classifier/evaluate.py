"""``evaluate``: measure a model on clips that it was not trained on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from semisonic.audio.player import Player, clip_player
from semisonic.classifier.measuring import PART_COLUMNS, Measurement, by_part, measure
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.options import EvaluateOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.provenance import (
    ROLES,
    DataPart,
    Overlap,
    PublishedOrigin,
    overlaps,
    refuse_seen,
)
from semisonic.classifier.run_files import open_run, record_data, recordings_in, unreadable
from semisonic.classifier.scoring import score_clips
from semisonic.classifier.selection import clips_for_model
from semisonic.core.errors import DataError
from semisonic.core.files import content_hash, json_ready, write_frame, write_json
from semisonic.core.html import Result
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.text import count_text, duration_text, percent_text, text_table
from semisonic.data.clips import Clips
from semisonic.evaluation.calibration import reliability
from semisonic.evaluation.plots.results import class_recall, confusion_matrix, reliability_diagram
from semisonic.evaluation.published import listeners
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Number,
    Report,
    Verdict,
)
from semisonic.evaluation.statistics import wilson
from semisonic.models.inspection import count_macs, count_parameters, macs_text
from semisonic.models.model_file import published_in, read_about
from semisonic.models.sound_model import SoundModel

SEEN = (
    "these clips are not a test: {}. Evaluate on other recordings (train --test-fold keeps a "
    "fold apart), or give --allow-seen to get the numbers anyway"
)
REPORTED = ("by", "bootstrap", "json")
"""Options of the report only: if they change, the report of the same run is made again."""
MOST_PARTS = 60
"""Rows of a table on the page; parts.csv has all."""
MOST_MISTAKES = 12
"""Mistakes with a player."""
PERCENT = dict.fromkeys(("value", "precision", "F1", "average precision"), percent_text)
_LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top_3_accuracy": "among the best three",
    "lwlrap": "lwlrap",
    "mean_average_precision": "mean average precision",
}
_MEANING = {
    "top_3_accuracy": "clips whose class has one of the three highest scores",
    "mean_average_precision": "of clips in the order of a class's score, mean over classes",
    "lwlrap": "of classes in the order of a clip's scores, mean over labels",
}


@dataclass(frozen=True)
class EvaluateResult(Result):
    """The result of ``evaluate``.

    Attributes
    ----------
    measurement : Measurement
        Scores, metrics with intervals, confusion.
    parts : DataFrame
        The result on each part, for each division that was asked for: see
        :func:`semisonic.classifier.measuring.by_part`.
    numbers : mapping of str to Any
        The content of metrics.json.
    overlaps : tuple of Overlap
        What the clips share with the recordings that the model was trained on.
    failures : tuple of (str, str)
    warnings, notes : tuple of str
        What a reader of the numbers must know about the model and the clips.
    report : Path
        The HTML page.
    """

    measurement: Measurement
    parts: pd.DataFrame
    numbers: Mapping[str, Any]
    overlaps: tuple[Overlap, ...]
    failures: Failures
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    report: Path

    @property
    def metrics(self) -> Mapping[str, Any]:
        """As :func:`semisonic.evaluation.metrics.summary` gives them."""
        return self.measurement.metrics

    def to_frame(self) -> pd.DataFrame:
        """A row per clip: labels, recording, best class, and the score of each class."""
        return self.measurement.to_frame()

    def _html_parts(self) -> Iterable[Markup]:
        return self.measurement.html_parts()

    def summary(self) -> str:
        """For a terminal."""
        m = self.measurement
        rows = [
            [_LABELS[name], percent_text(m.metrics[name]), _ends(ends)]
            for name, ends in m.intervals.items()
        ]
        lines = [
            _amount(m),
            text_table(["measure", "value", f"{100 * m.level:g} % interval"], rows, ruled=True),
        ]
        if m.others:
            others = (f"{name.replace('_', ' ')} {percent_text(v)}" for name, v in m.others.items())
            lines.append(f"also: {', '.join(others)}")
        pairs = m.confused_pairs(3)
        if pairs:
            lines.append("most confused: " + "; ".join(f"{a} as {b} ({n})" for a, b, n in pairs))
        for by, parts in self.parts.groupby("by", sort=False):
            worst = parts.sort_values("value", kind="stable").head(3)
            names = (
                f"{part} {percent_text(value)} of {clips} clips"
                for part, value, clips in worst[["part", "value", "clips"]].to_numpy()
            )
            lines.append(f"worst by {by}: {'; '.join(names)}")
        lines += [*self.warnings, *self.notes, *unreadable(self.failures), f"report: {self.report}"]
        return "\n".join(lines)


def _ends(interval: tuple[float, float]) -> str:
    return f"{percent_text(interval[0])} to {percent_text(interval[1])}"


def _amount(m: Measurement) -> str:
    recordings = count_text(len(np.unique(m.clips.group)), "recording")
    return f"{count_text(len(m.clips), 'clip')} of {recordings}, {len(m.clips.classes)} classes"


def evaluate(options: EvaluateOptions) -> EvaluateResult:
    """Score every labelled clip once and write the report.

    Raises
    ------
    DataError
        If the model was trained on some clips (unless ``allow_seen``), or if clips have labels
        that it does not know (unless ``allow_unknown``), cannot be read, or are all unverified.
    ModelError
        If the model file is missing or damaged.
    """
    check(options)
    file = find_file(options.model, MODEL)
    model, about = open_model(file), read_about(file)["about"]
    clips, unknown = clips_for_model(options, model, "evaluate", "an evaluation")
    with open_run("evaluate", options, free=REPORTED) as run:
        run.add_data("model", content_hash(file)[:16])
        hashes = record_data(run, clips, options.workers)
        cache = run.path("cache")
        seen = overlaps(clips, hashes, about, workers=options.workers, cache=cache)
        refuse_seen(seen, SEEN, allowed=options.allow_seen)
        grouped = recordings_in(run, clips, options, cache=cache)
        m, failures, cost = _measure_model(model, grouped.clips, options)
        run.add_bad_files(failures)
        write_frame(run.path("scores.csv"), m.to_frame(), 5)
        parts = [by_part(m, by, n_resamples=options.bootstrap) for by in options.by]
        table = pd.concat(parts) if parts else pd.DataFrame(columns=PART_COLUMNS)
        run.path("parts.csv").unlink(missing_ok=True)  # of a report with other parts
        if parts:
            write_frame(run.path("parts.csv"), table, 5)
        numbers: dict[str, Any] = {
            **m.metrics,
            "n_recordings": len(np.unique(m.clips.group)),
            "intervals": {name: list(ends) for name, ends in m.intervals.items()},
            "level": m.level,
            "classes": list(m.clips.classes),
            "confusion": None if m.confusion is None else m.confusion.tolist(),
            "cost": cost,
        }
        origin = PublishedOrigin.of(about)
        if origin is not None:
            numbers["published_weights"] = published_in(about)
        write_json(run.path("metrics.json"), json_ready(numbers))
        warnings = [] if origin is None else [f"note: the model {origin.text()}"]
        warnings += [f"warning: {overlap.text()}; the numbers are too good" for overlap in seen]
        if unknown:
            warnings.append(
                f"clips left out, as the model does not know their labels: {', '.join(unknown)}"
            )
        result = EvaluateResult(
            m,
            table,
            json_ready(numbers),
            tuple(seen),
            failures,
            tuple(warnings),
            (*clips.notes, *grouped.notes),
            run.folder / "report.html",
        )
        _write_report(result, model, about, file)
    return result


def _measure_model(
    model: SoundModel, clips: Clips, options: EvaluateOptions
) -> tuple[Measurement, Failures, dict[str, float | None]]:
    """The measurement of the readable clips, the other clips with reasons, and the cost.

    The cost is the model's size, its work per window, and the speed of this evaluation. The
    real-time factor is the time for a second of sound, including decoding.

    Raises
    ------
    DataError
        If no clip can be read.
    """
    started = time.perf_counter()
    scores: list[NDArray[np.float64]] = []
    rows, failures, ids, scored_seconds = [], [], clips.ids, 0.0
    scored = score_clips(model, clips, device=options.device, workers=options.workers)
    for clip in track(scored, "evaluate", "clip", len(clips)):
        if clip.reason:
            failures.append((ids[clip.row], clip.reason))
            continue
        scores.append(clip.mean)
        rows.append(clip.row)
        scored_seconds += float(np.diff(clip.times, axis=1).sum())
    if not rows:
        raise DataError(
            f"'{clips.name}': none of {count_text(len(clips), 'clip')} could be read; first "
            f"problem: {failures[0][0]}: {failures[0][1]}"
        )
    seconds = max(time.perf_counter() - started, 1e-9)
    several, n_resamples = model.multi_label, options.bootstrap
    m = measure(clips[rows], np.stack(scores), multi_label=several, n_resamples=n_resamples)
    cost: dict[str, float | None] = {
        "parameters": count_parameters(model),
        "multiply_adds_a_window": count_macs(model, model.mel.shape),
        "window_s": model.mel.duration,
        "clips_a_second": len(rows) / seconds,
        "real_time_factor": seconds / max(scored_seconds, 1e-9),
    }
    return m, tuple(failures), cost


def _write_report(
    result: EvaluateResult,
    model: SoundModel,
    about: Mapping[str, Any],
    model_file: Path,
) -> None:
    """Write ``report.html`` with its figures and tables into the run folder."""
    m, classes = result.measurement, result.measurement.clips.classes
    parts = {str(by): table for by, table in result.parts.groupby("by", sort=False)}
    report = Report(
        "evaluate.j2",
        f"How well '{model.name}' names the sounds of {m.clips.name}",
        _amount(m),
        m=m,
        level=f"{100 * m.level:g}",
        decision=model.decision,
        listeners=listeners(m.clips.name),
        notes_of_clips=result.notes,
        parts=parts,
        most_parts=MOST_PARTS,
        facts_of_model=_facts(result, model, about, model_file),
    )
    first, interval = next(iter(m.intervals.items()))
    report.verdict = Verdict(
        f"{_LABELS[first].capitalize()} {percent_text(m.metrics[first])}",
        f"{100 * m.level:g} % interval {_ends(interval)}, over recordings.",
    )
    report.numbers = [
        Number(percent_text(m.metrics[name]), _LABELS[name], _ends(ends))
        for name, ends in m.intervals.items()
    ]
    if not m.multi_label:
        error = percent_text(reliability(m.target, m.scores).error)
        report.numbers.append(
            Number(error, "calibration error", "0 %: scores equal the share of right answers")
        )
    report.warnings = [f"{warning}." for warning in result.warnings]
    if result.failures:
        n_bad = len(result.failures)
        report.warnings.append(f"{n_bad} clips could not be read; bad_files.csv lists them.")
    ranks = [(_LABELS[name], value, _MEANING[name]) for name, value in m.others.items()]
    report.table("ranks", ["measure", "value", "what it is"], ranks, formats=PERCENT)
    table = pd.DataFrame.from_dict(m.metrics["per_class"], orient="index")
    if not m.multi_label:
        found = np.where(table["n_clips"] > 0, table["recall"], np.nan)
        report.figure("class-recall", class_recall({"recall": found}, classes))
        shown: Any = [_recall(row, m.level) for row in m.metrics["per_class"].values()]
        table["recall"] = shown
    table = table.rename(columns={"n_clips": "clips", "f1": "F1"}).rename_axis("class")
    report.frame("classes", table.reset_index(), formats=PERCENT)
    measured = "lwlrap" if m.multi_label else "accuracy"
    for by, some in parts.items():
        worst = some.sort_values("value", kind="stable").head(MOST_PARTS)
        ends = worst[["value", "low", "high"]].itertuples(index=False, name=None)
        worst = worst[["part", "clips", "recordings"]].rename(columns={"part": by})
        shown = [IntervalEstimate(*value) for value in ends]
        worst[measured] = shown
        report.frame(f"by-{by}", worst)
    curves = {"these clips": reliability(m.target, m.scores)}
    report.figure("reliability", reliability_diagram(curves))
    if m.confusion is not None:
        report.figure("confusion-matrix", confusion_matrix(m.confusion, classes))
        report.table("confused-pairs", ["true class", "predicted", "clips"], m.confused_pairs())
    report.players("mistakes", _mistakes(m, model.mel.sample_rate))
    report.write(result.report.parent)


def _recall(row: Mapping[str, Any], level: float) -> IntervalEstimate | None:
    n, recall = int(row["n_clips"]), row["recall"]
    return IntervalEstimate(recall, *wilson(round(recall * n), n, level)) if n else None


def _mistakes(m: Measurement, sample_rate: int) -> Iterator[Player | None]:
    for row in m.mistakes()[:MOST_MISTAKES].tolist():
        chosen = m.predicted[row]
        yield clip_player(
            m.clips.paths[row],
            float(m.clips.start_time[row]),
            float(m.clips.end_time[row]),
            ", ".join(m.clips.labels[row]),
            f"predicted {m.clips.classes[chosen]}",
            f"{m.clips.ids[row]}, score {percent_text(m.scores[row, chosen], 0)}",
            sample_rate=sample_rate,
        )


def _facts(
    result: EvaluateResult, model: SoundModel, about: Mapping[str, Any], model_file: Path
) -> dict[str, str]:
    """The model, its training recordings, and its cost."""
    cost, origin = result.numbers["cost"], PublishedOrigin.of(about)
    seconds = len(result.measurement.clips) / cost["clips_a_second"]
    parts = {role: DataPart.from_dict(about[role]) for role in ROLES if role in about}
    return {
        "model": str(model_file),
        "network": model.name,
        "parameters": f"{cost['parameters']:,}",
        "multiply-adds": macs_text(cost["multiply_adds_a_window"]),
        "window": f"{model.mel.duration:g} s at {model.mel.sample_rate} Hz",
        "time": f"{duration_text(seconds)}, {cost['clips_a_second']:.0f} clips per second",
        "real-time factor": f"{cost['real_time_factor']:.2g}, including decoding: "
        f"{1 / cost['real_time_factor']:,.0f} seconds of sound per second",
        "published weights": "none" if origin is None else f"{origin.title} ({origin.source})",
        "trained": str(about.get("created", "unknown")),
        **{
            f"recordings {ROLES[role]}": f"{len(part.hashes)} ({part.data})"
            for role, part in parts.items()
        },
    }
