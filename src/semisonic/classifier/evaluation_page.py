"""The report of ``evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.audio.read import read_start
from semisonic.classifier.measuring import Measurement, ScoredPart
from semisonic.classifier.measuring import ScoredPart as TestPart
from semisonic.classifier.prepare import Failures
from semisonic.classifier.provenance import ROLES, DataPart, Overlap
from semisonic.classifier.starting_encoder import PublishedOrigin
from semisonic.core.errors import AudioError
from semisonic.core.text import count_text, duration_text, percent_text
from semisonic.evaluation.calibration import (
    expected_calibration_error,
    reliability,
    tag_reliability,
)
from semisonic.evaluation.intervals import wilson
from semisonic.evaluation.plots.classes import class_recall, confusion_matrix, reliability_diagram
from semisonic.evaluation.published import listeners
from semisonic.evaluation.report.blocks import IntervalEstimate, Player
from semisonic.evaluation.report.page import Number, Page
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.sound_model import SoundModel

# The section of an evaluation page that tells how good a model is on each part of the clips.


MOST_PARTS = 60
"""Rows of a table on the page; parts.csv has all."""

CELLS = ("by", "part", "clips", "recordings", "value", "low", "high")


def add_parts(page: Page, parts: Mapping[str, Sequence[ScoredPart]], measure: str) -> None:
    """A table a way of parting, the worst part first."""
    if not parts:
        return
    page.section("Part by part")
    for by, found in parts.items():
        worst = sorted(found, key=lambda part: part.value)
        page.table(
            [by, "clips", "recordings", measure],
            [
                (
                    part.name,
                    part.n_clips,
                    part.n_recordings,
                    IntervalEstimate(part.value, *part.interval),
                )
                for part in worst[:MOST_PARTS]
            ],
            name=f"by-{by}",
            caption=f"By {by}, the worst first",
            note="Below each value its interval over recordings; where all clips of a part agree, "
            "Wilson's."
            + (f" The worst {MOST_PARTS} of {len(worst)}." if len(worst) > MOST_PARTS else ""),
        )


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
_LONGEST = 10.0  # seconds of a mistake that are read


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
    page = Page(
        f"How well '{model.name}' names the sounds of {m.clips.name}",
        f"{count_text(n, 'clip')} of {count_text(n_recordings, 'recording')}, "
        f"{len(m.clips.classes)} classes",
    )
    page.data = {
        "metrics": dict(m.metrics),
        "intervals": {k: list(v) for k, v in m.intervals.items()},
        "parts": {by: [asdict(part) for part in found] for by, found in parts.items()},
    }
    _top(page, m)
    origin = PublishedOrigin.of(made)
    if origin is not None:
        page.warning(f"The model {origin.text()}.")
    for overlap in overlaps:
        page.warning(f"{overlap.text()}. The numbers flatter the model.")
    if unknown:
        page.warning(f"Left out, since the model does not know them: {', '.join(unknown)}.")
    page.notes(notes)
    if failures:
        page.warning(f"{len(failures)} clips could not be read; bad_files.csv lists them.")
    _ranks(page, m)
    _classes(page, m)
    add_parts(page, parts, "lwlrap" if m.multi_label else "accuracy")
    _reliability(page, m, model)
    _confusions(page, m)
    _mistakes(page, m, model, n_mistakes)
    _method(page, m, model, made, (seconds, heard), model_file)
    return page.write(folder)


def _top(page: Page, m: Measurement) -> None:
    first = next(iter(m.intervals))
    low, high = m.intervals[first]
    page.verdict(
        f"{_LABELS[first].capitalize()} {percent_text(m.metrics[first])}",
        f"{100 * m.level:g} % interval {percent_text(low)} to {percent_text(high)}, over recordings.",
    )
    cells = [
        Number(
            percent_text(m.metrics[name]),
            _LABELS[name],
            f"{percent_text(ends.low)} to {percent_text(ends.high)}",
        )
        for name, ends in m.intervals.items()
    ]
    if not m.multi_label:
        error = expected_calibration_error(m.target, m.scores)
        cells.append(
            Number(percent_text(error), "calibration error", "0 %: as right as it is sure")
        )
    page.numbers(cells)


def _ranks(page: Page, m: Measurement) -> None:
    """Numbers that heed where the right class stands among all."""
    if not m.others:
        return
    page.section("Where the right class stands")
    page.table(
        ["measure", "value", "what it is"],
        [(_LABELS[name], value, _MEANING[name]) for name, value in m.others.items()],
        name="ranks",
        formats={"value": percent_text},
    )


def _classes(page: Page, m: Measurement) -> None:
    page.section("Classes")
    if known := listeners(m.clips.name):
        page.text(known)
    table = m.metrics["per_class"]
    if m.multi_label:
        page.table(
            ["class", "clips", "average precision"],
            [(name, row["n_clips"], row["average_precision"]) for name, row in table.items()],
            name="classes",
            formats={"average precision": percent_text},
        )
        return
    rows = [
        (name, row["n_clips"], _share(row, m.level), row["precision"], row["f1"])
        for name, row in table.items()
    ]
    page.table(
        ["class", "clips", "found (recall)", "right when named (precision)", "F1"],
        rows,
        name="classes",
        formats={"right when named (precision)": percent_text, "F1": percent_text},
        note=f"Small numbers: {100 * m.level:g} % Wilson interval, clips taken as independent.",
    )
    page.figure(
        class_recall(
            {"recall": [row["recall"] if row["n_clips"] else np.nan for row in table.values()]},
            m.clips.classes,
        ),
        "The share of each class's clips that were found.",
        name="class-recall",
        wide=False,
    )


def _share(row: Mapping[str, Any], level: float) -> IntervalEstimate | None:
    n = int(row["n_clips"])
    if not n:
        return None
    return IntervalEstimate(row["recall"], *wilson(round(row["recall"] * n), n, level))


def _reliability(page: Page, m: Measurement, model: SoundModel) -> None:
    measure = tag_reliability if m.multi_label else reliability
    page.section("Whether scores mean what they say")
    decision = model.decision
    rules = ", ".join(decision.unknown.names)
    page.text(
        f"Calibration of the model: {decision.calibration.text()}; rules for unknown sounds: "
        f"{rules or 'none'}."
        + ("" if not decision.is_empty else " 'semisonic calibrate' fits both on other clips.")
    )
    page.figure(
        reliability_diagram({"these clips": measure(m.target, m.scores)}),
        "Share of right answers by the score of the answer, and how many clips have such scores. "
        "Above the dashed line the model is better than it says, below it worse.",
        name="reliability",
        wide=False,
    )


def _confusions(page: Page, m: Measurement) -> None:
    counts = m.confusion
    if counts is None:
        return
    page.section("What is taken for what")
    page.figure(
        confusion_matrix(counts, m.clips.classes),
        "Clips by true class (row) and chosen class (column).",
        name="confusion-matrix",
    )
    pairs = m.confused_pairs()
    if pairs:
        page.table(
            ["true class", "taken for", "clips"],
            pairs,
            name="confused-pairs",
            caption="Most frequent confusions",
        )


def _mistakes(page: Page, m: Measurement, model: SoundModel, most: int) -> None:
    rows = m.mistakes()[:most]
    if not len(rows):
        return
    page.section("Surest mistakes")
    page.text("Wrong answers that the model was most sure of. Listen: some may be wrong labels.")
    players, rate = [], model.mel.sample_rate
    for row in rows.tolist():
        start, end = float(m.clips.start_time[row]), float(m.clips.end_time[row])
        try:
            samples = read_start(
                m.clips.paths[row],
                duration=_LONGEST,
                sample_rate=rate,
                start_time=start,
                end_time=None if np.isnan(end) else end,
            )
        except AudioError:
            continue
        said = f"taken for {m.clips.classes[m.predicted[row]]}"
        score = percent_text(m.scores[row, m.predicted[row]], 0)
        truth = ", ".join(m.clips.labels[row])
        players.append(Player(samples, rate, truth, said, f"{m.clips.ids[row]}, score {score}"))
    page.players(players)


def _method(
    page: Page,
    m: Measurement,
    model: SoundModel,
    made: Mapping[str, Any],
    times: tuple[float, float],
    model_file: Path,
) -> None:
    seconds, heard = times
    page.section("How it was measured")
    page.notes(
        [
            "Every clip was scored once; a long clip by the mean of its windows.",
            f"Intervals draw whole recordings; level {100 * m.level:g} %.",
            "The recordings' bytes were compared with those the model was made from.",
        ]
    )
    parts = {
        f"recordings {ROLES[role]}": f"{len(part.hashes)} ({part.data})"
        for role in ROLES
        if isinstance(made.get(role), Mapping)
        for part in [DataPart.from_dict(made[role])]
    }
    origin = PublishedOrigin.of(made)
    page.facts(
        {
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
    )
