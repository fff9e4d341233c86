"""``evaluate``: how good a model is on clips that it has not seen."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.measuring import Measurement, ScoredPart, by_part, measure
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
from semisonic.core.files import content_hash, json_ready, write_csv, write_json
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.text import Result, count_text, duration_text, percent_text, text_table
from semisonic.data.clips import Clips
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
from semisonic.models.model_file import published_in, read_about
from semisonic.models.sound_model import SoundModel

if TYPE_CHECKING:
    import pandas as pd

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
PARTS_SHOWN = 3
"""The worst parts that are named on the terminal; the page has them all."""


@dataclass(frozen=True)
class EvaluateResult(Result):
    """The result of ``evaluate``.

    Attributes
    ----------
    measurement : Measurement
        Scores, metrics with intervals, confusion.
    overlaps : tuple of Overlap
        What the clips share with the recordings the model was made from.
    unknown : tuple of str
        Labels left out because the model does not know them.
    failures : tuple of (str, str)
    report : Path
        The HTML page.
    origin : PublishedOrigin or None
        Published weights that the model starts from.
    parts : mapping of str to sequence of ScoredPart
        How good it is on each part, by each way of parting that was asked for.
    notes : tuple of str
        What is known of the recordings that the clips were cut from.
    numbers : mapping of str to Any
        What stands in metrics.json.
    """

    measurement: Measurement
    overlaps: tuple[Overlap, ...]
    unknown: tuple[str, ...]
    failures: Failures
    report: Path
    origin: PublishedOrigin | None = None
    parts: Mapping[str, Sequence[ScoredPart]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """As :func:`semisonic.evaluation.metrics.summary` gives them."""
        return self.measurement.metrics

    def to_frame(self) -> pd.DataFrame:
        """A row per clip: labels, recording, best class, and the score of each class."""
        return self.measurement.to_frame()

    def summary(self) -> str:
        """For a terminal."""
        m = self.measurement
        rows = [
            [
                name.replace("_", " "),
                percent_text(m.metrics[name]),
                f"{percent_text(low)} to {percent_text(high)}",
            ]
            for name, (low, high) in m.intervals.items()
        ]
        lines = [
            f"{count_text(len(m.clips), 'clip')} of "
            f"{count_text(len(set(m.clips.group.tolist())), 'recording')}, "
            f"{len(m.clips.classes)} classes",
            text_table(["measure", "value", f"{100 * m.level:g} % interval"], rows, ruled=True),
        ]
        if m.others:
            others = (f"{name.replace('_', ' ')} {percent_text(v)}" for name, v in m.others.items())
            lines.append(f"also: {', '.join(others)}")
        pairs = m.confused_pairs(3)
        if pairs:
            lines.append("most confused: " + "; ".join(f"{a} as {b} ({n})" for a, b, n in pairs))
        for by, parts in self.parts.items():
            worst = sorted(parts, key=lambda part: part.value)[:PARTS_SHOWN]
            names = (f"{p.name} {percent_text(p.value)} of {p.n_clips} clips" for p in worst)
            lines.append(f"worst by {by}: {'; '.join(names)}")
        lines += self.remarks()
        lines += unreadable(self.failures)
        lines.append(f"report: {self.report}")
        return "\n".join(lines)

    def remarks(self) -> list[str]:
        """What a reader of the numbers has to know of the model and the clips."""
        lines = [] if self.origin is None else [f"note: the model {self.origin.text()}"]
        lines += [f"warning: {overlap.text()}" for overlap in self.overlaps]
        if self.unknown:
            lines.append(f"left out, not known to the model: {', '.join(self.unknown)}")
        return [*lines, *self.notes]


SEEN = (
    "these clips are no test: {}. Evaluate on other recordings (train with --test-fold keeps a "
    "fold apart), or say --allow-seen to get the numbers all the same"
)
REPORTED = ("by", "level", "bootstrap", "mistakes", "json")
"""Options that shape the report alone: with others the report of the same run is made anew."""


def evaluate(options: EvaluateOptions) -> EvaluateResult:
    """Score every labelled clip once and write the report.

    Raises
    ------
    DataError
        When clips took part in the making of the model (unless ``allow_seen``), carry labels
        it does not know (unless ``allow_unknown``), cannot be read, or all carry labels that
        nobody checked.
    ModelError
        When the model file is missing or damaged.
    """
    check(options)
    file = find_file(options.model, MODEL)
    model, about = open_model(file), read_about(file)["about"]
    clips, unknown = clips_for_model(options, model, "evaluate", "an evaluation")
    with open_run("evaluate", options, free=REPORTED) as run:
        run.add_data("model", content_hash(file)[:16])
        hashes = record_data(run, clips, options.workers)
        seen = overlaps(clips, hashes, about)
        refuse_seen(seen, SEEN, allowed=options.allow_seen)
        grouped = recordings_in(run, clips, options, cache=run.path("cache"))
        clips = grouped.clips
        started = time.perf_counter()
        scores, rows, failures, scored_seconds = _score_clips(model, clips, options)
        seconds = time.perf_counter() - started
        run.add_bad_files(failures)
        measurement = measure(
            clips[rows],
            scores,
            multi_label=model.multi_label,
            level=options.level,
            n_resamples=options.bootstrap,
            seed=options.seed,
        )
        _write_scores(run.path("scores.csv"), measurement)
        parts = {
            by: by_part(measurement, by, n_resamples=options.bootstrap, seed=options.seed)
            for by in options.by
        }
        table = run.path("parts.csv")
        table.unlink(missing_ok=True)  # of a report with other parts
        if parts:
            write_csv(table, CELLS, _part_rows(parts))
        metrics = {
            **_numbers_of(measurement),
            "cost": _cost_of(model, len(rows), scored_seconds, seconds),
        }
        if published := published_in(about):
            metrics["published_weights"] = published
        metrics = json_ready(metrics)
        write_json(run.path("metrics.json"), metrics)
        result = EvaluateResult(
            measurement,
            tuple(seen),
            tuple(unknown),
            failures,
            run.folder / "report.html",
            PublishedOrigin.of(about),
            parts,
            (*clips.notes, *grouped.notes),
            metrics,
        )
        _write_report(run.folder, result, model, about, file, options.mistakes)
    return result


def _score_clips(
    model: SoundModel, clips: Clips, options: EvaluateOptions
) -> tuple[NDArray[np.float64], list[int], Failures, float]:
    """Scores of the clips that can be read, their rows, the others with the reason, and seconds.

    The seconds are those of sound that was scored.

    Raises
    ------
    DataError
        When none can be read.
    """
    scores, rows, failures, seconds = [], [], [], 0.0
    scored = score_clips(
        model, clips, batch_size=options.batch_size, device=options.device, workers=options.workers
    )
    ids = clips.ids
    for clip in track(scored, "evaluate", "clip", len(clips)):
        if clip.reason:
            failures.append((ids[clip.row], clip.reason))
        else:
            scores.append(clip.mean)
            rows.append(clip.row)
            seconds += float(np.diff(clip.times, axis=1).sum())
    if not rows:
        raise DataError(
            f"'{clips.name}': none of {count_text(len(clips), 'clip')} could be read; the "
            f"first: {failures[0][0]}: {failures[0][1]}"
        )
    return np.stack(scores), rows, tuple(failures), seconds


def _numbers_of(m: Measurement) -> dict[str, Any]:
    """Metrics, intervals and confusion as plain values."""
    return {
        **m.metrics,
        "n_recordings": len(set(m.clips.group.tolist())),
        "intervals": {name: list(ends) for name, ends in m.intervals.items()},
        "level": m.level,
        "classes": list(m.clips.classes),
        "confusion": None if m.confusion is None else m.confusion.tolist(),
    }


def _cost_of(
    model: SoundModel, n_clips: int, scored_seconds: float, seconds: float
) -> dict[str, float]:
    """What the model needs: its size, its work a window, and how fast this evaluation was.

    The real-time factor is the time taken for a second of sound, decoding included: below 1 it is
    faster than the sound.
    """
    return {
        "parameters": count_parameters(model),
        "multiply_adds_a_window": count_macs(model, model.mel.shape),
        "window_s": model.mel.duration,
        "clips_a_second": n_clips / max(seconds, 1e-9),
        "real_time_factor": seconds / max(scored_seconds, 1e-9),
    }


def _write_scores(path: Path, m: Measurement) -> None:
    """A row per clip: labels, best class, and the score of each class."""
    names = m.clips.classes
    rows = (
        [clip, ";".join(labels), group, names[best], *(f"{score:.5f}" for score in scores)]
        for clip, labels, group, best, scores in zip(
            m.clips.ids, m.clips.labels, m.clips.group, m.predicted, m.scores, strict=True
        )
    )
    write_csv(path, ["clip", "label", "group", "predicted", *names], rows)


def _part_rows(parts: Mapping[str, Sequence[ScoredPart]]) -> list[list[str]]:
    """The parts as rows of a table with :data:`CELLS`."""
    return [
        [
            by,
            p.name,
            str(p.n_clips),
            str(p.n_recordings),
            *(f"{value:.5f}" for value in (p.value, *p.interval)),
        ]
        for by, some in parts.items()
        for p in some
    ]


def _write_report(
    folder: Path,
    result: EvaluateResult,
    model: SoundModel,
    about: Mapping[str, Any],
    model_file: Path,
    n_mistakes: int,
) -> None:
    """Write ``report.html`` with its figures and tables into a run folder."""
    m = result.measurement
    n_recordings = len(set(m.clips.group.tolist()))
    report = Report(
        "evaluate.j2",
        f"How well '{model.name}' names the sounds of {m.clips.name}",
        f"{count_text(len(m.clips), 'clip')} of {count_text(n_recordings, 'recording')}, "
        f"{len(m.clips.classes)} classes",
        m=m,
        level=f"{100 * m.level:g}",
        decision=model.decision,
        listeners=listeners(m.clips.name),
        remarks=result.notes,
        parts=result.parts,
        most_parts=MOST_PARTS,
        facts_of_model=_facts(result, model, about, model_file),
    )
    report.data = {
        "metrics": dict(m.metrics),
        "intervals": {name: list(ends) for name, ends in m.intervals.items()},
        "parts": {by: [asdict(part) for part in parts] for by, parts in result.parts.items()},
    }
    _add_answer(report, m)
    if result.origin is not None:
        report.warnings.append(f"The model {result.origin.text()}.")
    report.warnings += [f"{one.text()}. The numbers flatter the model." for one in result.overlaps]
    if result.unknown:
        names = ", ".join(result.unknown)
        report.warnings.append(f"Left out, since the model does not know them: {names}.")
    if result.failures:
        report.warnings.append(
            f"{len(result.failures)} clips could not be read; bad_files.csv lists them."
        )
    report.table(
        "ranks",
        ["measure", "value", "what it is"],
        [(_LABELS[name], value, _MEANING[name]) for name, value in m.others.items()],
        formats={"value": percent_text},
    )
    _add_classes(report, m)
    for by, parts in result.parts.items():
        _add_parts(report, by, parts, "lwlrap" if m.multi_label else "accuracy")
    measured = tag_reliability if m.multi_label else reliability
    curves = {"these clips": measured(m.target, m.scores)}
    report.figure("reliability", reliability_diagram(curves))
    if m.confusion is not None:
        report.figure("confusion-matrix", confusion_matrix(m.confusion, m.clips.classes))
        report.table("confused-pairs", ["true class", "taken for", "clips"], m.confused_pairs())
    report.players("mistakes", _mistakes(m, model.mel.sample_rate, n_mistakes))
    report.write(folder)


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


def _add_parts(report: Report, by: str, parts: Sequence[ScoredPart], measure: str) -> None:
    """How good the model is on each part of the clips, the worst part first."""
    worst = sorted(parts, key=lambda part: part.value)[:MOST_PARTS]
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
    result: EvaluateResult, model: SoundModel, about: Mapping[str, Any], model_file: Path
) -> dict[str, str]:
    """What the model is, what it was made from, and what it costs."""
    n_clips, cost = len(result.measurement.clips), result.numbers["cost"]
    parts = {
        f"recordings {ROLES[role]}": f"{len(part.hashes)} ({part.data})"
        for role in ROLES
        if isinstance(about.get(role), Mapping)
        for part in [DataPart.from_dict(about[role])]
    }
    origin = result.origin
    return {
        "model": str(model_file),
        "network": model.name,
        "parameters": f"{cost['parameters']:,}",
        "multiply-adds per window": f"{cost['multiply_adds_a_window'] / 1e6:.1f} million",
        "window": f"{model.mel.duration:g} s at {model.mel.sample_rate} Hz",
        "time": f"{duration_text(n_clips / cost['clips_a_second'])}, "
        f"{cost['clips_a_second']:.0f} clips per second",
        "real-time factor": f"{cost['real_time_factor']:.2g}, decoding included: "
        f"{1 / cost['real_time_factor']:,.0f} seconds of sound per second",
        "published weights": "none" if origin is None else f"{origin.title} ({origin.source})",
        "trained": str(about.get("created", "unknown")),
        **parts,
    }
