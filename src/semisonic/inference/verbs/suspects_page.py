"""The report of ``suspects``: what looks wrong, to be listened to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semisonic.audio import read
from semisonic.base.errors import AudioError
from semisonic.base.wording import duration, percent
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Number, Page
from semisonic.inference.suspects_options import STATISTICS, SuspectsOptions
from semisonic.inference.verbs.suspects_result import SuspectsResult

_LONGEST = 10.0  # seconds of a suspect that are read
_MOST_ROWS = 200  # of the table in the page; the CSV has all
_OPEN_ROWS = 20


def write_suspects_page(
    folder: Path, result: SuspectsResult, options: SuspectsOptions, seconds: float
) -> Path:
    """Write ``report.html`` with its tables into a run folder."""
    clips = result.clips
    page = Page(
        f"Labels of {clips.name} that look wrong",
        f"{len(clips)} clips, {len(clips.classes)} classes",
    )
    _top(page, result)
    _players(page, result, options)
    _classes(page, result)
    _pairs(page, result)
    _list(page, result)
    _method(page, result, options, seconds)
    return page.write(folder)


def _top(page: Page, result: SuspectsResult) -> None:
    n_found, n = len(result.found.suspects), len(result.clips)
    what = "answers" if result.clips.is_multi_label else "labels"
    page.verdict(
        f"{n_found} of {n} clips look wrongly labelled"
        if n_found
        else f"None of {n} clips looks wrongly labelled",
        "A suspect is a question, not an error: the judge has mistakes of its own. Listen before "
        "you change a label.",
    )
    page.numbers(
        [
            Number(str(n_found), "suspects", percent(n_found / n) + " of the clips"),
            Number(
                percent(result.wrong_share),
                f"estimated wrong {what}",
                "the judge's own mistakes included",
            ),
            Number(percent(result.agreement), f"{what} the judge agrees with", "out of fold"),
        ]
    )
    if result.caution:
        page.warning(result.caution)
    page.notes(result.notes)
    if result.failures:
        page.warning(f"{len(result.failures)} clips could not be read; bad_files.csv lists them.")
    page.data = {
        "n_suspects": n_found,
        "wrong_share": result.wrong_share,
        "agreement": result.agreement,
        "joints": [{"counts": j.counts, "thresholds": j.thresholds} for j in result.found.joints],
    }


def _players(page: Page, result: SuspectsResult, options: SuspectsOptions) -> None:
    players = list(_sounds(result, options))
    if not players:
        return
    page.section("Listen")
    page.text("The most suspicious first: what the label says, and what it sounds like.")
    page.players(players)


def _sounds(result: SuspectsResult, options: SuspectsOptions) -> Iterator[Player]:
    clips = result.clips
    ids, paths = clips.ids, clips.paths
    for rank, row in enumerate(result.listed[: options.players].tolist(), start=1):
        start, end = float(clips.start_time[row]), float(clips.end_time[row])
        try:
            samples, rate = read(
                paths[row], sample_rate=options.mel.sample_rate, start_time=start,
                end_time=None if np.isnan(end) else min(end, start + _LONGEST),
            )  # fmt: skip
        except AudioError:
            continue
        said = result.suggestion(row) or "none of the classes"
        yield Player(
            samples, rate, result.label(row),
            f"sounds like {said}, {percent(result.support(row), 0)} sure",
            f"{rank}. {ids[row]}, score of its label {result.found.quality[row]:.2f}",
        )  # fmt: skip


def _classes(page: Page, result: SuspectsResult) -> None:
    page.section("Classes")
    clips, found = result.clips, result.found
    if clips.is_multi_label:
        given, said = clips.targets() > 0, np.asarray(found.suggested, np.bool_)
        page.table(
            ["class", "clips", "perhaps not heard", "perhaps forgotten"],
            [
                (name, int(given[:, k].sum()), int((given[:, k] & ~said[:, k]).sum()),
                 int((~given[:, k] & said[:, k]).sum()))
                for k, name in enumerate(clips.classes)
            ],
            name="classes",
        )  # fmt: skip
        return
    target, right = clips.target(), np.diag(found.joints[0].true_given_label)
    page.table(
        ["class", "clips", "suspects", "estimated wrong"],
        [
            (name, int((target == k).sum()), int((found.is_suspect & (target == k)).sum()),
             float(1.0 - right[k]))
            for k, name in enumerate(clips.classes)
        ],
        name="classes",
        formats={"estimated wrong": percent},
    )  # fmt: skip


def _pairs(page: Page, result: SuspectsResult) -> None:
    rows = result.found.suspects.tolist()
    if result.clips.is_multi_label or not rows:
        return
    counts = Counter((result.label(row), result.suggestion(row)) for row in rows)
    page.section("What may be taken for what")
    page.table(
        ["label", "sounds like", "clips"],
        [(label, other, n) for (label, other), n in counts.most_common(12)],
        name="pairs",
    )


def _list(page: Page, result: SuspectsResult) -> None:
    rows = result.listed[:_MOST_ROWS].tolist()
    if not rows:
        return
    page.section("The list")
    ids = result.clips.ids
    cut = len(result.listed) > _MOST_ROWS
    page.table(
        ["rank", "clip", "label", "sounds like", "score of the label", "score of the other"],
        [
            (rank, ids[row], result.label(row), result.suggestion(row),
             float(result.found.quality[row]), result.support(row))
            for rank, row in enumerate(rows, start=1)
        ],
        name="suspects",
        caption=f"{len(rows)} of {len(result.listed)} clips" if cut else f"{len(rows)} clips",
        note="suspects.csv has all of them." if cut else "",
        folded=len(rows) > _OPEN_ROWS,
    )  # fmt: skip


def _method(page: Page, result: SuspectsResult, options: SuspectsOptions, seconds: float) -> None:
    page.section("How they were found")
    judge = (
        "a linear model and a forest of trees on statistics of spectrograms"
        if options.model == STATISTICS
        else f"the network '{options.model}'"
    )
    page.notes(
        [
            f"The clips were divided by recording into {result.n_folds} parts. Each part was "
            f"judged by {judge} that learned from the other parts only.",
            "A clip surely is a class when its score reaches the mean score of the clips with "
            "that label. Counting labels against sure classes estimates how many are wrong "
            "(confident learning, Northcutt and others, 2021).",
            "Clips of one recording can stand in several parts where the data set does not tell "
            "recordings apart; a wrong label that they share is then hard to see.",
        ]
    )
    page.facts(
        {
            "model": options.model,
            "folds": result.n_folds,
            "repeats": options.repeats,
            "rule": options.rule,
            "ranking": "confidence" if result.clips.is_multi_label else options.ranking,
            "seed": options.seed,
            "time": duration(seconds),
        }
    )
