"""What ``suspects`` found, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semisonic.base.result import Result
from semisonic.base.wording import percent
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.evaluation.suspects import Suspects
from semisonic.inference.prepare import Failures
from semisonic.inference.verbs.runs import unreadable

SHOWN = 5
"""Suspects named on the terminal."""
LOW_AGREEMENT = 0.6
"""Below this share of labels that the judge would have given too, its doubts are worth little."""


if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SuspectsResult(Result):
    """What ``suspects`` found.

    Attributes
    ----------
    clips : Clips
        The labelled clips that could be read, with the classes that occur.
    scores : ndarray, shape (n, n_classes)
        Of models that have not learnt the clips' recordings.
    found : Suspects
        Quality, suspicion and suggestion for each clip.
    listed : ndarray of int64
        The rows of the list, the most suspicious first.
    n_folds : int
    model : str
    table, report : Path
        The list as CSV, and the page.
    failures, remarks : tuple of (str, str)
    notes : tuple of str
        What is known of the recordings that the clips were cut from.
    """

    clips: Clips
    scores: NDArray[np.float64]
    found: Suspects
    listed: NDArray[np.int64]
    n_folds: int
    model: str
    table: Path
    report: Path
    failures: Failures
    remarks: Failures = ()
    notes: tuple[str, ...] = ()

    @property
    def agreement(self) -> float:
        """Share of the labels that the models would have given too, 0 to 1.

        With several labels per clip, share of the answers yes and no to each class.
        """
        if self.clips.is_multi_label:
            return float(((self.scores >= 0.5) == (self.clips.targets() > 0)).mean())
        return float((self.scores.argmax(axis=1) == self.clips.target()).mean())

    @property
    def wrong_share(self) -> float:
        """Estimated share of wrong labels (or answers), 0 to 1; the models' own errors count."""
        return float(np.mean([joint.wrong_share for joint in self.found.joints]))

    @property
    def caution(self) -> str:
        """What to say where the judge itself is poor; empty where it is not."""
        if self.clips.is_multi_label or self.agreement >= LOW_AGREEMENT:
            return ""
        return (
            f"The judge agrees with only {percent(self.agreement)} of the labels. Many suspects "
            "will be its own mistakes: try another model, more recordings, or read the list from "
            "the top and stop where the labels are right."
        )

    def label(self, row: int) -> str:
        """The label of a clip."""
        return LABEL_SEPARATOR.join(self.clips.labels[row])

    def suggestion(self, row: int) -> str:
        """The label that the scores speak for; "" for none of the classes."""
        classes, said = self.clips.classes, self.found.suggested[row]
        if self.found.suggested.ndim == 1:
            return classes[int(said)]
        return LABEL_SEPARATOR.join(c for c, yes in zip(classes, said, strict=True) if yes)

    def support(self, row: int) -> float:
        """The score of what is suggested; with several labels, of its clearest change."""
        said = self.found.suggested[row]
        if self.found.suggested.ndim == 1:
            return float(self.scores[row, int(said)])
        turned = said != (self.clips.targets()[row] > 0)
        answers = np.where(said, self.scores[row], 1.0 - self.scores[row])
        return float((answers[turned] if turned.any() else answers).max())

    def to_frame(self) -> pd.DataFrame:
        """A row a listed clip, the most suspicious first."""
        import pandas as pd

        return pd.DataFrame(
            {
                "clip": [self.clips.ids[row] for row in self.listed],
                "label": [self.label(row) for row in self.listed],
                "suggestion": [self.suggestion(row) for row in self.listed],
                "score": self.found.quality[self.listed],
                "support": [self.support(row) for row in self.listed],
                "group": self.clips.group[self.listed].astype(object),
            }
        )

    def summary(self) -> str:
        """For a terminal."""
        n = len(self.clips)
        what = "answers" if self.clips.is_multi_label else "labels"
        lines = [
            f"{n} labelled clips of {len(self.clips.classes)} classes, judged by '{self.model}' "
            f"in {self.n_folds} folds: it agrees with {percent(self.agreement)} of the {what}",
            f"{len(self.found.suspects)} clips look wrongly labelled; estimated share of wrong "
            f"{what}: {percent(self.wrong_share)}",
        ]
        lines += [
            f"  {self.clips.ids[row]}: {self.label(row)}, sounds like "
            f"{self.suggestion(row) or 'none of the classes'} ({percent(self.support(row), 0)})"
            for row in self.listed[:SHOWN].tolist()
        ]
        if len(self.listed) > SHOWN:
            lines.append(f"  and {len(self.listed) - SHOWN} more")
        if self.caution:
            lines.append(self.caution)
        lines.append("a suspect is a question, not an error: listen before you change a label")
        lines += self.notes
        lines += unreadable(self.failures, self.remarks)
        lines += [f"list: {self.table}", f"report: {self.report}"]
        return "\n".join(lines)
