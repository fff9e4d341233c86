"""``calibrate``: a model whose scores mean what they say, with thresholds and unknown sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.classifier.calibration import (
    ROLE,
    DecisionFit,
    HeldOutScores,
    check_enough,
    fit_decision,
)
from semisonic.classifier.evaluate import refuse_seen
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.options import CalibrateOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.provenance import DataPart, overlaps
from semisonic.classifier.run_files import (
    open_run,
    prepare_in,
    record_data,
    recordings_in,
    stamp,
    unreadable,
)
from semisonic.classifier.selection import as_classes_of, in_fold, load_data
from semisonic.classifier.unknown import NoiseRow, check_noise
from semisonic.core.errors import DataError
from semisonic.core.files import content_hash, json_ready, write_csv, write_json
from semisonic.core.options import check
from semisonic.core.text import Result, count_text, percent_text
from semisonic.data.clips import Clips, verified_labels
from semisonic.data.datasets.load import require_labels
from semisonic.evaluation.calibration import (
    SHOWN,
    Reliability,
    clips_needed,
    reliability,
    tag_reliability,
)
from semisonic.evaluation.metrics import accuracy
from semisonic.evaluation.plots.classes import precision_recall, reliability_diagram
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.models.decision import KNOWN_THRESHOLD
from semisonic.models.model_file import read_about, save
from semisonic.models.sound_model import SoundModel
from semisonic.training.devices import choose_device

if TYPE_CHECKING:
    import pandas as pd

# What ``calibrate`` made and found, and how it is said.


THRESHOLD_COLUMNS = (
    "class",
    "threshold",
    "outcome",
    "precision",
    "lower_bound",
    "recall",
    "clips",
    "named",
)


@dataclass(frozen=True)
class CalibrateResult(Result):
    """What ``calibrate`` made and found.

    Attributes
    ----------
    fitted : Fitted
        The decision, and scores of the clips before and after, each by a decision that was
        fitted on other recordings.
    noise : tuple of NoiseRow
        What the new model says of made-up noise; empty without a rule for unknown sounds.
    model, report : Path
        The new model's file, and the page.
    failures, remarks : tuple of (str, str)
    unknown : tuple of str
        Labels left out because the model does not know them.
    notes : tuple of str
        What is known of the recordings that the clips were cut from.
    classes : tuple of str
        Of the model.
    """

    fitted: DecisionFit
    noise: tuple[NoiseRow, ...]
    model: Path
    report: Path
    failures: Failures
    remarks: Failures
    unknown: tuple[str, ...]
    multi_label: bool
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def reliability(self) -> tuple[Reliability, Reliability]:
        """Before and after, both of the clips called known: of others nothing is claimed."""
        known = self.fitted.known >= KNOWN_THRESHOLD
        rows = np.flatnonzero(known if known.any() else ~known)
        target = self.fitted.held.target(self.multi_label)[rows]
        measure = tag_reliability if self.multi_label else reliability
        return measure(target, self.fitted.before[rows]), measure(target, self.fitted.after[rows])

    def to_frame(self) -> pd.DataFrame:
        """A row per class: threshold, what it reaches, and on how many clips."""
        import pandas as pd

        return pd.DataFrame(
            [
                (name, t.value, t.outcome, t.precision, t.low, t.recall, t.n_clips, t.n_named)
                for name, t in zip(self.classes, self.fitted.thresholds, strict=True)
            ],
            columns=list(THRESHOLD_COLUMNS),
        )

    def summary(self) -> str:
        """For a terminal."""
        f, (before, after) = self.fitted, self.reliability
        decision, n = f.decision, len(f.held.clips)
        lines = [
            f"calibrated by {count_text(n, 'clip')} of "
            f"{count_text(len(set(f.held.clips.group.tolist())), 'recording')}: "
            f"{decision.calibration.text()}",
            f"calibration error {percent_text(after.error)}, {percent_text(before.error)} before: "
            "how far scores are from the share of right answers; of clips called known, "
            "recordings left out in turn",
        ]
        if f.thresholds:
            shown = sum(t.outcome == SHOWN for t in f.thresholds)
            wanted = decision.note.get("wanted precision")
            lines.append(
                f"thresholds for a precision of {percent_text(wanted, 0)}: shown for {shown} of "
                f"{len(f.thresholds)} classes; thresholds.csv tells of the others"
                if wanted
                else "thresholds for the best F1 of each class: thresholds.csv"
            )
        if decision.unknown.parts:
            refused = np.average([row.refused for row in self.noise])
            lines.append(
                f"unknown ({' and '.join(decision.unknown.names)}): "
                f"{percent_text(float((f.known >= 0.5).mean()))} of the clips pass, "
                f"{percent_text(float(refused))} of made-up noise and silence does not"
            )
        if self.unknown:
            lines.append(f"left out, not known to the model: {', '.join(self.unknown)}")
        lines += self.notes
        lines += unreadable(self.failures, self.remarks)
        lines += [f"model: {self.model}", f"report: {self.report}"]
        return "\n".join(lines)


def numbers_of(result: CalibrateResult) -> Mapping[str, Any]:
    """What was reached, as plain values."""
    f, (before, after) = result.fitted, result.reliability
    numbers: dict[str, Any] = {
        "n_clips": len(f.held.clips),
        "calibration_error_before": before.error,
        "calibration_error_after": after.error,
        "log_losses": dict(f.losses),
        "known_that_pass": float((f.known >= 0.5).mean()),
    }
    if not result.multi_label:
        target = f.held.target(False)
        numbers["accuracy_before"] = accuracy(target, f.before.argmax(axis=1))
        numbers["accuracy_after"] = accuracy(target, f.after.argmax(axis=1))
    if result.noise:
        numbers["noise_refused"] = {row.kind: row.refused for row in result.noise}
    return numbers


# The report of ``calibrate``.


def write_calibrate_page(
    folder: Path,
    result: CalibrateResult,
    model: SoundModel,
    options: CalibrateOptions,
    model_file: Path,
) -> Path:
    """Write ``report.html`` with its figures and tables into a run folder."""
    fitted, (before, after) = result.fitted, result.reliability
    held, decision = fitted.held, fitted.decision
    n_recordings = len(set(held.clips.group.tolist()))
    report = Report(
        "calibrate.j2",
        f"Whether the scores of '{model.name}' mean what they say",
        f"{count_text(len(held.clips), 'clip')} of {count_text(n_recordings, 'recording')} of "
        f"{held.clips.name}, "
        f"{len(model.classes)} classes",
        result=result,
        options=options,
        decision=decision,
        model_file=str(model_file),
    )
    report.verdict = Verdict(
        f"Calibration error {percent_text(after.error)}, {percent_text(before.error)} before",
        f"Calibration: {decision.calibration.text()}. Of the clips called known.",
    )
    report.numbers = _key_numbers(result)
    if result.failures:
        n_bad = len(result.failures)
        report.warnings.append(f"{n_bad} clips could not be read; bad_files.csv lists them.")
    if result.unknown:
        names = ", ".join(result.unknown)
        report.warnings.append(f"Left out, since the model does not know them: {names}.")
    report.figure("reliability", reliability_diagram({"before": before, "after": after}))
    report.table(
        "methods",
        ["calibration", "log loss"],
        list(fitted.losses.items()),
        formats={"log loss": "{:.4f}".format},
    )
    _add_thresholds(report, result, model, options)
    report.table(
        "noise",
        ["noise", "stretches", "called unknown", "highest score", "of"],
        [(row.kind, row.n, row.refused, row.surest, row.taken_for) for row in result.noise],
        formats={"called unknown": percent_text, "highest score": percent_text},
    )
    if result.noise:
        report.values["passing"] = float((fitted.known >= 0.5).mean())
    return report.write(folder)


def _key_numbers(result: CalibrateResult) -> list[Number]:
    fitted, (before, after) = result.fitted, result.reliability
    found = [
        Number(percent_text(before.error), "calibration error before"),
        Number(percent_text(after.error), "calibration error after", "0 %: as right as it is sure"),
    ]
    if not result.multi_label:
        target = fitted.held.target(False)
        for name, scores in (("before", fitted.before), ("after", fitted.after)):
            value = accuracy(target, scores.argmax(axis=1))
            found.append(Number(percent_text(value), f"accuracy {name}"))
    return found


def _add_thresholds(
    report: Report, result: CalibrateResult, model: SoundModel, options: CalibrateOptions
) -> None:
    fitted = result.fitted
    if not fitted.thresholds:
        return
    if options.precision:
        report.values["n_needed"] = clips_needed(options.precision, options.level)
    report.table(
        "thresholds",
        ["class", "threshold", "outcome", "precision", "lower bound", "recall", "clips", "named"],
        [
            (name, t.value, t.outcome, t.precision, t.low, t.recall, t.n_clips, t.n_named)
            for name, t in zip(model.classes, fitted.thresholds, strict=True)
        ],
        formats={
            "threshold": "{:.3f}".format,
            **dict.fromkeys(("precision", "lower bound", "recall"), percent_text),
        },
    )
    target = fitted.held.target(result.multi_label)
    hot = target if target.ndim == 2 else target[:, None] == np.arange(len(model.classes))
    report.figure(
        "precision-recall",
        precision_recall(hot, fitted.after, fitted.thresholds, model.classes, options.precision),
    )


SEEN = (
    "these clips cannot calibrate: {}. Take other recordings (train with --test-fold keeps a fold "
    "apart), or say --allow-seen; scores would then promise too much"
)


def calibrate(options: CalibrateOptions) -> CalibrateResult:
    """Fit a model's decision by labelled clips it was not trained on; write a new model file.

    Raises
    ------
    DataError
        When the model was trained on some of the clips (unless ``allow_seen``), when they carry
        labels it does not know (unless ``allow_unknown``), are too few or cannot be read.
    ModelError
        When the model file is missing or damaged.
    """
    check(options)
    file = find_file(options.model, MODEL)
    model, made = open_model(file), read_about(file)["about"]
    clips, unknown = _clips(options, model)
    with open_run("calibrate", options) as run:
        run.add_data("model", content_hash(file)[:16])
        hashes = record_data(run, clips, options.workers)
        found = [o for o in overlaps(clips, hashes, made) if o.role != ROLE]
        refuse_seen(found, allowed=options.allow_seen, because=SEEN)
        together = recordings_in(run, clips, options)
        clips = together.clips
        prepared = prepare_in(run, clips, model.mel, options)
        place = choose_device(options.device)
        model.to(place)
        held = HeldOutScores.of(model, prepared, np.arange(len(prepared)), clips, place)
        check_enough(held)
        fitted = fit_decision(
            model,
            held,
            method=options.method,
            unknown=options.unknown,
            precision=options.precision,
            level=options.level,
            kept=options.kept,
            seed=options.seed,
            device=place,
        )
        model.decision = fitted.decision
        has_rule = bool(fitted.decision.unknown.parts)
        noise = check_noise(model, seed=2 * options.seed + 1, device=place) if has_rule else ()
        model.to("cpu")
        licence = {"licence": options.licence} if options.licence else {}
        part = {
            ROLE: DataPart.of(clips, hashes).to_dict(),
            "calibrated": stamp("calibrate", options),
        }
        save(run.path(MODEL), model, about={**made, **part, **licence})
        result = CalibrateResult(
            fitted,
            noise,
            run.folder / MODEL,
            run.folder / "report.html",
            prepared.failures,
            prepared.remarks,
            tuple(unknown),
            model.multi_label,
            model.classes,
            (*clips.notes, *together.notes),
        )
        write_thresholds(run.path("thresholds.csv"), model, fitted)
        numbers = numbers_of(result)
        write_json(run.path("metrics.json"), json_ready(numbers))
        write_calibrate_page(run.folder, result, model, options, file)
        run.note(**{k: v for k, v in numbers.items() if isinstance(v, (int, float))})
    return result


def _clips(options: CalibrateOptions, model: SoundModel) -> tuple[Clips, list[str]]:
    clips = load_data(options.data, options.labels, "calibrate", options)
    require_labels(clips, "a calibration")
    if options.fold:
        clips = clips[in_fold(clips, options.fold)]
    clips = verified_labels(clips, "a calibration")
    clips, unknown = as_classes_of(clips, model.classes, allow_unknown=options.allow_unknown)
    if clips.is_multi_label and not model.multi_label:
        raise DataError(
            f"'{clips.name}': some clips carry several labels, but the model chooses one; keep one "
            "label per clip"
        )
    return clips, unknown


def write_thresholds(path: Path, model: SoundModel, fitted: DecisionFit) -> None:
    """A row per class: threshold, whether the wanted precision is shown, and what was reached."""
    write_csv(
        path,
        THRESHOLD_COLUMNS,
        [
            [
                name,
                f"{t.value:.4f}",
                t.outcome,
                f"{t.precision:.4f}",
                f"{t.low:.4f}",
                f"{t.recall:.4f}",
                t.n_clips,
                t.n_named,
            ]
            for name, t in zip(model.classes, fitted.thresholds, strict=True)
        ],
    )
