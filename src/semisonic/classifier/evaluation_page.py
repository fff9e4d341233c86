"""The report of ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.measuring import Measurement, ScoredPart
from semisonic.classifier.measuring import ScoredPart as TestPart
from semisonic.classifier.prepare import Failures
from semisonic.classifier.provenance import ROLES, DataPart, Overlap
from semisonic.classifier.starting_encoder import PublishedOrigin
from semisonic.core.text import count_text, duration_text, percent_text
from semisonic.evaluation.calibration import (
    expected_calibration_error,
    reliability,
    tag_reliability,
)
from semisonic.evaluation.intervals import wilson
from semisonic.evaluation.plots.classes import class_recall, confusion_matrix, reliability_diagram
from semisonic.evaluation.published import listeners
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Number,
    Player,
    Report,
    Verdict,
    clip_player,
)
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.sound_model import SoundModel

MOST_PARTS = 60
"""Rows of a table on the page; parts.csv has all."""

CELLS = ("by", "part", "clips", "recordings", "value", "low", "high")
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


def write_page(
    folder: Path,
    m: Measurement,
    model: SoundModel,
    made: Mapping[str, Any],
    *,
    overlaps: Sequence[Overlap],
    unknown: Sequence[str],
    failures: Failures,
    notes: Sequence[str],
    seconds: float,
    heard: float,
    n_mistakes: int,
    model_file: Path,
    parts: Mapping[str, Sequence[TestPart]],
) -> Path:
    """Write ``report.html`` with its figures and tables into a run folder."""
    n, n_recordings = len(m.clips), len(set(m.clips.group.tolist()))
    report = Report(
        "evaluate.j2",
        f"How well '{model.name}' names the sounds of {m.clips.name}",
        f"{count_text(n, 'clip')} of {count_text(n_recordings, 'recording')}, "
        f"{len(m.clips.classes)} classes",
        m=m,
        level=f"{100 * m.level:g}",
        decision=model.decision,
        listeners=listeners(m.clips.name),
        remarks=notes,
        parts=parts,
        most_parts=MOST_PARTS,
        facts_of_model=_facts(m, model, made, seconds, heard, model_file),
    )
    report.data = {
        "metrics": dict(m.metrics),
        "intervals": {k: list(v) for k, v in m.intervals.items()},
        "parts": {by: [asdict(part) for part in found] for by, found in parts.items()},
    }
    _add_answer(report, m)
    origin = PublishedOrigin.of(made)
    if origin is not None:
        report.warnings.append(f"The model {origin.text()}.")
    report.warnings += [f"{one.text()}. The numbers flatter the model." for one in overlaps]
    if unknown:
        names = ", ".join(unknown)
        report.warnings.append(f"Left out, since the model does not know them: {names}.")
    if failures:
        report.warnings.append(
            f"{len(failures)} clips could not be read; bad_files.csv lists them."
        )
    report.table(
        "ranks",
        ["measure", "value", "what it is"],
        [(_LABELS[name], value, _MEANING[name]) for name, value in m.others.items()],
        formats={"value": percent_text},
    )
    _add_classes(report, m)
    for by, found in parts.items():
        _add_parts(report, by, found, "lwlrap" if m.multi_label else "accuracy")
    measure = tag_reliability if m.multi_label else reliability
    scores = {"these clips": measure(m.target, m.scores)}
    report.figure("reliability", reliability_diagram(scores))
    if m.confusion is not None:
        report.figure("confusion-matrix", confusion_matrix(m.confusion, m.clips.classes))
        report.table("confused-pairs", ["true class", "taken for", "clips"], m.confused_pairs())
    report.players("mistakes", _mistakes(m, model.mel.sample_rate, n_mistakes))
    return report.write(folder)


def rows_of(parts: Mapping[str, Sequence[ScoredPart]]) -> list[list[str]]:
    """The parts as rows of a table with :data:`CELLS`."""
    return [
        [
            by,
            p.name,
            str(p.n_clips),
            str(p.n_recordings),
            *(f"{value:.5f}" for value in (p.value, *p.interval)),
        ]
        for by, found in parts.items()
        for p in found
    ]


# The report of ``evaluate``.


def _add_answer(report: Report, m: Measurement) -> None:
    first, (low, high) = next(iter(m.intervals.items()))
    ends = f"{percent_text(low)} to {percent_text(high)}"
    report.verdict = Verdict(
        f"{_LABELS[first].capitalize()} {percent_text(m.metrics[first])}",
        f"{100 * m.level:g} % interval {ends}, over recordings.",
    )
    report.numbers = [
        Number(
            percent_text(m.metrics[name]),
            _LABELS[name],
            f"{percent_text(ends.low)} to {percent_text(ends.high)}",
        )
        for name, ends in m.intervals.items()
    ]
    if not m.multi_label:
        error = percent_text(expected_calibration_error(m.target, m.scores))
        report.numbers.append(Number(error, "calibration error", "0 %: as right as it is sure"))


def _add_classes(report: Report, m: Measurement) -> None:
    table = m.metrics["per_class"]
    if m.multi_label:
        report.table(
            "classes",
            ["class", "clips", "average precision"],
            [(name, row["n_clips"], row["average_precision"]) for name, row in table.items()],
            formats={"average precision": percent_text},
        )
        return
    report.table(
        "classes",
        ["class", "clips", "found (recall)", "right when named (precision)", "F1"],
        [
            (name, row["n_clips"], _share(row, m.level), row["precision"], row["f1"])
            for name, row in table.items()
        ],
        formats={"right when named (precision)": percent_text, "F1": percent_text},
    )
    recall = [row["recall"] if row["n_clips"] else np.nan for row in table.values()]
    report.figure("class-recall", class_recall({"recall": recall}, m.clips.classes))


def _share(row: Mapping[str, Any], level: float) -> IntervalEstimate | None:
    n = int(row["n_clips"])
    if not n:
        return None
    return IntervalEstimate(row["recall"], *wilson(round(row["recall"] * n), n, level))


def _add_parts(report: Report, by: str, found: Sequence[ScoredPart], measure: str) -> None:
    """How good the model is on each part of the clips, the worst part first."""
    worst = sorted(found, key=lambda part: part.value)[:MOST_PARTS]
    report.table(
        f"by-{by}",
        [by, "clips", "recordings", measure],
        [
            (p.name, p.n_clips, p.n_recordings, IntervalEstimate(p.value, *p.interval))
            for p in worst
        ],
    )


def _mistakes(m: Measurement, sample_rate: int, most: int) -> Iterator[Player | None]:
    for row in m.mistakes()[:most].tolist():
        chosen = m.predicted[row]
        yield clip_player(
            m.clips.paths[row],
            float(m.clips.start_time[row]),
            float(m.clips.end_time[row]),
            ", ".join(m.clips.labels[row]),
            f"taken for {m.clips.classes[chosen]}",
            f"{m.clips.ids[row]}, score {percent_text(m.scores[row, chosen], 0)}",
            sample_rate=sample_rate,
        )


def _facts(
    m: Measurement,
    model: SoundModel,
    made: Mapping[str, Any],
    seconds: float,
    heard: float,
    model_file: Path,
) -> dict[str, str]:
    parts = {
        f"recordings {ROLES[role]}": f"{len(part.hashes)} ({part.data})"
        for role in ROLES
        if isinstance(made.get(role), Mapping)
        for part in [DataPart.from_dict(made[role])]
    }
    origin = PublishedOrigin.of(made)
    return {
        "model": str(model_file),
        "network": model.name,
        "parameters": f"{count_parameters(model):,}",
        "multiply-adds per window": f"{count_macs(model, model.mel.shape) / 1e6:.1f} million",
        "window": f"{model.mel.duration:g} s at {model.mel.sample_rate} Hz",
        "time": f"{duration_text(seconds)}, "
        f"{len(m.clips) / max(seconds, 1e-9):.0f} clips per second",
        "real-time factor": f"{seconds / max(heard, 1e-9):.2g}, decoding included: "
        f"{heard / max(seconds, 1e-9):,.0f} seconds of sound per second",
        "published weights": "none" if origin is None else f"{origin.title} ({origin.source})",
        "trained": str(made.get("created", "unknown")),
        **parts,
    }
