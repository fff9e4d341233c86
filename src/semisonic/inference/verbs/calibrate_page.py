"""The report of ``calibrate``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semisonic import evaluation
from semisonic.base.wording import counted, percent
from semisonic.evaluation.class_thresholds import clips_needed
from semisonic.evaluation.plots import precision_recall, reliability_diagram
from semisonic.evaluation.report.page import Number, Page
from semisonic.inference.calibrate_options import CalibrateOptions
from semisonic.inference.verbs.calibrate_result import CalibrateResult
from semisonic.models import SoundModel


def write_calibrate_page(
    folder: Path,
    result: CalibrateResult,
    model: SoundModel,
    options: CalibrateOptions,
    model_file: Path,
) -> Path:
    """Write ``report.html`` with its figures and tables into a run folder."""
    held, decision = result.fitted.held, result.fitted.decision
    n_recordings = len(set(held.clips.group.tolist()))
    page = Page(
        f"Whether the scores of '{model.name}' mean what they say",
        f"{counted(len(held.clips), 'clip')} of {counted(n_recordings, 'recording')} of "
        f"{held.clips.name}, "
        f"{len(model.classes)} classes",
    )
    _top(page, result)
    page.notes(result.notes)
    if result.failures:
        page.warning(f"{len(result.failures)} clips could not be read; bad_files.csv lists them.")
    if result.unknown:
        page.warning(f"Left out, since the model does not know them: {', '.join(result.unknown)}.")
    _reliability(page, result)
    _thresholds(page, result, model, options)
    _unknown(page, result, options)
    page.section("How it was made")
    page.notes(
        [
            "Every number here is of clips whose recordings took no part in the fit that judged "
            "them: recordings were left out in turn. The model in the file was then fitted on all.",
            "The threshold of a class was chosen on the same clips as its precision is told of, "
            "which flatters it a little. Evaluate on further recordings to be sure.",
            "A long clip has the mean of its windows' scores.",
        ]
    )
    page.facts(
        {
            "model": str(model_file),
            "calibration": decision.calibration.text(),
            "rules for unknown sounds": ", ".join(decision.unknown.names) or "none",
            "seed": options.seed,
        }
    )
    return page.write(folder)


def _top(page: Page, result: CalibrateResult) -> None:
    fitted, (before, after) = result.fitted, result.reliability
    page.verdict(
        f"Calibration error {percent(after.error)}, {percent(before.error)} before",
        f"Calibration: {fitted.decision.calibration.text()}. Of the clips called known.",
    )
    cells = [
        Number(percent(before.error), "calibration error before"),
        Number(percent(after.error), "calibration error after", "0 %: as right as it is sure"),
    ]
    if not result.multi_label:
        target = fitted.held.target(False)
        for name, scores in (("before", fitted.before), ("after", fitted.after)):
            value = evaluation.accuracy(target, scores.argmax(axis=1))
            cells.append(Number(percent(value), f"accuracy {name}"))
    page.numbers(cells)


def _reliability(page: Page, result: CalibrateResult) -> None:
    before, after = result.reliability
    page.section("Reliability")
    page.figure(
        reliability_diagram({"before": before, "after": after}),
        "Share of right answers by the score of the answer, and how many clips have such scores. "
        "Above the dashed line the model is better than it says, below it worse. Clips called "
        "unknown are left out of both curves."
        if not result.multi_label
        else "Share of classes that are there by their score, and how many scores are such.",
        name="reliability", wide=False,
    )  # fmt: skip
    page.table(
        ["calibration", "log loss"],
        list(result.fitted.losses.items()),
        name="methods",
        formats={"log loss": "{:.4f}".format},
        note="On recordings left out in turn; the smaller the better. Vector scaling and isotonic "
        "are taken only when they gain more than the standard error.",
    )


def _thresholds(
    page: Page, result: CalibrateResult, model: SoundModel, options: CalibrateOptions
) -> None:
    fitted = result.fitted
    if not fitted.thresholds:
        return
    page.section("Thresholds")
    if options.precision:
        page.text(
            f"Wanted: of the clips that are named so, {percent(options.precision)} right. Shown "
            f"means that the lower bound ({percent(options.level, 0)} sure, one side) reaches it: "
            f"that takes {clips_needed(options.precision, options.level)} named clips, all right. "
            "Likely means that only the share itself does. Where it is not reached, the threshold "
            "is the one with the best F1."
        )
    page.table(
        ["class", "threshold", "outcome", "precision", "lower bound", "recall", "clips", "named"],
        [
            (name, t.value, t.outcome, _number(t.precision), _number(t.low), _number(t.recall),
             t.n_clips, t.n_named)
            for name, t in zip(model.classes, fitted.thresholds, strict=True)
        ],
        name="thresholds",
        formats={"threshold": "{:.3f}".format, "precision": percent, "lower bound": percent,
                 "recall": percent},
    )  # fmt: skip
    target = fitted.held.target(result.multi_label)
    hot = target if target.ndim == 2 else target[:, None] == np.arange(len(model.classes))
    page.figure(
        precision_recall(hot, fitted.after, fitted.thresholds, model.classes, options.precision),
        "Precision against recall. The dot is the threshold; the line below it ends at the lower "
        "bound of the precision; dashed is the precision wanted.",
        name="precision-recall",
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _unknown(page: Page, result: CalibrateResult, options: CalibrateOptions) -> None:
    if not result.noise:
        return
    page.section("Unknown sounds")
    passing = float((result.fitted.known >= 0.5).mean())
    page.text(
        f"Wanted: {percent(options.kept, 0)} of the known clips pass; {percent(passing)} do, by "
        "rules fitted on other recordings. The rules cannot tell every unknown sound. Below is "
        "what the model says of made-up silence and noise at levels from hardly audible to loud, "
        "none of which the rules were fitted by."
    )
    page.table(
        ["noise", "stretches", "called unknown", "highest score", "of"],
        [(row.kind, row.n, row.refused, row.surest, row.taken_for) for row in result.noise],
        name="noise",
        formats={"called unknown": percent, "highest score": percent},
    )
