"""``suspects``: labels that look wrong, judged by models that have not learnt them."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import TrainConfig
from semisonic.classifier.out_of_fold import Judge, network_judge, out_of_fold, statistics_judge
from semisonic.classifier.prepare import Failures, Prepared
from semisonic.classifier.run_files import (
    open_run,
    prepare_in,
    record_data,
    recordings_in,
    unreadable,
)
from semisonic.classifier.selection import load_data, targets_of
from semisonic.classifier.use_options import STATISTICS, SuspectsOptions
from semisonic.core.errors import DataError
from semisonic.core.files import digest, write_csv
from semisonic.core.options import check
from semisonic.core.text import Result, percent_text
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.datasets.load import require_labels
from semisonic.evaluation.label_errors import Suspects, find_suspects
from semisonic.evaluation.report.document import (
    Number,
    Player,
    Report,
    Verdict,
    clip_player,
)
from semisonic.models.registry import create
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# What ``suspects`` found, and how it is said.


SHOWN = 5
"""Suspects named on the terminal."""
LOW_AGREEMENT = 0.6
"""Below this share of labels that the judge would have given too, its doubts are worth little."""


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
            f"The judge agrees with only {percent_text(self.agreement)} of the labels. Many "
            "suspects will be its own mistakes: try another model, more recordings, or read the "
            "list from the top and stop where the labels are right."
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
            f"in {self.n_folds} folds: it agrees with {percent_text(self.agreement)} of the {what}",
            f"{len(self.found.suspects)} clips look wrongly labelled; estimated share of wrong "
            f"{what}: {percent_text(self.wrong_share)}",
        ]
        lines += [
            f"  {self.clips.ids[row]}: {self.label(row)}, sounds like "
            f"{self.suggestion(row) or 'none of the classes'} "
            f"({percent_text(self.support(row), 0)})"
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


# The report of ``suspects``: what looks wrong, to be listened to.


_MOST_ROWS = 200  # of the table in the page; the CSV has all


def write_suspects_page(
    folder: Path, result: SuspectsResult, options: SuspectsOptions, seconds: float
) -> Path:
    """Write ``report.html`` with its tables into a run folder."""
    clips, found = result.clips, result.found
    n, n_found = len(clips), len(found.suspects)
    what = "answers" if clips.is_multi_label else "labels"
    shown = result.listed[:_MOST_ROWS].tolist()
    report = Report(
        "suspects.j2",
        f"Labels of {clips.name} that look wrong",
        f"{n} clips, {len(clips.classes)} classes",
        result=result,
        options=options,
        seconds=seconds,
        n_listed=len(shown),
        n_all=len(result.listed),
        n_cut=len(result.listed) > len(shown),
        judge="a linear model and a forest of trees on statistics of spectrograms"
        if options.model == STATISTICS
        else f"the network '{options.model}'",
    )
    report.verdict = Verdict(
        f"{n_found} of {n} clips look wrongly labelled"
        if n_found
        else f"None of {n} clips looks wrongly labelled",
        "A suspect is a question, not an error: the judge has mistakes of its own. Listen before "
        "you change a label.",
    )
    report.numbers = [
        Number(str(n_found), "suspects", percent_text(n_found / n) + " of the clips"),
        Number(
            percent_text(result.wrong_share),
            f"estimated wrong {what}",
            "the judge's own mistakes included",
        ),
        Number(percent_text(result.agreement), f"{what} the judge agrees with", "out of fold"),
    ]
    if result.caution:
        report.warnings.append(result.caution)
    if result.failures:
        n_bad = len(result.failures)
        report.warnings.append(f"{n_bad} clips could not be read; bad_files.csv lists them.")
    report.data = {
        "n_suspects": n_found,
        "wrong_share": result.wrong_share,
        "agreement": result.agreement,
        "joints": [{"counts": j.counts, "thresholds": j.thresholds} for j in found.joints],
    }
    report.players("suspects", _sounds(result, options))
    _add_classes(report, result)
    if not clips.is_multi_label:
        counts = Counter((result.label(row), result.suggestion(row)) for row in found.suspects)
        report.table(
            "pairs",
            ["label", "sounds like", "clips"],
            [(label, other, k) for (label, other), k in counts.most_common(12)],
        )
    ids = clips.ids
    report.table(
        "suspects",
        ["rank", "clip", "label", "sounds like", "score of the label", "score of the other"],
        [
            (
                rank,
                ids[row],
                result.label(row),
                result.suggestion(row),
                float(found.quality[row]),
                result.support(row),
            )
            for rank, row in enumerate(shown, start=1)
        ],
    )
    return report.write(folder)


def _sounds(result: SuspectsResult, options: SuspectsOptions) -> Iterator[Player | None]:
    clips = result.clips
    ids, paths = clips.ids, clips.paths
    for rank, row in enumerate(result.listed[: options.players].tolist(), start=1):
        said = result.suggestion(row) or "none of the classes"
        yield clip_player(
            paths[row],
            float(clips.start_time[row]),
            float(clips.end_time[row]),
            result.label(row),
            f"sounds like {said}, {percent_text(result.support(row), 0)} sure",
            f"{rank}. {ids[row]}, score of its label {result.found.quality[row]:.2f}",
            sample_rate=options.mel.sample_rate,
        )


def _add_classes(report: Report, result: SuspectsResult) -> None:
    clips, found = result.clips, result.found
    if clips.is_multi_label:
        given, said = clips.targets() > 0, np.asarray(found.suggested, np.bool_)
        report.table(
            "classes",
            ["class", "clips", "perhaps not heard", "perhaps forgotten"],
            [
                (
                    name,
                    int(given[:, k].sum()),
                    int((given[:, k] & ~said[:, k]).sum()),
                    int((~given[:, k] & said[:, k]).sum()),
                )
                for k, name in enumerate(clips.classes)
            ],
        )
        return
    target, right = clips.target(), np.diag(found.joints[0].true_given_label)
    report.table(
        "classes",
        ["class", "clips", "suspects", "estimated wrong"],
        [
            (
                name,
                int((target == k).sum()),
                int((found.is_suspect & (target == k)).sum()),
                float(1.0 - right[k]),
            )
            for k, name in enumerate(clips.classes)
        ],
        formats={"estimated wrong": percent_text},
    )


TABLE, SCORES = "suspects.csv", "scores.csv"


def suspects(options: SuspectsOptions) -> SuspectsResult:
    """Judge every label by models that have not learnt it; list those that look wrong.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    ModelError
        When there is no such network.
    DataError
        When there are too few labels or recordings, nothing can be read, or the labels have
        changed since the run was begun.
    """
    check(options)
    if options.model != STATISTICS:
        create(options.model, options.mel.shape)  # a wrong name is named before anything is read
    clips = _labelled(load_data(options.data, options.labels, "suspects", options))
    with open_run("suspects", options) as run:
        started = time.perf_counter()
        record_data(run, clips, options.workers)
        run.add_data("labels", labels_hash(clips))
        together = recordings_in(run, clips, options)
        clips = together.clips
        prepared = prepare_in(run, clips, options.mel, options)
        scored = out_of_fold(
            clips,
            prepared,
            _judge(options, run, clips, prepared),
            folds=options.folds,
            repeats=options.repeats,
            seed=options.seed,
            validation=0.0 if options.model == STATISTICS else options.validation,
            keep=run.path("folds"),
        )
        shutil.rmtree(run.path("training"), ignore_errors=True)
        table = clips[scored.rows]
        found = _find(table, scored.scores)
        listed = found.order[: options.most] if options.most else found.suspects
        result = SuspectsResult(
            table,
            scored.scores,
            found,
            listed,
            scored.n_folds,
            options.model,
            run.folder / TABLE,
            run.folder / "report.html",
            prepared.failures,
            prepared.remarks,
            (*clips.notes, *together.notes),
        )
        write_list(run.path(TABLE), result)
        write_all_scores(run.path(SCORES), result)
        write_suspects_page(run.folder, result, options, time.perf_counter() - started)
        run.note(
            n_clips=len(table),
            n_suspects=len(found.suspects),
            agreement=result.agreement,
            wrong_share=result.wrong_share,
        )
    return result


def labels_hash(clips: Clips) -> str:
    """One hash for which clip carries which label, whatever the order of rows."""
    rows = zip(clips.ids, clips.labels, clips.group.tolist(), clips.fold.tolist(), strict=True)
    return digest(sorted(rows))


def write_list(path: Path, result: SuspectsResult) -> None:
    """A row a suspect, the most suspicious first."""
    clips, quality = result.clips, result.found.quality
    ids = clips.ids
    write_csv(
        path,
        ["rank", "clip", "label", "suggested", "score", "suggested_score", "group"],
        [
            [
                rank,
                ids[row],
                result.label(row),
                result.suggestion(row),
                f"{quality[row]:.4f}",
                f"{result.support(row):.4f}",
                clips.group[row],
            ]
            for rank, row in enumerate(result.listed.tolist(), start=1)
        ],
    )


def write_all_scores(path: Path, result: SuspectsResult) -> None:
    """A row per clip: label, quality, whether it is a suspect, and the score of each class."""
    clips, found = result.clips, result.found
    rows = zip(clips.ids, found.quality, found.is_suspect, result.scores, strict=True)
    write_csv(
        path,
        ["clip", "label", "score", "suspect", *clips.classes],
        [
            [clip, result.label(i), f"{q:.4f}", "yes" if bad else "no", *(f"{s:.5f}" for s in row)]
            for i, (clip, q, bad, row) in enumerate(rows)
        ],
    )


def _labelled(clips: Clips) -> Clips:
    """The clips with a label, with the classes that occur."""
    require_labels(clips, "a search for wrong labels")
    clips = clips[clips.is_labelled]
    counts = Counter(label for row in clips.labels for label in row)
    classes = tuple(name for name in clips.classes if counts[name])
    if len(classes) < 2:
        raise DataError(
            f"'{clips.name}': found {len(classes)} class, expected at least 2: a label can only "
            "be doubted where there is another one"
        )
    return clips.with_columns(classes=classes)


def _judge(options: SuspectsOptions, run: RunFolder, clips: Clips, prepared: Prepared) -> Judge:
    target: NDArray[Any] = targets_of(prepared.clips, multi_label=clips.is_multi_label)
    if options.model == STATISTICS:
        return statistics_judge(
            prepared, target, n_classes=len(clips.classes), workers=options.workers
        )
    return network_judge(
        TrainConfig(options.model, mel=options.mel, loss=options.loss, fit=options.fit),
        prepared,
        target,
        clips.classes,
        device=options.device,
        folder=run.path("training"),
    )


def _find(clips: Clips, scores: NDArray[np.float64]) -> Suspects:
    given = clips.targets() if clips.is_multi_label else clips.target()
    return find_suspects(given, np.clip(scores, 0.0, 1.0))
