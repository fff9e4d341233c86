"""``calibrate``: calibrated scores, thresholds per class, and rules for unknown sounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisonic.classifier.calibration import ROLE, DecisionFit, fit_decision
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.options import CalibrateOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.provenance import DataPart, overlaps, recording_prints, refuse_seen
from semisonic.classifier.run_files import (
    cache_of,
    open_run,
    prepare_in,
    record_data,
    recordings_in,
    stamp,
    unreadable,
)
from semisonic.classifier.selection import clips_for_model
from semisonic.classifier.unknown import check_noise
from semisonic.core.files import content_hash, json_ready, write_frame, write_json
from semisonic.core.html import Result
from semisonic.core.options import check
from semisonic.core.text import count_text, percent_text
from semisonic.evaluation.calibration import (
    SHOWN,
    TOO_FEW,
    Reliability,
    recordings_needed,
    reliability,
)
from semisonic.evaluation.metrics import accuracy
from semisonic.evaluation.plots.results import precision_recall, reliability_diagram
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.models.decision import KNOWN_THRESHOLD, NONE
from semisonic.models.model_file import read_about, save
from semisonic.training.devices import choose_device

SEEN = (
    "these clips cannot calibrate: {}. Use other recordings (train --test-fold keeps a fold "
    "apart), or give --allow-seen; scores would then be too high"
)


@dataclass(frozen=True)
class CalibrateResult(Result):
    """The result of ``calibrate``.

    Attributes
    ----------
    fitted : DecisionFit
        The decision, and the scores of the clips before and after; each clip is scored by a
        decision fitted on other recordings.
    noise : DataFrame
        How the new model answers synthetic noise, from :func:`check_noise`; empty without a rule
        for unknown sounds.
    model, report : Path
        The file of the new model, and the report.
    failures : tuple of (str, str)
        Clips that could not be read.
    notes : tuple of str
        What was left out, and what is known about the recordings of the clips.
    """

    fitted: DecisionFit
    noise: pd.DataFrame
    model: Path
    report: Path
    failures: Failures
    notes: tuple[str, ...] = ()

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several labels."""
        return self.fitted.target.ndim == 2

    @property
    def passing(self) -> float:
        """Share of the clips that the rules do not call unknown."""
        return float((self.fitted.known >= KNOWN_THRESHOLD).mean())

    @property
    def reliability(self) -> tuple[Reliability, Reliability]:
        """Calibration before and after, both of the clips that are called known."""
        fitted, known = self.fitted, self.fitted.known >= KNOWN_THRESHOLD
        rows = known if known.any() else ~known
        target = fitted.target[rows]
        return reliability(target, fitted.before[rows]), reliability(target, fitted.after[rows])

    def metrics(self) -> dict[str, Any]:
        """The results as plain values."""
        fitted, (before, after) = self.fitted, self.reliability
        numbers: dict[str, Any] = {
            "n_clips": len(fitted.clips),
            "calibration_error_before": before.error,
            "calibration_error_after": after.error,
            "log_losses": dict(fitted.losses),
            "known_that_pass": self.passing,
        }
        if not self.multi_label:
            for name, scores in (("before", fitted.before), ("after", fitted.after)):
                numbers[f"accuracy_{name}"] = accuracy(fitted.target, scores.argmax(axis=1))
        if len(self.noise):
            numbers["noise_refused"] = self.noise.set_index("noise")["called unknown"].to_dict()
        return numbers

    def to_frame(self) -> pd.DataFrame:
        """A row per class: the threshold, its precision, and the number of clips."""
        return self.fitted.thresholds

    def summary(self) -> str:
        """The text for a terminal."""
        fitted, (before, after) = self.fitted, self.reliability
        decision = fitted.decision
        shown = int((fitted.thresholds["outcome"] == SHOWN).sum())
        wanted = decision.note["wanted precision"]
        n_few = int((fitted.thresholds["outcome"] == TOO_FEW).sum())
        too_few = (
            f"; for {n_few} there are too few recordings to say (at least "
            f"{recordings_needed(wanted)}, all right)"
            if n_few and wanted
            else ""
        )
        is_changed = decision.calibration.method != NONE
        how = decision.calibration.text() if is_changed else "the scores are unchanged"
        lines = [
            f"calibrated by {_amount(fitted)}: {how}",
            f"calibration error {percent_text(after.error)}, {percent_text(before.error)} "
            "before (distance of the scores from the share of right answers, for clips called "
            "known, cross-validated by recording)",
            f"thresholds for a precision of {percent_text(wanted, 0)}: shown to reach it on other "
            f"recordings for {shown} of {len(fitted.thresholds)} classes{too_few}; see "
            "thresholds.csv"
            if wanted
            else "thresholds for the best F1 of each class: see thresholds.csv",
        ]
        if len(self.noise):
            refused = float(self.noise["called unknown"].mean())
            lines.append(
                f"unknown (distance and noise): {percent_text(self.passing)} of the clips are "
                f"called known, {percent_text(refused)} of synthetic noise is called unknown"
            )
        return "\n".join([*lines, *self.notes, f"model: {self.model}", f"report: {self.report}"])


def calibrate(options: CalibrateOptions) -> CalibrateResult:
    """Fit a model's decision on labelled clips that it was not trained on; write a new model file.

    Raises
    ------
    DataError
        If the model was trained on some of the clips (unless ``allow_seen``), or if clips have
        labels that it does not know (unless ``allow_unknown``), are too few or cannot be read.
    ModelError
        If the model file is missing or damaged.
    """
    check(options)
    file = find_file(options.model, MODEL)
    model, about = open_model(file), read_about(file)["about"]
    clips, unknown = clips_for_model(options, model, "calibrate", "a calibration")
    with open_run("calibrate", options) as run:
        run.add_data("model", content_hash(file)[:16])
        hashes = record_data(run, clips, options.workers)
        cache = cache_of(options)
        shared = overlaps(clips, hashes, about, workers=options.workers, cache=cache)
        found = [one for one in shared if one.role != ROLE]
        refuse_seen(found, SEEN, allowed=options.allow_seen)
        known = recordings_in(run, clips, options)
        prepared = prepare_in(run, known.clips, model.mel, options)
        device = choose_device(options.device)
        fitted = fit_decision(
            model.to(device),
            prepared,
            np.arange(len(prepared)),
            known.clips,
            method=options.method,
            unknown=options.unknown,
            precision=options.precision,
            kept=options.kept,
            seed=options.seed,
            device=device,
        )
        model.decision = fitted.decision
        noise = pd.DataFrame()
        if options.unknown:
            noise = check_noise(model, seed=2 * options.seed + 1, device=device)
        about |= {
            ROLE: DataPart.of(
                known.clips,
                hashes,
                recording_prints(known.clips, workers=options.workers, cache=cache),
            ).to_dict(),
            "calibrated": stamp("calibrate", options),
        }
        if options.licence:
            about["licence"] = options.licence
        save(run.path(MODEL), model.to("cpu"), about=about)
        left_out = (
            [f"clips left out, as the model does not know their labels: {', '.join(unknown)}"]
            if unknown
            else []
        )
        result = CalibrateResult(
            fitted,
            noise,
            run.folder / MODEL,
            run.folder / "report.html",
            prepared.failures,
            (
                *left_out,
                *clips.notes,
                *known.notes,
                *unreadable(prepared.failures, prepared.remarks),
            ),
        )
        metrics = result.metrics()
        write_frame(run.path("thresholds.csv"), fitted.thresholds)
        write_json(run.path("metrics.json"), json_ready(metrics))
        _write_report(run.folder, result, options, model.name, file)
        run.note(**{k: v for k, v in metrics.items() if isinstance(v, (int, float))})
    return result


def _amount(fitted: DecisionFit) -> str:
    n_recordings = len(np.unique(fitted.clips.group))
    return f"{count_text(len(fitted.clips), 'clip')} of {count_text(n_recordings, 'recording')}"


def _write_report(
    folder: Path, result: CalibrateResult, options: CalibrateOptions, name: str, model_file: Path
) -> None:
    """Write ``report.html``, with figures and tables, into a run folder."""
    fitted, (before, after), metrics = result.fitted, result.reliability, result.metrics()
    classes = fitted.clips.classes
    report = Report(
        "calibrate.j2",
        f"Calibration of '{name}'",
        f"{_amount(fitted)} of '{fitted.clips.name}', {len(classes)} classes",
        result=result,
        options=options,
        decision=fitted.decision,
        model_file=str(model_file),
        n_needed=recordings_needed(options.precision),
    )
    report.verdict = Verdict(
        f"Calibration error {percent_text(after.error)}, {percent_text(before.error)} before",
        f"Calibration: {fitted.decision.calibration.text()}. For the clips called known.",
    )
    report.numbers = [
        Number(percent_text(before.error), "calibration error before"),
        Number(
            percent_text(after.error),
            "calibration error after",
            "0 %: scores equal the share of right answers",
        ),
    ]
    report.numbers += [
        Number(percent_text(metrics[f"accuracy_{when}"]), f"accuracy {when}")
        for when in ("before", "after")
        if not result.multi_label
    ]
    report.figure("reliability", reliability_diagram({"before": before, "after": after}))
    report.table(
        "methods",
        ["calibration", "log loss"],
        fitted.losses.items(),
        formats={"log loss": "{:.4f}".format},
    )
    shares = dict.fromkeys(("precision", "lower bound", "recall"), percent_text)
    report.frame("thresholds", fitted.thresholds, formats={"threshold": "{:.3f}".format, **shares})
    target = fitted.target if result.multi_label else np.eye(len(classes))[fitted.target]
    report.figure(
        "precision-recall",
        precision_recall(target, fitted.after, fitted.thresholds, classes, options.precision),
    )
    shares = dict.fromkeys(("called unknown", "highest score"), percent_text)
    report.frame("noise", result.noise, formats=shares)
    report.write(folder)
