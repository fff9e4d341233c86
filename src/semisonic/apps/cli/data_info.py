"""``semisonic data info``: what is in a data set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status, table
from semisonic.apps.cli.source import PATH_HELP, SourceOptions, has_audio, load
from semisonic.base.options import option
from semisonic.data import Summary, describe, describe_layout
from semisonic.data.checks.recordings import AUTO, unnamed_note
from semisonic.data.store_folder import facts_of

VALUES_SHOWN = 6


@dataclass(frozen=True)
class InfoOptions:
    """Count what is in a data set."""

    data: str = option(dataclasses.MISSING, PATH_HELP)
    fast: bool = option(False, "open no recording: leave out lengths and rates")
    json: bool = option(False, "print JSON")
    workers: int | None = option(
        None, "threads that read headers; by default one per core", minimum=1
    )
    source: SourceOptions = field(default_factory=SourceOptions)


def show_info(options: InfoOptions, session: Session) -> Status:
    """Count clips, classes, folds and recordings, and say how long they are and at what rate."""
    store = facts_of(Path(options.data))
    if store is not None:
        return _show_store(store, options, session)
    clips = load(options.data, options.source, session)
    if options.source.group == AUTO and clips.is_labelled.any():
        for text in unnamed_note(clips):
            session.note(text)
    fast = options.fast or not has_audio(clips)
    found = describe(clips, fast=fast, workers=options.workers)
    if options.json:
        session.say(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        if options.source.labels == "auto":
            session.note(describe_layout(options.data))
        for line in lines(found):
            session.say(line)
    return session.failed(found.bad_files)


def _show_store(store: Mapping[str, Any], options: InfoOptions, session: Session) -> Status:
    """What a store is, which holds samples or features and no recordings."""
    if options.json:
        session.say(json.dumps({"store": store}, indent=2))
        return Status.OK
    session.say(f"a store of {store['kind']}: {store['entries']} entries, {store['bytes']:,} bytes")
    for name in store.keys() - {"kind", "entries", "bytes"}:
        session.say(f"{name}: {store[name]}")
    session.say("It holds no recordings: give 'data info' the data set that it was made from.")
    return Status.OK


def lines(found: Summary) -> Iterator[str]:
    """The summary as text: facts in two columns, then a table of the classes."""
    facts = dict(_facts(found))
    width = max(map(len, facts))
    yield from (f"{name.ljust(width)}  {value}" for name, value in facts.items())
    if found.classes:
        yield ""
        columns = dict(_columns(found))
        rows = zip(found.classes, *columns.values(), strict=True)
        yield table(["class", *columns], rows)


def _columns(found: Summary) -> Iterator[tuple[str, list[int]]]:
    """The table of the classes: numbers in class order under their headings."""
    yield "clips", list(found.per_class.values())
    yield "recordings", list(found.recordings_per_class.values())
    if found.uncertain_per_class:
        yield "uncertain", list(found.uncertain_per_class.values())
    in_folds = [found.per_class_and_fold.get(label, ()) for label in found.classes]
    outside = [n - sum(f) for n, f in zip(found.per_class.values(), in_folds, strict=True)]
    if found.folds and any(outside):
        yield "no fold", outside
    for i, fold in enumerate(found.folds):
        yield f"fold {fold}", [counts[i] for counts in in_folds]


def _facts(found: Summary) -> Iterator[tuple[str, str]]:
    yield "name", found.name
    yield "folder", found.root
    unlabelled = found.n_clips - found.n_labelled
    several = f", {found.n_multi_label} with several labels" if found.n_multi_label else ""
    labelled = f"{found.n_labelled} with a label, {unlabelled} without{several}"
    yield "clips", f"{found.n_clips} ({labelled})"
    if found.n_uncertain:
        certain = found.n_labelled - found.n_uncertain
        yield "labels", f"{certain} checked, {found.n_uncertain} uncertain (they only train)"
    yield "files", f"{found.n_files}"
    yield "recordings", f"{found.n_recordings}"
    yield "classes", f"{len(found.classes)}"
    yield "folds", ", ".join(map(str, found.folds)) or "none"
    if found.durations is not None:
        d = found.durations
        spread = f"{d.shortest:.2f} to {d.longest:.2f} s, median {d.median:.2f} s"
        yield "lengths", f"{spread}, {d.total_hours:.2f} h together"
        yield "rates", _counted(found.sample_rates, " Hz")
        yield "channels", _counted(found.channels)
        yield "formats", _counted(found.formats)


def _counted(counts: Mapping[int, int] | Mapping[str, int], unit: str = "") -> str:
    """Values with how many files have each, the most common first."""
    if len(counts) == 1:
        return f"{next(iter(counts))}{unit}"
    shown = [f"{value}{unit} ({n})" for value, n in list(counts.items())[:VALUES_SHOWN]]
    others = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {others} others" if others else "")


command = command_from(
    InfoOptions,
    show_info,
    name="info",
    examples=[
        "semisonic data info path/to/recordings",
        "semisonic data info labels.csv --group site --json",
    ],
)
