"""``suspects``: labels that look wrong, judged by models that were not trained on them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from semisonic.audio.player import Player, clip_player
from semisonic.classifier import run_files
from semisonic.classifier.options import SuspectsOptions
from semisonic.classifier.prepare import Failures, Prepared
from semisonic.classifier.selection import load_data, targets_of
from semisonic.classifier.simple import JUDGE, fit_scores
from semisonic.core.errors import DataError
from semisonic.core.files import digest, replacing, write_frame
from semisonic.core.html import Result
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.seeds import derive
from semisonic.core.text import count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.splits import Split, fold_splits
from semisonic.evaluation.label_errors import Suspects, find_suspects
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.features.statistics import mel_statistics

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
    """Score every labelled clip once in each repeat, by a model not trained on its recording.

    Parameters
    ----------
    clips : Clips
        All labelled; the table that ``prepared`` was made from.
    prepared : Prepared
    judge : callable
        Learns from rows of features and scores others: (train, test, seed) to probabilities,
        shape (len(test), n_classes).
    folds : int
        Number of folds to make, by recording; 0: the folds of the data, or five.
    repeats : int
        Number of repeats, each with other seeds and, if folds are made, other folds.
    seed : int
    keep : Path, optional
        Folder for the scores of each fold, so that an interrupted call continues.

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
        If there are too few recordings for the folds, or a class has only one.
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
            try:
                scores = np.asarray(np.load(file), np.float64)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(
                    f"{file}: damaged ({error}). Delete it: it is made again"
                ) from error
        else:
            scores = judge(train, test, own)
            if file is not None:
                with replacing(file) as part, part.open("wb") as stream:
                    np.save(stream, scores)
        of_clips, owner = prepared.per_clip(scores, test)
        total[np.searchsorted(readable, owner)] += of_clips
    return readable, total / repeats, len(jobs) // repeats


SHOWN = 5
"""Number of suspects printed on the terminal."""
LOW_AGREEMENT = 0.6
"""If the judge agrees with less than this share of the labels, its list is of little use."""
_MOST_ROWS = 200  # of the table in the page; the CSV has all
WRONG = "estimated wrong"
TABLE, SCORES, REPORT = "suspects.csv", "scores.csv", "report.html"


@dataclass(frozen=True)
class SuspectsResult(Result):
    """The result of ``suspects``.

    Attributes
    ----------
    clips : Clips
        The labelled clips that could be read, with the classes that occur.
    scores : ndarray, shape (n, n_classes)
        Scores by models that were not trained on the clips' recordings.
    found : Suspects
        Quality, suspicion and suggestion for each clip.
    listed : DataFrame
        A row per listed clip, most suspicious first: ``clip``, ``label``, ``suggestion`` ("" for
        none of the classes), the ``score`` of its label, that of the suggestion (``support``), and
        its recording (``group``).
    n_folds : int
    folder : Path
        The run folder, with the list and the page.
    failures, remarks : tuple of (str, str)
    notes : tuple of str
        What is known about the recordings of the clips.
    """

    clips: Clips
    scores: Scores
    found: Suspects
    listed: pd.DataFrame
    n_folds: int
    folder: Path
    failures: Failures
    remarks: Failures = ()
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> Path:
        """The list as CSV."""
        return self.folder / TABLE

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / REPORT

    @property
    def agreement(self) -> float:
        """Share of the labels that the models agree with, 0 to 1.

        With several labels per clip, share of the answers yes and no to each class.
        """
        if self.clips.is_multi_label:
            return float(((self.scores >= 0.5) == (self.clips.targets() > 0)).mean())
        return float((self.scores.argmax(axis=1) == self.clips.target()).mean())

    @property
    def caution(self) -> str:
        """A warning if the judge itself is poor, else an empty text."""
        if self.clips.is_multi_label or self.agreement >= LOW_AGREEMENT:
            return ""
        return (
            f"The judge agrees with only {percent_text(self.agreement)} of the labels. Many "
            "suspects will be mistakes of the judge: add recordings, or read the list from the "
            "top and stop when the labels are right."
        )

    def _html_parts(self) -> Iterable[Markup]:
        from semisonic.audio.player import N_EXAMPLES, part_players
        from semisonic.core.html import facts, frame_table, problems
        from semisonic.data.clips import part_of

        listed, clips = self.listed, self.clips
        yield facts(
            {
                "suspects": f"{len(listed)} of {count_text(len(clips), 'clip')}",
                "agreement": f"{percent_text(self.agreement)} of the labels",
                "caution": self.caution,
                "list": self.table,
            }
        )
        yield frame_table(listed)
        said = listed.suggestion.replace("", "none of the classes")
        rows = zip(listed.index[:N_EXAMPLES].tolist(), said, strict=False)
        yield part_players(part_of(clips, row, f"sounds like {name}") for row, name in rows)
        yield problems(self.failures)

    def to_frame(self) -> pd.DataFrame:
        """A row a listed clip, the most suspicious first."""
        return self.listed

    def summary(self) -> str:
        """For a terminal."""
        what = "answers" if self.clips.is_multi_label else "labels"
        lines = [
            f"{len(self.clips)} labelled clips of {len(self.clips.classes)} classes, judged in "
            f"{self.n_folds} folds: the judge agrees with {percent_text(self.agreement)} of the "
            f"{what}",
            f"{len(self.found.suspects)} clips look wrongly labelled; estimated share of wrong "
            f"{what}: {percent_text(self.found.wrong_share)}",
        ]
        first: list[Any] = list(self.listed[:SHOWN].itertuples())
        lines += [
            f"  {row.clip}: {row.label}, sounds like {row.suggestion or 'none of the classes'} "
            f"({percent_text(row.support, 0)})"
            for row in first
        ]
        if len(self.listed) > SHOWN:
            lines.append(f"  and {len(self.listed) - SHOWN} more")
        if self.caution:
            lines.append(self.caution)
        lines.append("a suspect may be right: listen before you change a label")
        lines += [*self.notes, *run_files.unreadable(self.failures, self.remarks)]
        lines += [f"list: {self.table}", f"report: {self.report}"]
        return "\n".join(lines)


def suspects(options: SuspectsOptions) -> SuspectsResult:
    """Judge every label by models that were not trained on it; list those that look wrong.

    Raises
    ------
    OptionError
        If an option is wrong, or the run folder belongs to another run.
    DataError
        If there are too few labels or recordings, nothing can be read, or the labels have changed
        since the run started.
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
        target = targets_of(prepared.clips, multi_label=several)
        x = mel_statistics(prepared.features)

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
        judged = _judged(table, scores, found)
        listed = judged.iloc[found.order[: options.most] if options.most else found.suspects]
        result = SuspectsResult(
            table,
            scores,
            found,
            listed,
            n_folds,
            run.folder,
            prepared.failures,
            prepared.remarks,
            (*clips.notes, *together.notes),
        )
        names = {"suggestion": "suggested", "support": "suggested_score"}
        ranked = listed.rename(columns=names)
        ranked.insert(0, "rank", range(1, len(ranked) + 1))
        write_frame(run.path(TABLE), ranked)
        judged = judged[["clip", "label", "score"]]
        judged["suspect"] = np.where(found.is_suspect, "yes", "no")
        each = pd.DataFrame(scores, columns=list(table.classes))
        write_frame(run.path(SCORES), pd.concat([judged, each], axis=1))
        _write_page(result, options, time.perf_counter() - started)
        run.note(
            n_clips=len(table),
            n_suspects=len(found.suspects),
            agreement=result.agreement,
            wrong_share=found.wrong_share,
        )
    return result


def _judged(clips: Clips, scores: Scores, found: Suspects) -> pd.DataFrame:
    """A row a clip, with the columns of :attr:`SuspectsResult.listed`."""
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


def _write_page(result: SuspectsResult, options: SuspectsOptions, seconds: float) -> None:
    """Write ``report.html`` with its tables into the run folder."""
    clips, found, listed = result.clips, result.found, result.listed
    n, n_found = len(clips), len(found.suspects)
    what = "answers" if clips.is_multi_label else "labels"
    report = Report(
        "suspects.j2",
        f"Labels of '{clips.name}' that look wrong",
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
        "A suspect may be right, as the judge makes mistakes too. Listen before you change a "
        "label.",
    )
    agreement, wrong = percent_text(result.agreement), percent_text(found.wrong_share)
    report.numbers = [
        Number(str(n_found), "suspects", percent_text(n_found / n) + " of the clips"),
        Number(wrong, f"estimated wrong {what}", "including mistakes of the judge"),
        Number(agreement, f"{what} the judge agrees with", "out of fold"),
    ]
    if result.caution:
        report.warnings.append(result.caution)
    if result.failures:
        n_bad = len(result.failures)
        report.warnings.append(
            f"{count_text(n_bad, 'clip')} could not be read; bad_files.csv lists them."
        )
    report.data = {
        "n_suspects": n_found,
        "wrong_share": found.wrong_share,
        "agreement": result.agreement,
        "joints": found.joints,
    }
    report.players("suspects", _players(result, options))
    _add_classes(report, result)
    shown = listed[:_MOST_ROWS].drop(columns="group")
    shown.insert(0, "rank", range(1, len(shown) + 1))
    names = {"suggestion": "sounds like", "score": "score of the label"}
    report.frame("suspects", shown.rename(columns={**names, "support": "score of the other"}))
    report.write(result.folder)


def _players(result: SuspectsResult, options: SuspectsOptions) -> Iterator[Player | None]:
    clips, paths = result.clips, result.clips.paths
    shown: list[Any] = list(result.listed[: options.players].itertuples())
    for rank, row in enumerate(shown, start=1):
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
    table = pd.DataFrame({"class": pd.Series(clips.classes, dtype=object), "clips": given.sum(0)})
    if clips.is_multi_label:
        said = np.asarray(found.suggested, np.bool_)
        columns = {"perhaps not there": given & ~said, "perhaps forgotten": ~given & said}
        report.frame("classes", table.assign(**{k: x.sum(axis=0) for k, x in columns.items()}))
        return
    (joint,) = found.joints
    with np.errstate(invalid="ignore"):
        wrong = 1.0 - np.diag(joint) / joint.sum(axis=1)
    table = table.assign(suspects=given[found.is_suspect].sum(axis=0), **{WRONG: wrong})
    report.frame("classes", table, formats={WRONG: percent_text})
    names = np.array(clips.classes, object)
    rows = found.suspects
    given_names, said_names = names[clips.target()[rows]], names[found.suggested[rows]]
    pairs = Counter(zip(given_names, said_names, strict=True))
    taken = [(*pair, n) for pair, n in pairs.most_common(12)]
    report.table("pairs", ["label", "sounds like", "clips"], taken)


def _labelled(clips: Clips) -> Clips:
    """The clips with a label, with the classes that occur."""
    require_labels(clips, "a search for wrong labels")
    clips = clips[clips.is_labelled]
    counts = Counter(label for row in clips.labels for label in row)
    classes = tuple(name for name in clips.classes if counts[name])
    if len(classes) < 2:
        raise DataError(
            f"'{clips.name}': found {len(classes)} class, expected at least 2: with one class, "
            "no label can be wrong"
        )
    return clips.with_columns(classes=classes)
