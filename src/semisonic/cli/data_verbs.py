"""The verbs about recordings: data info, check, labels, mix, get, synth; and scan."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisonic.cli.parser import Session, Status, verb
from semisonic.core.errors import OptionError
from semisonic.core.options import DeviceOptions, option, same_option
from semisonic.core.text import count_text
from semisonic.data.datasets.catalogue import PARTS, SETS
from semisonic.data.options import (
    FORMATS,
    LABEL_CHOICES,
    LabelledOptions,
    SynthOptions,
    WindowRules,
)

if TYPE_CHECKING:
    from semisonic.data.clips import Clips
    from semisonic.data.duplicates import CheckReport

SOURCE = option(LabelledOptions(), "how the recordings are read")
PLACE = option(dataclasses.MISSING, "a folder of recordings or a CSV table")
AS_JSON = option(False, "print JSON")
ROWS_SHOWN = 10


def load_source(path: str, source: LabelledOptions, session: Session) -> Clips:
    """Read the clip table, and print what the reader decided."""
    from semisonic.data.datasets.load import load_clips

    clips = load_clips(path, labels=source.labels, group=source.group, **source.of_tables())
    for text in clips.notes:
        session.note(f"{clips.name}: {text}")
    return clips


def has_audio(clips: Clips) -> bool:
    """Whether any recording is where the table says; if none is, the reader's notes say so."""
    return any(os.path.isfile(path) for path in clips.paths)


def say_json(session: Session, value: Any) -> None:
    """Print a value as JSON."""
    session.say(json.dumps(value, indent=2, ensure_ascii=False))


@verb(
    name="info",
    examples=[
        "semisonic data info path/to/recordings",
        "semisonic data info labels.csv --group site --json",
    ],
)
def data_info(
    session: Session,
    data: str = PLACE,
    fast: bool = option(False, "do not open the recordings: leave out lengths and rates"),
    json_: bool = AS_JSON,
    workers: int | None = same_option(DeviceOptions, "workers"),
    source: LabelledOptions = SOURCE,
) -> Status:
    """Count clips, classes, folds and recordings, and show lengths and sample rates."""
    from semisonic.data.datasets.load import describe_layout
    from semisonic.data.recordings import AUTO, COPIES, unnamed_note
    from semisonic.data.summary import GROUPS, RECORDINGS, describe

    clips = load_source(data, source, session)
    if source.group == AUTO and clips.is_labelled.any():  # with copies the reader has said so
        for text in unnamed_note(clips):
            session.note(text)
    found = describe(
        clips,
        fast=fast or not has_audio(clips),
        workers=workers,
        group_name=RECORDINGS if source.group in (AUTO, COPIES, "file") else GROUPS,
    )
    if json_:
        say_json(session, vars(found))
    else:
        if source.labels == "auto":
            session.note(describe_layout(data))
        session.say(str(found))
    return session.failed(found.bad_files)


@verb(
    name="check",
    examples=[
        "semisonic data check path/to/esc50",
        "semisonic data check path/to/esc10 --unlabelled path/to/pool --json",
    ],
)
def data_check(
    session: Session,
    data: str = PLACE,
    unlabelled: str | None = option(None, "pool that should not contain any of the clips"),
    audio: bool = option(True, "compare the sounds too, not only the rows of the table"),
    json_: bool = AS_JSON,
    workers: int | None = same_option(DeviceOptions, "workers"),
    source: LabelledOptions = SOURCE,
) -> Status:
    """Find recordings that are in several folds, and clips that are copies of each other.

    Both make results look better than they are. The exit status is 3 if some are on two sides of a
    split, or if a clip cannot be read.
    """
    from semisonic.core.files import json_ready
    from semisonic.data.duplicates import check

    clips = load_source(data, source, session)
    pool = None
    if unlabelled is not None:
        pool = load_source(unlabelled, LabelledOptions(labels="none"), session)
    audio = audio and has_audio(clips)
    report = check(clips, pool, audio=audio, workers=workers)
    if json_:
        failures = [{"clip": clip, "reason": reason} for clip, reason in report.failures]
        more = {"ok": report.ok, "audio_compared": audio, "failures": failures}
        say_json(session, json_ready(report) | more)
    else:
        _say_report(report, audio, session)
    status = session.failed(report.failures)
    return status if report.ok else Status.SOME_FAILED


def _say_report(report: CheckReport, audio: bool, session: Session) -> None:
    in_pool = any(pair.in_pool for pair in report.leaks)
    apart = "that count as separate recordings" + ", or in the pool" * in_pool
    if report.n_folds:
        apart = "in different folds"
    rest = [pair for pair in report.duplicates if not pair.across]
    _say_list("recordings in several folds", report.straddling, session)
    if audio:
        _say_list(f"identical or near-identical clips {apart}", report.leaks, session)
        _say_list("identical or near-identical clips of one recording or fold", rest, session)
    if any(not pair.in_pool for pair in report.leaks) and not report.n_folds:
        session.say(
            "next: --group copies keeps the clips of each pair together; train, evaluate, "
            "calibrate and suspects do so without it if the recordings are not known"
        )
    if in_pool:
        session.say("verbs that train on the pool leave these copies out, and say so")


def _say_list(title: str, rows: Sequence[object], session: Session) -> None:
    """Print how many there are, and the first of them."""
    session.say(f"{title}: {len(rows) or 'none'}")
    for row in rows[: 2 * ROWS_SHOWN]:
        session.say(f"  {row}")
    if len(rows) > 2 * ROWS_SHOWN:
        session.say(f"  and {len(rows) - 2 * ROWS_SHOWN} more; --json lists all")


@verb(
    name="labels",
    examples=[
        "semisonic data labels night1.Table.1.selections.txt -o night1.csv",
        "semisonic data labels path/to/annotated -o labels.csv --windows 3",
        "semisonic data labels events.csv -o tracks --format audacity",
    ],
)
def data_labels(
    session: Session,
    labels: Path = option(dataclasses.MISSING, "label file, or folder of label files"),
    output: Path | None = option(
        None, "file to write; for audacity and raven, folder to write one file per recording into"
    ),
    format_: str = option("csv", "format to write", choices=FORMATS),
    read_as: str = option(
        "auto", "format to read; auto chooses by the content", choices=("auto", *FORMATS)
    ),
    label_column: str | None = option(
        None, "column with the labels, if its name does not show that"
    ),
    recordings: Path | None = option(
        None, "folder of the recordings; by default the folder of the labels"
    ),
    windows: float | None = option(
        None, "cut the annotated recordings into windows of this length", unit="s", minimum=0.01
    ),
    hop: float | None = same_option(WindowRules, "hop"),
    min_overlap: float = same_option(WindowRules, "min_overlap"),
    min_share: float = same_option(WindowRules, "min_share"),
    background: str | None = same_option(WindowRules, "background"),
) -> Status:
    """Convert label files of Audacity, Raven, BirdNET, Kaleidoscope and CSV tables.

    With --windows, annotated recordings are cut into labelled windows, as a table to train on;
    --hop, --min-overlap, --min-share and --background set how. The exit status is 3 if rows could
    not be used; OUTPUT.bad_rows.csv lists them.
    """
    from semisonic.data.formats.label_files import convert_labels

    if output is None:
        raise OptionError("output is missing: give the file to write (-o)")
    if windows is None and hop is not None:
        raise OptionError("hop: found --hop without --windows, expected both")
    rules = WindowRules(windows or 0.0, hop, min_overlap, min_share, background)
    done = convert_labels(
        labels,
        output,
        format_,
        read_as=read_as,
        label_column=label_column,
        recordings=recordings,
        rules=rules if windows else None,
    )
    for note in done.notes:
        session.note(note)
    session.say(done.summary)
    return session.failed(done.failures, done.bad_rows, "place")


@verb(
    name="mix",
    examples=[
        "semisonic data mix path/to/labelled -o windows --background path/to/quiet",
        "semisonic data mix path/to/labelled -o windows --window 3 --copies 4 --snr-db 5,20",
        "semisonic data mix path/to/labelled -o train --n-folds 5 --fold 1,2,3,4",
    ],
    resumes=True,
)
def data_mix(
    session: Session,
    data: str = option(dataclasses.MISSING, "labelled clips: a folder or a CSV table"),
    output: Path = option(Path("windows"), "folder for the windows, new or empty"),
    background: Path | None = option(
        None,
        "folder of recordings from the place without any of the sounds; by default quiet "
        "synthetic backgrounds",
    ),
    window: float = option(2.0, "length of a window", unit="s", minimum=0.1, maximum=60),
    copies: int = option(2, "windows made from each clip", minimum=1),
    snr_db: tuple[float, ...] = option(
        (0.0, 25.0),
        "lowest and highest level of a sound above its background",
        unit="dB",
        minimum=-60,
        maximum=100,
    ),
    background_windows: int | None = option(
        None,
        "windows with background only; by default half as many as those with sounds",
        minimum=0,
    ),
    n_folds: int = option(
        0,
        "number of folds to divide the recordings into, if the clips have none; 0: none",
        minimum=0,
        maximum=100,
    ),
    fold: tuple[int, ...] = option((), "use only clips of these folds; by default all", minimum=1),
    sample_rate: int = option(
        22050, "sample rate of the windows", unit="Hz", minimum=1000, maximum=768_000
    ),
    seed: int = option(
        0, "seed of everything random; the same seed gives the same windows", minimum=0
    ),
    workers: int | None = option(
        None, "number of decoding threads; by default one per core", minimum=1
    ),
    cut: bool = option(True, "use only the longest audible part of each clip; off: the whole clip"),
    longest: float = option(
        4.0, "leave out clips whose longest audible part is longer", unit="s", minimum=0.3
    ),
    source: LabelledOptions = SOURCE,
) -> Status:
    """Mix labelled clips into background, as windows to train a detector on.

    The longest audible part of each clip is mixed into several windows, at random times and
    levels. Windows with background only form a separate class. The table labels.csv beside the
    windows lists which sound is heard when, and which recording it comes from. The exit status is
    3 if recordings could not be read.
    """
    from semisonic.data.recordings import known_recordings
    from semisonic.data.synth.mixing import mix

    source_folder = Path(data)
    if source_folder.is_dir() and output.resolve().is_relative_to(source_folder.resolve()):
        raise OptionError(
            f"output: found '{output}', which is inside the folder of the clips and would be "
            "read as clips the next time; expected a folder elsewhere"
        )
    clips = load_source(data, source, session)
    if n_folds and not clips.folds:
        together = known_recordings(clips, source.group)
        clips = together.clips
        for note in together.notes:
            session.note(note)
    made = mix(
        clips,
        output,
        background=background,
        window=window,
        copies=copies,
        snr_db=snr_db,
        background_windows=background_windows,
        n_folds=n_folds,
        fold=fold,
        sample_rate=sample_rate,
        seed=seed,
        workers=workers,
        cut=cut,
        longest=longest,
    )
    for note in made.notes:
        session.note(note)
    session.say(
        f"{output}: {count_text(made.n_sounds, 'window')} of {window:g} s with sounds of "
        f"{count_text(made.n_clips, 'clip')}, and {made.n_background} of background only"
    )
    session.note(f"next: semisonic train {output / 'labels.csv'}")
    return session.failed(made.failures, output / "bad_files.csv")


@verb(
    name="get",
    examples=[
        "semisonic data get esc50 -o sets --dry-run",
        "semisonic data get fsdkaggle2019 -o sets/fsd2019 --parts meta,curated,test",
    ],
    resumes=True,
    plans=True,
)
def data_get(
    session: Session,
    name: str = option(dataclasses.MISSING, "name of the data set", choices=SETS),
    output: Path = option(Path("data"), "folder to unpack it into"),
    parts: tuple[str, ...] = option(
        (), "download only these parts; the FSDKaggle sets have several", choices=PARTS
    ),
    keep_archives: bool = option(False, "keep the archives after unpacking"),
) -> None:
    """Download a published data set, check it and unpack it.

    Prints its licence and size first; with --dry-run, nothing is downloaded. The same command
    continues an interrupted download.
    """
    from semisonic.data.datasets.download import fetch, make_plan

    remote = SETS[name]
    plan = make_plan(remote, output, parts)
    for line in plan.lines():
        session.say(line)
    if session.dry_run:
        return
    for folder, n_files in fetch(plan, keep_archives=keep_archives).items():
        session.say(f"{output / folder}: {count_text(n_files, 'file')}")
    session.say(f"next: semisonic data info {plan.data}")


@verb(
    name="synth",
    examples=[
        "semisonic data synth sounds",
        "semisonic data synth small --n-classes 4 --clips-per-class 10 --n-pool 50 --seed 1",
    ],
    resumes=True,
)
def data_synth(
    session: Session,
    folder: Path = option(dataclasses.MISSING, "folder to write it into"),
    synth: SynthOptions = option(SynthOptions(), "sounds"),
) -> None:
    """Make a data set of synthetic environmental sounds, with and without labels.

    The same options give the same sounds on any machine. A folder that already has them is not
    changed.
    """
    from semisonic.data.synth.dataset import load_synth, make_synth

    make_synth(folder, synth)
    labelled, pool = load_synth(folder)
    session.say(
        f"{folder}: {count_text(len(labelled), 'clip')} of "
        f"{count_text(len(labelled.classes), 'class', 'classes')} "
        f"({count_text(len(set(labelled.group.tolist())), 'recording')}, "
        f"{count_text(len(labelled.folds), 'fold')}) "
        f"and {count_text(len(pool), 'clip')} without labels"
    )


@verb(
    examples=[
        "semisonic scan path/to/disk -o runs/scan",
        "semisonic scan path/to/disk --group day --thumbnails 48",
        "semisonic scan path/to/recordings --labels folders --silence-db -50 --json",
    ],
    resumes=True,
)
def scan(
    session: Session,
    data: Path = option(dataclasses.MISSING, "folder of recordings; folders below it are included"),
    output: Path = option(Path("runs/scan"), "run folder"),
    labels: str = option(
        "auto",
        "source of the labels; auto chooses by the layout of the data, and takes folders as "
        "sites if most file names are those of field recorders",
        choices=LABEL_CHOICES,
    ),
    group: str = option(
        "auto",
        "how recordings are grouped: auto (as the data set says, else by site), file, folder, "
        "site, day, a column of the table of labels, a pattern, or copies (as auto, with copies "
        "of each other in one group)",
    ),
    silence_db: float = option(
        -60.0,
        "RMS level below which a tenth of a second counts as silent; a new value decodes all again",
        unit="dBFS",
        minimum=-200,
        maximum=0,
    ),
    near_copies: bool = option(
        True, "find copies that were cut or encoded again, not only identical files"
    ),
    thumbnails: int = option(
        24, "recordings on the page with a spectrogram and a player", minimum=0, maximum=200
    ),
    json_: bool = option(False, "print the counts of scan.json"),
    workers: int | None = option(
        None, "number of decoding threads; by default one per core", minimum=1
    ),
) -> Status:
    """Check every recording below a folder: lengths, levels, times, sites, copies, damage.

    Writes recordings.csv, bad_files.csv, duplicates.csv, scan.json and scan.html. Another scan
    into the same run folder decodes only new or changed recordings. The exit status is 3 if files
    cannot be used. No recording is changed.
    """
    session.log = output / "log.txt"
    from semisonic.classifier.scan import scan as work

    result = work(
        data,
        output,
        labels=labels,
        group=group,
        silence_db=silence_db,
        near_copies=near_copies,
        thumbnails=thumbnails,
        workers=workers,
    )
    for note in (*result.scan.notes, *result.scan.summary.notes):
        session.note(note)
    if json_:
        say_json(session, result.counts)
    else:
        session.say(f"{result.scan.summary}\n\n{result.summary()}")
    return session.failed(result.failures, output / "bad_files.csv")
