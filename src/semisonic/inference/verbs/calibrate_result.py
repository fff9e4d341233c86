"""What ``calibrate`` made and found, and how it is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic import evaluation
from semisonic.base.result import Result
from semisonic.base.wording import counted, percent
from semisonic.evaluation.calibration import Reliability
from semisonic.evaluation.class_thresholds import SHOWN
from semisonic.inference.deciding.fitting import Fitted
from semisonic.inference.deciding.noise_check import NoiseRow
from semisonic.inference.prepare import Failures
from semisonic.inference.verbs.runs import unreadable
from semisonic.models.decision import KNOWN_FROM

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD_COLUMNS = (
    "class", "threshold", "outcome", "precision", "lower_bound", "recall", "clips", "named",
)  # fmt: skip


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

    fitted: Fitted
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
        known = self.fitted.known >= KNOWN_FROM
        rows = np.flatnonzero(known if known.any() else ~known)
        target = self.fitted.held.target(self.multi_label)[rows]
        measure = evaluation.tag_reliability if self.multi_label else evaluation.reliability
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
            f"calibrated by {counted(n, 'clip')} of "
            f"{counted(len(set(f.held.clips.group.tolist())), 'recording')}: "
            f"{decision.calibration.text()}",
            f"calibration error {percent(after.error)}, {percent(before.error)} before: how far "
            "scores are from the share of right answers; of clips called known, recordings left "
            "out in turn",
        ]
        if f.thresholds:
            shown = sum(t.outcome == SHOWN for t in f.thresholds)
            wanted = decision.note.get("wanted precision")
            lines.append(
                f"thresholds for a precision of {percent(wanted, 0)}: shown for {shown} of "
                f"{len(f.thresholds)} classes; thresholds.csv tells of the others"
                if wanted
                else "thresholds for the best F1 of each class: thresholds.csv"
            )
        if decision.unknown.parts:
            refused = np.average([row.refused for row in self.noise])
            lines.append(
                f"unknown ({' and '.join(decision.unknown.names)}): "
                f"{percent(float((f.known >= 0.5).mean()))} of the clips pass, "
                f"{percent(float(refused))} of made-up noise and silence does not"
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
        numbers["accuracy_before"] = evaluation.accuracy(target, f.before.argmax(axis=1))
        numbers["accuracy_after"] = evaluation.accuracy(target, f.after.argmax(axis=1))
    if result.noise:
        numbers["noise_refused"] = {row.kind: row.refused for row in result.noise}
    return numbers
