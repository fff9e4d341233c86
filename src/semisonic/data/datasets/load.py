"""One function for any data set, which can say why it reads it as it does."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from semisonic.audio.remote import files_at, local_copy, url_of
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets import esc as esc_folders
from semisonic.data.datasets import esc as esc_meta
from semisonic.data.datasets import esc as esc_us
from semisonic.data.datasets import folders as class_folders
from semisonic.data.datasets import folders as plain
from semisonic.data.datasets import fsdkaggle as fsdkaggle2018
from semisonic.data.datasets import fsdkaggle as fsdkaggle2019
from semisonic.data.datasets import label_tables as csv_table
from semisonic.data.datasets import label_tables as label_files
from semisonic.data.datasets import label_tables as label_log
from semisonic.data.datasets import urbansound
from semisonic.data.datasets import urbansound as urbansound_events
from semisonic.data.datasets.layout import DatasetPath, ReadOptions
from semisonic.data.recordings import COPIES, known_recordings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set: how to tell it, how to read it."""

    kind: str
    title: str
    recognise: Callable[[DatasetPath], str | None]
    read: Callable[[DatasetPath, ReadOptions], Clips]


def _label_files(kind: str, title: str) -> Layout:
    return Layout(kind, title, label_files.recogniser(kind), label_files.reader(kind))


# In the order in which they are tried: the more special ones first.
LAYOUTS = (
    Layout("log", "a label log", label_log.recognise_log, label_log.read_log_clips),
    Layout("esc50", "ESC-50 with meta/esc50.csv", esc_meta.recognise_esc50, esc_meta.read_esc50),
    Layout("urbansound8k", "UrbanSound8K", urbansound.recognise_8k, urbansound.read_8k),
    Layout(
        "urbansound",
        "UrbanSound",
        urbansound_events.recognise_urbansound,
        urbansound_events.read_urbansound,
    ),
    Layout("fsdkaggle2018", "FSDKaggle2018", fsdkaggle2018.recognise_2018, fsdkaggle2018.read_2018),
    Layout("fsdkaggle2019", "FSDKaggle2019", fsdkaggle2019.recognise_2019, fsdkaggle2019.read_2019),
    _label_files("birdnet", "tables of BirdNET-Analyzer"),
    _label_files("kaleidoscope", "tables of Kaleidoscope"),
    Layout(
        "csv-wide",
        "a table with a column for each class",
        label_files.recognise_wide,
        label_files.reader("csv-wide"),
    ),
    Layout("csv", "a table of files and labels", csv_table.recognise_csv, csv_table.read_csv_clips),
    _label_files("raven", "selection tables of Raven"),
    _label_files("audacity", "label tracks of Audacity"),
    Layout("esc-us", "ESC-US, unlabelled", esc_us.recognise_esc_us, esc_us.read_esc_us),
    Layout(
        "esc-folders",
        "ESC in its old layout",
        esc_folders.recognise_esc_folders,
        esc_folders.read_esc_folders,
    ),
    Layout(
        "folders",
        "a folder of class folders",
        class_folders.recognise_class_folders,
        class_folders.read_class_folders,
    ),
    Layout("files", "recordings without labels", plain.recognise_files, plain.read_files),
)
# Parts of a data set, to be asked for by name.
PARTS = (
    Layout("esc10", "the ESC-10 part of ESC-50", esc_meta.recognise_esc50, esc_meta.read_esc10),
    Layout(
        "urbansound-foreground",
        "the foreground events of UrbanSound",
        urbansound_events.recognise_urbansound,
        urbansound_events.read_foreground,
    ),
    Layout(
        "fsdkaggle2018-verified",
        "the verified clips of FSDKaggle2018",
        fsdkaggle2018.recognise_2018,
        fsdkaggle2018.read_verified,
    ),
    Layout(
        "fsdkaggle2019-curated",
        "the curated clips of FSDKaggle2019 and its test part",
        fsdkaggle2019.recognise_2019,
        fsdkaggle2019.read_curated,
    ),
    Layout(
        "fsdkaggle2019-noisy",
        "the noisy clips of FSDKaggle2019 and its test part",
        fsdkaggle2019.recognise_2019,
        fsdkaggle2019.read_noisy,
    ),
)
_BY_KIND = {layout.kind: layout for layout in (*LAYOUTS, *PARTS)}
LABEL_CHOICES = ("auto", "none", *_BY_KIND)


def load_clips(
    path: str | os.PathLike[str],
    *,
    labels: str | None = "auto",
    name: str | None = None,
    group: str = "auto",
    separator: str = ";",
    merge_parts: bool = True,
    allow_missing: bool = False,
    label_column: str | None = None,
) -> Clips:
    """Read a data set as a table of clips. No audio is opened, unless copies are looked for.

    Parameters
    ----------
    path : path
        A folder, a CSV or TSV table, a label track, a selection table, a label log, or one
        recording.
    labels : str
        Where the labels come from, one of ``LABEL_CHOICES``: "folders", "csv", "raven" and other
        label files (:mod:`semisonic.data.formats`), the name of a data set or of a part of one,
        such as "fsdkaggle2019-curated". "auto" looks at the layout
        (:func:`describe_layout` says what it finds). "none" (or None) reads as "auto" and then
        takes the labels away, so that recordings and folds stay known and test audio can be kept
        out of a pool. "files" lists every recording, whatever lies beside it.
    name : str, optional
        What the data set is called in reports; by default its own name or the folder's.
    group : str
        What a recording is: "auto" (what the data set says, else each file), "file", "folder",
        "site" or "day" (told by names of field recordings), a column of the table, or a
        regular expression whose first bracket is the recording. "copies" is "auto", and clips
        that are the same sound are one recording: all are decoded and compared.
    separator : str
        What joins several labels in one cell of a table.
    merge_parts : bool
        Whether folders such as ``Cat-Part1`` and ``Cat-Part2`` are one class.
    allow_missing : bool
        Whether a table may name files that are not there.
    label_column : str, optional
        The column with the labels in a selection table of Raven that has several of its own.

    Returns
    -------
    Clips
        Sorted by file and start time; ``notes`` says what was decided on the way.

    Raises
    ------
    DataError
        When the path does not exist, holds no audio, or does not fit its layout.
    OptionError
        When ``labels`` is not one of the choices.
    """
    if not separator:
        raise OptionError("separator: found nothing, expected a character such as ';'")
    wanted = "none" if labels is None else labels
    if wanted not in LABEL_CHOICES:
        raise OptionError(f"labels: found '{wanted}'; {nearest(wanted, LABEL_CHOICES)}")
    place = _place(path)
    rule = "auto" if group == COPIES else group
    options = ReadOptions(name, rule, separator, merge_parts, allow_missing, label_column)
    layout = _detect(place)[0] if wanted in ("auto", "none") else _BY_KIND[wanted]
    if place.is_audio_file and layout.kind != "files":
        raise DataError(f"{place.path}: one recording, expected a folder or a table for '{wanted}'")
    clips = layout.read(place, options)
    if group == COPIES:
        found = known_recordings(clips, group)
        clips = found.clips.with_columns(notes=(*clips.notes, *found.notes))
    clips = clips.with_columns(notes=(*clips.notes, *_unread(place), *_alike(clips.classes)))
    for note in clips.notes:
        _log.info("%s: %s", clips.name, note)
    return clips.without_labels() if wanted == "none" else clips


def _unread(place: DatasetPath) -> list[str]:
    """A note about recordings that are left out as nothing reads their formats."""
    counts = Counter(PurePosixPath(name).suffix.lower() for name in place.unread)
    if not counts:
        return []
    n = counts.total()
    formats = ", ".join(f"{suffix} ({many})" for suffix, many in counts.most_common())
    return [
        f"{n} file{'s' * (n > 1)} left out, in formats that are not read: {formats}; convert to "
        "WAV or FLAC"
    ]


def _alike(classes: Sequence[str]) -> list[str]:
    """A note about classes whose names differ by letter case or blanks only."""
    spellings: dict[str, list[str]] = {}
    for name in classes:
        spellings.setdefault(" ".join(name.casefold().split()), []).append(name)
    same = [
        " and ".join(f"'{name}'" for name in names)
        for names in spellings.values()
        if len(names) > 1
    ]
    if not same:
        return []
    return [
        f"classes that differ in letter case or blanks only: {'; '.join(same)}; if they are one "
        "class, give them one name"
    ]


def describe_layout(path: str | os.PathLike[str]) -> str:
    """Say, in one sentence, how "auto" reads a path and why.

    Raises
    ------
    DataError
        When the path does not exist or holds nothing that can be read.
    """
    place = _place(path)
    layout, reason = _detect(place)
    return f"{place.path}: read as {layout.title} (labels '{layout.kind}'), because: {reason}"


def layout_kind(path: str | os.PathLike[str]) -> str:
    """Which of ``LABEL_CHOICES`` "auto" takes for a path.

    Raises
    ------
    DataError
        As :func:`describe_layout`.
    """
    return _detect(_place(path))[0].kind


def require_labels(clips: Clips, purpose: str = "this") -> Clips:
    """Return the clips if any of them has a label.

    Raises
    ------
    DataError
        When the table is empty or no clip has a label, as with ESC-US.
    """
    if len(clips) and clips.is_labelled.any():
        return clips
    said = f" ({'; '.join(clips.notes)})" if clips.notes else ""
    raise DataError(
        f"'{clips.name}' in {clips.root}: {purpose} needs labels, and none of its {len(clips)} "
        f"clips has one{said}. Use it as the unlabelled pool, or give a labelled set: "
        "a folder of class folders or a CSV file with the columns file,label"
    )


def _place(path: str | os.PathLike[str]) -> DatasetPath:
    place = DatasetPath(Path(path))
    if not place.path.exists():
        raise DataError(f"{place.path}: no such file or folder; look at the spelling of the path")
    if not (place.is_folder or place.is_text or place.is_log or place.is_audio_file):
        raise DataError(
            f"{place.path}: found a '{place.path.suffix or 'nameless'}' file, expected a folder "
            "with recordings, a CSV or TSV table, a label file, a label log, or a recording"
        )
    return place


def _detect(place: DatasetPath) -> tuple[Layout, str]:
    for layout in LAYOUTS:
        reason = layout.recognise(place)
        if reason is not None:
            return layout, reason
    if place.is_log:
        raise DataError(
            f"{place.path}: no label log; expected a first line as LabelLog writes it, with the "
            "folder of the recordings"
        )
    if place.is_text:
        raise DataError(
            f"{place.path}: neither a label track of Audacity nor a table of a known form. "
            "Expected times and labels with tabs between them, or columns with names"
        )
    place.need_audio()
    return _BY_KIND[
        "files"
    ], f"{count_text(len(place.audio), 'recording')} and nothing that labels them"


# Clips in object storage: a folder, a recording or a table that a URL names.


_TABLES = (".csv", ".tsv")


def clips_at(url: str, *, labels: str = "none", group: str = "auto") -> Clips:
    """The clips at a URL; recordings of a folder have no labels.

    Parameters
    ----------
    url : str
        Of a folder, of a recording, or of a table whose files lie beside it or are URLs.
    labels, group : str
        How a table is read: see :func:`load_clips`.

    Raises
    ------
    DataError
        When nothing is there.
    """
    if Path(url).suffix.lower() not in _TABLES:
        return Clips.from_rows(Path(), [{"file": file} for file in files_at(url)], name=url)
    try:
        copy = local_copy(Path(url))
    except AudioError as error:
        raise DataError(str(error)) from error
    found = load_clips(copy.path, labels=labels, group=group, allow_missing=True)
    folder = url.rpartition("/")[0]
    names = found.file.tolist()
    files = [url_of(file) or f"{folder}/{file}" for file in names]
    groups = [
        file if group == name else group  # a file is its own recording
        for file, name, group in zip(files, names, found.group.tolist(), strict=True)
    ]
    return found.with_columns(
        root=Path(), file=np.array(files, np.str_), group=np.array(groups, np.str_), name=url
    )
