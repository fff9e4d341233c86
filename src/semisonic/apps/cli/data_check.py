"""``semisonic data check``: recordings that straddle folds, and clips that are the same."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.source import PATH_HELP, SourceOptions, has_audio, load
from semisonic.base.options import option
from semisonic.data import CheckReport, Duplicate, check
from semisonic.data.checks.duplicates import MAX_OFFSET, THRESHOLD

PAIRS_SHOWN = 20


@dataclass(frozen=True)
class CheckOptions:
    """Look for leaks in a data set."""

    data: str = option(dataclasses.MISSING, PATH_HELP)
    unlabelled: str | None = option(None, "a pool that should not hold any of the clips")
    audio: bool = option(True, "compare the recordings themselves, not only the table")
    threshold: float = option(
        THRESHOLD,
        "correlation from which two clips are called near-identical",
        minimum=0.05,
        maximum=1,
    )
    max_offset: float = option(
        MAX_OFFSET,
        "how much later one copy may begin than the other",
        unit="s",
        minimum=0,
    )
    json: bool = option(False, "print JSON")
    workers: int | None = option(None, "threads that decode; by default one per core", minimum=1)
    source: SourceOptions = field(default_factory=SourceOptions)


def check_data(options: CheckOptions, session: Session) -> Status:
    """Look for recordings that stand in several folds, and for clips that are the same sound.

    Both make results look better than they are. The exit status is 3 when there are any on two
    sides of a split, or a clip cannot be read.
    """
    clips = load(options.data, options.source, session)
    pool = None
    if options.unlabelled is not None:
        pool = load(options.unlabelled, SourceOptions(labels="none"), session)
    audio = options.audio and has_audio(clips)
    report = check(
        clips,
        pool,
        audio=audio,
        threshold=options.threshold,
        max_offset=options.max_offset,
        workers=options.workers,
    )
    if options.json:
        session.say(json.dumps(_as_json(report, audio), indent=2, ensure_ascii=False))
    else:
        _print(report, audio, session)
    status = session.failed(report.failures)
    return status if report.ok else Status.SOME_FAILED


def _print(report: CheckReport, audio: bool, session: Session) -> None:
    n_straddling = len(report.straddling)
    session.say(f"recordings in several folds: {n_straddling or 'none'}")
    for group in report.straddling:
        session.say(f"  {group}")
    if not audio:
        return
    rest = tuple(pair for pair in report.duplicates if not pair.across)
    apart = (
        "in different folds"
        if report.n_folds
        else "that count as recordings of their own, or stand in the pool"
        if any(pair.in_pool for pair in report.leaks)
        else "that count as recordings of their own"
    )
    for title, pairs in ((apart, report.leaks), ("of one recording or fold", rest)):
        session.say(f"identical or near-identical clips {title}: {len(pairs) or 'none'}")
        for pair in pairs[:PAIRS_SHOWN]:
            session.say(f"  {pair}")
        if len(pairs) > PAIRS_SHOWN:
            session.say(f"  and {len(pairs) - PAIRS_SHOWN} more; --json lists all")
    if any(not pair.in_pool for pair in report.leaks) and not report.n_folds:
        session.say(
            "next: --group copies keeps the two of each pair together; train, evaluate, calibrate "
            "and suspects do so by themselves where no recording is named"
        )
    if any(pair.in_pool for pair in report.leaks):
        session.say("verbs that learn from the pool leave its copies out, and say so")


def _as_json(report: CheckReport, audio: bool) -> dict[str, object]:
    return {
        "name": report.name,
        "ok": report.ok,
        "audio_compared": audio,
        "straddling": list(report.straddling),
        "duplicates": [_pair(pair) for pair in report.duplicates],
        "failures": [{"clip": clip, "reason": reason} for clip, reason in report.failures],
    }


def _pair(pair: Duplicate) -> dict[str, object]:
    # JSON has no NaN, which stands for "does not apply" here.
    return {k: None if v != v else v for k, v in dataclasses.asdict(pair).items()}


command = command_from(
    CheckOptions,
    check_data,
    name="check",
    examples=[
        "semisonic data check path/to/esc50",
        "semisonic data check path/to/esc10 --unlabelled path/to/pool --json",
    ],
)
