"""The options of the verbs that use a model or look at recordings.

No torch, no scikit-learn here: the command line reads this file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.core.options import DeviceOptions, EngineOptions, JobOptions, option
from semisonic.data.options import FORMATS, LABEL_CHOICES, LabelledOptions
from semisonic.features.options import MelOptions

# When a sound is an event: options of ``detect``, ``listen`` and the app. No torch here.


AUTO = "auto"
BACKGROUND = ("background", "noise", "silence", "other")
FRAMES, WINDOWS = "frames", "windows"
TIMES = (AUTO, FRAMES, WINDOWS)
EDGE_OF_FRAMES, EDGE_OF_WINDOWS = 0.6, 0.8


@dataclass(frozen=True)
class EventOptions:
    """When a sound is an event, from when to when."""

    threshold: str = option(
        AUTO,
        "score that an event must reach: a number from 0 to 1; a CSV file with the columns label "
        "and threshold; or auto, the model's own where it has some, else 0.5",
    )
    hop: float | None = option(
        None,
        "step between windows; a quarter of the model's clip length if not given",
        unit="s",
        minimum=0.001,
    )
    times: str = option(
        AUTO,
        "what times come from: frames, the network's answer along time, which is sharper; "
        "windows, its answers to whole windows; auto: frames where the network has them",
        choices=TIMES,
    )
    edge: float | None = option(
        None,
        "an event reaches as far as its score is at least this share of its largest; if not "
        "given 0.6 with frames, 0.8 with windows",
        minimum=0.05,
        maximum=1.0,
    )
    merge_gap: float = option(
        0.3, "events of a class with at most this between them are one", unit="s", minimum=0.0
    )
    min_duration: float = option(0.1, "shorter events are left out", unit="s", minimum=0.0)
    classes: tuple[str, ...] = option((), "only these classes; all but background if none given")
    background: tuple[str, ...] = option(
        BACKGROUND, "classes that are no events, as far as the model has them"
    )


# The options of ``detect``. No torch here: the command line reads this file.


CSV = "csv"
SCORE_OPTIONS = ("model", "events.hop", "events.times")
"""Options that scores depend on; with others, scores that are there are used again."""


@dataclass(frozen=True)
class DetectOptions(DeviceOptions):
    """Find sounds in recordings of any length: from when to when."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    files: tuple[Path, ...] = option(
        dataclasses.MISSING, "recordings of any length, or folders of recordings"
    )
    output: Path = option(Path("runs/detect"), "run folder")
    events: EventOptions = option(EventOptions(), "events")
    format: tuple[str, ...] = option(
        (CSV,),
        "files of events: csv is events.csv; those for other programs lie below labels",
        choices=FORMATS,
    )
    truth: Path | None = option(
        None,
        "label file of these recordings, or a folder of them: says how many events were "
        "found, and how many are none",
    )
    save_clips: Path | None = option(
        None,
        "folder to cut the sound of each event into, with a second before and after, for "
        "review; clips.csv there lists them",
    )
    players: int = option(
        1, "events of each class on the page, the most confident first", minimum=0
    )
    where: EngineOptions = option(EngineOptions(), "engine")


# The options of ``scan``. No torch, no scipy here: the command line reads this file.


@dataclass(frozen=True)
class ScanOptions:
    """Look at a disk of recordings: what is there, since when, and what is wrong with it."""

    data: Path | None = option(None, "the folder; all folders below it are looked at")
    output: Path = option(Path("runs/scan"), "run folder")
    labels: str = option(
        "auto",
        "where labels come from; auto looks at the layout, and takes folders for sites where most "
        "names are those of field recorders",
        choices=LABEL_CHOICES,
    )
    group: str = option(
        "auto",
        "what a recording is: auto (what the data set says, else the site), file, folder, site, "
        "day, a column of the table of labels, a pattern, or copies (auto, and recordings that are "
        "the same sound are one)",
    )
    silence_db: float = option(
        -60.0,
        "RMS level below which a tenth of a second counts as silent; another one decodes anew",
        unit="dBFS",
        minimum=-200,
        maximum=0,
    )
    near_copies: bool = option(
        True, "look for copies that were cut or encoded anew, besides equal bytes"
    )
    near_most: int = option(
        5000, "leave out the search for such copies among more recordings than this", minimum=0
    )
    thumbnails: int = option(
        24, "recordings in the page with a spectrogram and a player", minimum=0, maximum=200
    )
    json: bool = option(False, "print the counts as JSON, as they stand in scan.json")
    workers: int | None = option(None, "threads that decode; by default one per core", minimum=1)


# The options of ``suspects``. No torch, no scipy here: the command line reads this file.


@dataclass(frozen=True)
class SuspectsOptions(LabelledOptions, JobOptions):
    """Find labels that look wrong."""

    data: Path | None = option(None, "labelled clips: a folder of class folders, a CSV, a data set")
    output: Path = option(Path("runs/suspects"), "run folder")
    folds: int = option(
        0, "parts that are judged in turn, by recording; 0: the data's own folds, or 5", minimum=0
    )
    repeats: int = option(
        1, "times that all labels are judged; the scores are averaged", minimum=1, maximum=100
    )
    most: int = option(
        0,
        "list so many clips, the most suspicious first; 0: as many as labels seem wrong",
        minimum=0,
    )
    players: int = option(24, "suspects in the report with a player", minimum=0)
    mel: MelOptions = option(MelOptions(), "front end")
