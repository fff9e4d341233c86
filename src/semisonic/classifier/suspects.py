"""``suspects``: labels that look wrong, judged by models that have not learnt them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.classifier import run_files
from semisonic.classifier.prepare import Failures, Prepared
from semisonic.classifier.selection import load_data, targets_of
from semisonic.classifier.simple import JUDGE, fit_scores
from semisonic.classifier.use_options import SuspectsOptions
from semisonic.core.errors import DataError
from semisonic.core.files import digest, replacing, write_csv
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.seeds import derive
from semisonic.core.text import Result, percent_text
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.splits import Split, fold_splits
from semisonic.evaluation.label_errors import Suspects, find_suspects
from semisonic.evaluation.report.document import Number, Player, Report, Verdict, clip_player
from semisonic.features.statistics import mel_statistics
from semisonic.training.run_folder import RunFolder

DEFAULT_FOLDS = 5
Rows = NDArray[np.int64]
Scores = NDArray[np.float64]


def out_of_fold(
    clips: Clips,
    prepared: Prepared,
    judge: Callable[[Rows, Rows, int], Scores],
    *,
    folds: int = 0,
    repeats: int = 1,
    seed: int = 0,
    keep: Path | None = None,
) -> tuple[Rows, Scores, int]:
    """Score every labelled clip once in each repeat by what has not learnt its recording.

    Parameters
    ----------
    clips : Clips
        All labelled; the table that ``prepared`` was made from.
    prepared : Prepared
    judge : callable
        Learns from rows of features and scores others: (train, test, seed) to probabilities,
        shape (len(test), n_classes).
    folds : int
        Folds to make, by recording; 0 takes the data's own, or makes five.
    repeats : int
        Each with other seeds and, where folds are made, other folds.
    seed : int
    keep : Path, optional
        Folder for the scores of each fold, so that an interrupted call goes on.

    Returns
    -------
    rows : ndarray of int64
        The rows of the table that could be read, ascending.
    scores : ndarray, shape (len(rows), n_classes)
        Means over the repeats.
    n_folds : int

    Raises
    ------
    DataError
        When there are too few recordings for the folds, or a class has one only.
    """
    readable = np.unique(prepared.source).astype(np.int64)
    # Nothing is measured here: unverified labels are judged as all others are.
    table = clips[readable].with_columns(label_type=np.full(len(readable), "positive"))
    if folds or not table.folds or (table.fold == 0).any():
        table = table.with_columns(fold=np.zeros(len(table), np.int64))
    jobs: list[tuple[int, Split, int]] = []
    for repeat in range(repeats):
        own = derive(seed, "out of fold", repeat)
        found = fold_splits(table, validation=0.0, seed=own, n_folds=folds or DEFAULT_FOLDS)
        jobs += [(repeat, split, derive(own, split.fold)) for split in found]
    total = np.zeros((len(table), len(clips.classes)))
    for repeat, split, own in track(jobs, "judge", "fold"):
        train, test = (prepared.rows_of(readable[rows]) for rows in (split.train, split.test))
        file = None if keep is None else keep / f"repeat-{repeat}-fold-{split.fold}.npy"
        if file is not None and file.is_file():
            scores = np.asarray(np.load(file), np.float64)
        else:
            scores = judge(train, test, own)
            if file is not None:
                with replacing(file) as part, part.open("wb") as stream:
                    np.save(stream, scores)
        of_clips, owner = prepared.per_clip(scores, test)
        total[np.searchsorted(readable, owner)] += of_clips
    return readable, total / repeats, len(jobs) // repeats


# What ``suspects`` found, and how it is said.

SHOWN = 5
"""Suspects named on the terminal."""
LOW_AGREEMENT = 0.6
"""Below this share of labels that the judge would have given too, its list is worth little."""
_MOST_ROWS = 200  # of the table in the page; the CSV has all
TABLE, SCORES, REPORT = "suspects.csv", "scores.csv", "report.html"


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
    judged : DataFrame
        A row a clip: its name, label, suggestion ("" for none of the classes), the score of its
        label, the score of the suggestion (``support``), and its recording.
    listed : ndarray of int64
        The rows of the list, the most suspicious first.
    n_folds : int
    table, report : Path
        The list as CSV, and the page.
    failures, remarks : tuple of (str, str)
    notes : tuple of str
        What is known of the recordings that the clips were cut from.
    """

    clips: Clips
    scores: Scores
    found: Suspects
    judged: pd.DataFrame
    listed: Rows
    n_folds: int
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
            "suspects will be its own mistakes: add recordings, or read the list from the top and "
            "stop where the labels are right."
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a listed clip, the most suspicious first."""
        return self.judged.iloc[self.listed].reset_index(drop=True)

    def summary(self) -> str:
        """For a terminal."""
        what = "answers" if self.clips.is_multi_label else "labels"
        lines = [
            f"{len(self.clips)} labelled clips of {len(self.clips.classes)} classes, judged in "
            f"{self.n_folds} folds: the judge agrees with {percent_text(self.agreement)} of the "
            f"{what}",
            f"{len(self.found.suspects)} clips look wrongly labelled; estimated share of wrong "
            f"{what}: {percent_text(self.wrong_share)}",
        ]
        lines += [
            f"  {row.clip}: {row.label}, sounds like {row.suggestion or 'none of the classes'} "
            f"({percent_text(row.support, 0)})"
            for row in _rows(self.to_frame()[:SHOWN])
        ]
        if len(self.listed) > SHOWN:
            lines.append(f"  and {len(self.listed) - SHOWN} more")
        if self.caution:
            lines.append(self.caution)
        lines.append("a suspect is a question, not an error: listen before you change a label")
        lines += [*self.notes, *run_files.unreadable(self.failures, self.remarks)]
        lines += [f"list: {self.table}", f"report: {self.report}"]
        return "\n".join(lines)


def _rows(table: pd.DataFrame) -> list[Any]:
    """The rows of a table as named tuples."""
    return list(table.itertuples())


def _judged(clips: Clips, scores: Scores, found: Suspects) -> pd.DataFrame:
    """The columns of :attr:`SuspectsResult.judged`."""
    names, said = np.array(clips.classes, object), np.asarray(found.suggested)
    if said.ndim == 1:
        suggestion = names[said].tolist()
        support = scores[np.arange(len(clips)), said]
    else:  # of what is suggested, the score of the clearest change
        suggestion = [LABEL_SEPARATOR.join(names[row]) for row in said.astype(bool)]
        answers = np.where(said, scores, 1.0 - scores)
        turned = said != (clips.targets() > 0)
        turned |= ~turned.any(axis=1, keepdims=True)
        support = np.where(turned, answers, 0.0).max(axis=1)
    return pd.DataFrame(
        {
            "clip": clips.ids,
            "label": [LABEL_SEPARATOR.join(row) for row in clips.labels],
            "suggestion": suggestion,
            "score": found.quality,
            "support": support,
            "group": clips.group.astype(object),
        }
    )


def write_suspects_page(
    folder: Path, result: SuspectsResult, options: SuspectsOptions, seconds: float
) -> Path:
    """Write ``report.html`` with its tables into a run folder."""
    clips, found, listed = result.clips, result.found, result.to_frame()
    n, n_found = len(clips), len(found.suspects)
    what = "answers" if clips.is_multi_label else "labels"
    report = Report(
        "suspects.j2",
        f"Labels of {clips.name} that look wrong",
        f"{n} clips, {len(clips.classes)} classes",
        result=result,
        options=options,
        seconds=seconds,
        n_listed=min(len(listed), _MOST_ROWS),
        n_all=len(listed),
        n_cut=len(listed) > _MOST_ROWS,
    )
    report.verdict = Verdict(
        f"{n_found or 'None'} of {n} clips look{'s' * (not n_found)} wrongly labelled",
        "A suspect is a question, not an error: the judge has mistakes of its own. Listen before "
        "you change a label.",
    )
    agreement, wrong = percent_text(result.agreement), percent_text(result.wrong_share)
    report.numbers = [
        Number(str(n_found), "suspects", percent_text(n_found / n) + " of the clips"),
        Number(wrong, f"estimated wrong {what}", "the judge's own mistakes included"),
        Number(agreement, f"{what} the judge agrees with", "out of fold"),
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
    report.players("suspects", _players(result, options))
    _add_classes(report, result)
    columns = ["clip", "label", "suggestion", "score", "support"]
    rows = listed[columns][:_MOST_ROWS].itertuples(index=False)
    report.table(
        "suspects",
        ["rank", "clip", "label", "sounds like", "score of the label", "score of the other"],
        [(rank, *row) for rank, row in enumerate(rows, start=1)],
    )
    return report.write(folder)


def _players(result: SuspectsResult, options: SuspectsOptions) -> Iterator[Player | None]:
    clips, paths = result.clips, result.clips.paths
    shown = result.judged.iloc[result.listed[: options.players]]
    for rank, row in enumerate(_rows(shown), start=1):
        said = row.suggestion or "none of the classes"
        yield clip_player(
            paths[row.Index],
            float(clips.start_time[row.Index]),
            float(clips.end_time[row.Index]),
            row.label,
            f"sounds like {said}, {percent_text(row.support, 0)} sure",
            f"{rank}. {row.clip}, score of its label {row.score:.2f}",
            sample_rate=options.mel.sample_rate,
        )


def _add_classes(report: Report, result: SuspectsResult) -> None:
    """Labels that may be wrong by class, and classes that may be confused."""
    clips, found = result.clips, result.found
    given = clips.targets() > 0
    if clips.is_multi_label:
        said = np.asarray(found.suggested, np.bool_)
        counts = (given.sum(axis=0), (given & ~said).sum(axis=0), (~given & said).sum(axis=0))
        rows = zip(clips.classes, *(one.tolist() for one in counts), strict=True)
        head = ["class", "clips", "perhaps not there", "perhaps forgotten"]
        report.table("classes", head, list(rows))
        return
    wrong = 1.0 - np.diag(found.joints[0].true_given_label)
    counts = (given.sum(axis=0), given[found.is_suspect].sum(axis=0), wrong)
    report.table(
        "classes",
        ["class", "clips", "suspects", "estimated wrong"],
        list(zip(clips.classes, *(one.tolist() for one in counts), strict=True)),
        formats={"estimated wrong": percent_text},
    )
    suspected = result.judged.iloc[found.suspects]
    pairs = Counter(zip(suspected["label"], suspected["suggestion"], strict=True))
    taken = [(label, other, n) for (label, other), n in pairs.most_common(12)]
    report.table("pairs", ["label", "sounds like", "clips"], taken)


def suspects(options: SuspectsOptions) -> SuspectsResult:
    """Judge every label by models that have not learnt it; list those that look wrong.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    DataError
        When there are too few labels or recordings, nothing can be read, or the labels have
        changed since the run was begun.
    """
    check(options)
    clips = _labelled(load_data(options.data, options.labels, "suspects", options))
    with run_files.open_run("suspects", options) as run:
        started = time.perf_counter()
        run_files.record_data(run, clips, options.workers)
        rows = zip(clips.ids, clips.labels, clips.group.tolist(), clips.fold.tolist(), strict=True)
        run.add_data("labels", digest(sorted(rows)))
        together = run_files.recordings_in(run, clips, options)
        prepared = run_files.prepare_in(run, together.clips, options.mel, options)
        several, n, workers = clips.is_multi_label, len(clips.classes), options.workers
        features, target = prepared.features, targets_of(prepared.clips, multi_label=several)
        x = mel_statistics(features)

        def judge(train: Rows, test: Rows, seed: int) -> Scores:
            known, new = x[train], x[test]
            return fit_scores(
                JUDGE, known, target[train], new, n_classes=n, seed=seed, workers=workers
            )

        readable, scores, n_folds = out_of_fold(
            together.clips,
            prepared,
            judge,
            folds=options.folds,
            repeats=options.repeats,
            seed=options.seed,
            keep=run.path("folds"),
        )
        table, sure = together.clips[readable], np.clip(scores, 0.0, 1.0)
        found = find_suspects(table.targets() if several else table.target(), sure)
        result = SuspectsResult(
            table,
            scores,
            found,
            _judged(table, scores, found),
            found.order[: options.most] if options.most else found.suspects,
            n_folds,
            run.folder / TABLE,
            run.folder / REPORT,
            prepared.failures,
            prepared.remarks,
            (*clips.notes, *together.notes),
        )
        _write_tables(run, result)
        write_suspects_page(run.folder, result, options, time.perf_counter() - started)
        run.note(
            n_clips=len(table),
            n_suspects=len(found.suspects),
            agreement=result.agreement,
            wrong_share=result.wrong_share,
        )
    return result


def _write_tables(run: RunFolder, result: SuspectsResult) -> None:
    """The list, the most suspicious first; and a row per clip with the score of each class."""
    write_csv(
        run.path(TABLE),
        ["rank", "clip", "label", "suggested", "score", "suggested_score", "group"],
        [
            [i, r.clip, r.label, r.suggestion, f"{r.score:.4f}", f"{r.support:.4f}", r.group]
            for i, r in enumerate(_rows(result.to_frame()), start=1)
        ],
    )
    suspect = np.where(result.found.is_suspect, "yes", "no")
    write_csv(
        run.path(SCORES),
        ["clip", "label", "score", "suspect", *result.clips.classes],
        [
            [r.clip, r.label, f"{r.score:.4f}", suspect[i], *(f"{s:.5f}" for s in result.scores[i])]
            for i, r in enumerate(_rows(result.judged))
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
