"""What the columns of somebody's table mean: recordings, times with their units, labels, folds.

Every door reads tables of people and other programs through :func:`find_columns`. A column is used,
or it is known to change nothing, or it stands in ``unused``, which readers report. A column that
looks like a time and is not understood is an error, as a time that is read wrong spoils a model
without a sign.

The names are those of our own tables, and of NeMo, lhotse, audb, BIDS, DCASE, crowsetta, Raven,
Audacity, BirdNET, OpenSoundscape, Kaleidoscope, Label Studio, CVAT, Arbimon, perch-hoplite,
Whombat, AudioSet, Freesound, ESC-50, UrbanSound8K and FSDKaggle. Case, accents between words and
separators do not matter: ``Start (s)``, ``startS`` and ``start_s`` are one name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from semisonic.core.errors import DataError
from semisonic.core.text import first_few
from semisonic.data.tables import EXACT, normalise, number
from semisonic.data.times import (
    NUMBERED,
    SAMPLES,
    is_time,
    is_unit_of_others,
    looks_like_time,
    seconds,
    time_of,
    words_of,
)

FILE = (
    *("file", "filename", "file_name", "filepath", "file_path", "path", "slice_file_name"),
    *("fname", "audio", "audio_file", "audio_filename", "audio_file_name", "audio_path"),
    *("audio_filepath", "audio_file_path", "wav", "wav_file", "wav_path", "wav_filename"),
    *("sound_file", "sound_files", "sound_path", "recording_file", "recording_file_name"),
    *("recording_path", "notated_path", "clip_path", "clip_file", "media_path", "media_file"),
    *("in_file",),
)
"""Columns of the recording, in order of preference."""
OTHER_FILE = (
    *("begin_path", "begin_file", "recording", "track", "recording_id", "item_id", "segment_id"),
)
"""The same, if there is none of the others, which may mean something else beside them."""
LABEL = (
    *("label", "labels", "category", "class", "class_name", "class_label", "event_label"),
    *("event_labels", "event_class", "sound_class", "label_name", "annotation", "annotations"),
    *("primary_label", "positive_labels", "common_name", "com_name", "species", "species_name"),
    *("species_code", "ebird_code", "scientific_name", "sci_name", "tag", "tags", "trial_type"),
    *("call_type", "sound_type", "command"),
)
GROUP = (*("group", "src_file", "fsid", "fs_id", "freesound_id", "recording_id", "recording"),)
FOLD = ("fold", "fold_id", "cv_fold")
TARGET = ("target", "class_id", "class_index")
PRESENCE = ("label_type", "presence")
SCORE = ("score", "confidence", "probability")
LOW = ("fmin_hz", "low_freq_hz", "low_f", "freq_low_hz", "low_freq", "low_frequency_hz")
HIGH = ("fmax_hz", "high_freq_hz", "high_f", "freq_high_hz", "high_freq", "high_frequency_hz")
RATE = ("sample_rate", "sampling_rate", "samplerate", "sr", "fs")

HARMLESS = (
    *("index", "unnamed_0", "id", "row", "selection", "view", "channel", "channels"),
    *("end_file", "end_path", "annot_path", "annotation_file", "sequence", "annotation_id", "uuid"),
    *("notes", "note", "comment", "comments", "annotator", "annotators", "observer", "user"),
    *("latitude", "longitude", "lat", "lon", "license", "author", "url"),
    *("salience", "take", "esc10", "md5", "sha256", "size", "bit_depth"),
    *("created_at", "updated_at", "lead_time", "recorded_at", "site", "mean_score"),
    *("format", "subtype", "n_bytes", "peak_dbfs", "rms_dbfs", "clipped_share", "silent_share"),
    *("dc_offset", "bandwidth_hz", "remarks", "damage", "time_source", "device", "model"),
)
"""Columns that change nothing in a clip or an event, and are not spoken of."""

AGREE = Decimal("0.01")
"""Seconds by which two columns of the same time may differ, as one of them may be rounded."""

_RANGE = re.compile(r"[\[(]?\s*[\d.:]+\s*(?:-|to|,|;|–)\s*[\d.:]+\s*[\])]?")


class TimeColumn(NamedTuple):
    """A column of times: its normalised name, and its unit in seconds, or ``SAMPLES``."""

    column: str
    unit: Decimal


class Times(NamedTuple):
    """Start and end of a row, NaN for none; in samples of the recording if ``in_samples``."""

    start: Decimal
    end: Decimal
    in_samples: bool = False

    def seconds(self, rate: Callable[[], float]) -> tuple[float, float]:
        """Start and end in seconds; ``rate`` is called if samples are counted."""
        by = rate() if self.in_samples else 1.0
        return float(self.start) / by, float(self.end) / by


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they mean; empty for none.

    ``starts``, ``ends`` and ``durations`` have every column that gives this time. ``unused`` names
    columns that were not understood and are not read, as they are written.
    """

    file: str = ""
    label: str = ""
    group: str = ""
    fold: str = ""
    target: str = ""
    label_type: str = ""
    score: str = ""
    fmin_hz: str = ""
    fmax_hz: str = ""
    rate: str = ""
    starts: tuple[TimeColumn, ...] = ()
    ends: tuple[TimeColumn, ...] = ()
    durations: tuple[TimeColumn, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether rows are parts of recordings."""
        return bool(self.starts or self.ends)

    def times(self, row: Mapping[str, str]) -> Times:
        """Start and end of a row.

        Raises
        ------
        ValueError
            When a cell is no time, or two columns of one time disagree.
        """
        start, a = _one_time(row, self.starts, "start")
        end, b = _one_time(row, self.ends, "end")
        duration, c = _one_time(row, self.durations, "duration")
        counted = {is_samples for is_samples in (a, b, c) if is_samples is not None}
        if len(counted) > 1:
            names = ", ".join(one.column for one in self.starts + self.ends + self.durations)
            raise ValueError(f"found times in seconds and in samples ({names}), expected one unit")
        if end.is_nan() and not duration.is_nan():
            end = EXACT.add(Decimal(0) if start.is_nan() else start, duration)
        elif start.is_nan() and not duration.is_nan():
            start = EXACT.subtract(end, duration)
        in_samples = counted == {True}
        rate = row[self.rate] if self.rate and in_samples else ""
        if rate:
            by = number(rate, self.rate)
            if not by > 0:
                raise ValueError(f"found '{rate}' as {self.rate}, expected Hz")
            return Times(start / by, end / by)
        return Times(start, end, in_samples)


def find_columns(
    where: str,
    names: Sequence[str],
    rows: Sequence[Mapping[str, str]] = (),
    *,
    label: str = "",
    needs_file: bool = True,
) -> Columns:
    """What the columns of a table mean.

    Parameters
    ----------
    where : str
        The place of the header, for errors.
    names : sequence of str
        The names as they are written.
    rows : sequence of mapping
        Cells by normalised name, to compare columns that mean the same.
    label : str
        The normalised name of the column of labels, if the user said it.
    needs_file : bool
        Whether a column of the recording must be there.

    Raises
    ------
    DataError
        When there is no column for the file, when a column looks like a time and is not
        understood, or when two columns disagree.
    """
    written = {normalise(name): name for name in reversed(names) if normalise(name)}
    columns = [normalise(name) for name in names if normalise(name)]
    left = dict.fromkeys(columns)

    def take(known: Sequence[str]) -> str:
        found = next(iter(_all_of(left, known)), "")
        left.pop(found, None)
        return found

    file = find_file(where, names) if needs_file or has_files(names) else ""
    left.pop(file, None)
    chosen = label
    left.pop(chosen, None)
    label = chosen or take(LABEL)
    found = Columns(
        file=file,
        label=label,
        group=take(GROUP),
        fold=take(FOLD),
        target=take(TARGET),
        label_type=take(PRESENCE),
        score=take(SCORE),
        fmin_hz=take(LOW),
        fmax_hz=take(HIGH),
        rate=take(RATE),
    )
    for other in _all_of(left, FILE):
        _same_file(where, file, other, written, rows)
        left.pop(other)
    unused = []
    for other in [] if chosen else _all_of(left, LABEL):
        _not_another_label(where, label, other, written, rows)
        unused.append(other)
    for column in _all_of(left, HARMLESS):
        left.pop(column)
    times = _find_times(where, left, written, rows, is_slice=file == "slice_file_name")
    unused += [column for column in left if column not in unused]
    found = replace(
        found,
        starts=times["start"],
        ends=times["end"],
        durations=times["duration"],
        unused=tuple(written[column] for column in dict.fromkeys(columns) if column in unused),
    )
    _check_ends(where, found, rows)
    _check_rows(where, found, written, rows)
    if label:
        _check_names(where, label, written, rows)
    return found


def find_file(where: str, names: Sequence[str]) -> str:
    """The normalised name of the column of recordings; DataError if there is none."""
    columns = dict.fromkeys(map(normalise, names))
    found = _all_of(columns, FILE) or _all_of(columns, OTHER_FILE)
    if not found:
        raise DataError(
            f"{where}: no column for the audio file. Found {', '.join(names) or 'nothing'}; "
            f"expected one of {', '.join(FILE[:6])}. The first row must name the columns, for "
            "example 'file,label'"
        )
    return found[0]


def looks_like_labels(names: Iterable[str]) -> bool:
    """Whether a table has labels, and names recordings or times."""
    columns = list(map(normalise, names))
    return has_labels(columns) and (has_files(columns) or any(map(time_of, columns)))


def has_files(names: Iterable[str]) -> bool:
    """Whether a table names recordings."""
    return bool(_all_of(dict.fromkeys(map(normalise, names)), (*FILE, *OTHER_FILE)))


def has_labels(names: Iterable[str]) -> bool:
    """Whether a table names classes."""
    return bool(_all_of(dict.fromkeys(map(normalise, names)), LABEL))


def is_known(name: str) -> bool:
    """Whether a column of this name has a meaning, so that it cannot be a class."""
    known = (*FILE, *OTHER_FILE, *LABEL, *GROUP, *FOLD, *TARGET, *PRESENCE, *SCORE, *LOW, *HIGH)
    one = {normalise(name): None}
    return bool(_all_of(one, (*known, *RATE, *HARMLESS)) or looks_like_time(name))


def unused_note(columns: Columns) -> list[str]:
    """The note on columns that are not used."""
    if not columns.unused:
        return []
    return [f"columns that are not used: {', '.join(columns.unused)}"]


def _squeezed(name: str) -> str:
    return name.replace("_", "")


def _all_of(columns: Mapping[str, None], known: Sequence[str]) -> list[str]:
    """The columns with known names, in order of preference."""
    by_name = {_squeezed(column): column for column in reversed(list(columns))}
    found = (by_name.get(_squeezed(name)) for name in known)
    return list(dict.fromkeys(column for column in found if column))


# Columns of times.


def _find_times(
    where: str,
    left: dict[str, None],
    written: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
    *,
    is_slice: bool,
) -> dict[str, tuple[TimeColumn, ...]]:
    """The columns of times, taken out of those that are left."""
    by_role: dict[str, list[TimeColumn]] = {r: [] for r in ("start", "end", "duration", "offset")}
    numbered = {column for names in NUMBERED for column in names if not _is_pair(names, left)}
    for column in list(left):
        known = time_of(written[column])
        if known and column not in numbered:
            by_role[known[0]].append(TimeColumn(column, known[1]))
            if known[0] != "duration":
                left.pop(column)
    if is_slice:  # of UrbanSound8K: times in the recording that its slices were cut from
        return dict.fromkeys(("start", "end", "duration"), ())
    start, end, duration = by_role["start"], by_role["end"], by_role["duration"]
    if offset := by_role["offset"]:
        if any("onset" in words_of(written[one.column]) for one in start):
            end += offset
        elif duration or not start:
            start += offset
        elif not end:
            names = ", ".join(written[one.column] for one in (*start, *offset))
            raise DataError(
                f"{where}: found {names}; is '{written[offset[0].column]}' an end or a length? "
                "Expected onset,offset, or start_time,end_time, or offset,duration"
            )
        else:
            left |= dict.fromkeys(one.column for one in offset)
    for column in left if start or end or duration else ():
        if is_unit_of_others(written[column], (row[column] for row in rows)):
            raise DataError(
                f"{where}: '{written[column]}' says that times are in another unit than seconds. "
                "Put the unit into the name of the times, as in start_ms, and remove the column"
            )
    if len([one for one in (start, end, duration) if one]) < 2:
        _refuse_unclear(where, left, written, rows)
    if (duration and bool(start) != bool(end)) or _is_length(rows, start, end, duration):
        for one in duration:
            left.pop(one.column, None)
    else:  # the length of the recording
        if not (start or end):
            for one in duration:
                left.pop(one.column, None)
        duration = []
    return {
        "start": tuple(_preferred(start)),
        "end": tuple(_preferred(end)),
        "duration": tuple(_preferred(duration)),
    }


def _is_pair(names: tuple[str, str], left: Mapping[str, None]) -> bool:
    """Whether two numbered columns are a start and an end, and not some of many numbers."""
    first = names[0][0]
    boxed = first == "t" or {"y1", "y2"} <= left.keys()
    return set(names) <= left.keys() and f"{first}3" not in left and boxed


def _preferred(columns: list[TimeColumn]) -> list[TimeColumn]:
    """Those that need no rate of the recording, if there are any."""
    return [one for one in columns if one.unit != SAMPLES] or columns


def _refuse_unclear(
    where: str,
    left: Mapping[str, None],
    written: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
) -> None:
    """Raise an error for a column that looks like a time and is not understood."""
    dated = any(set(words_of(written[column])) & {"date", "year", "day"} for column in left)
    unclear: dict[str, set[str]] = {}
    for column in left:
        if time_of(written[column]) or not looks_like_time(written[column]):
            continue
        if dated and column in ("time", "second", "seconds", "sec"):
            continue  # of the day
        cells = {row[column] for row in rows if row[column]}
        if not rows or (cells and all(map(is_time, cells))):  # else a name, a date, or nothing
            unclear[written[column]] = cells
    if all(cells and cells <= {"0", "1"} for cells in unclear.values()):
        return  # yes or no, as for a class called bus_stop
    names = " and ".join(f"'{name}'" for name in unclear)
    what = "looks like a time and is" if len(unclear) == 1 else "look like times and are"
    raise DataError(
        f"{where}: {names} {what} not understood. Known are start_time,end_time; onset,offset; "
        "begin,end; start,duration; offset,duration; tmin,tmax; from,to; with a unit as in "
        "start_ms, start_samples or 'Start (min)'. Rename the column, or remove it"
    )


def _is_length(
    rows: Sequence[Mapping[str, str]],
    start: list[TimeColumn],
    end: list[TimeColumn],
    duration: list[TimeColumn],
) -> bool:
    """Whether start and duration make the end, in every row."""
    if not (start and end and duration):
        return False
    try:
        for row in rows:
            a, b, length = (
                _one_time(row, tuple(_preferred(one)), "time") for one in (start, end, duration)
            )
            if a[1] != b[1] or b[1] != length[1] or abs(a[0] + length[0] - b[0]) > AGREE * 5:
                return False
    except ValueError:
        return False  # reported with its row
    return True


def _one_time(
    row: Mapping[str, str], columns: Sequence[TimeColumn], what: str
) -> tuple[Decimal, bool | None]:
    """The time that these columns agree on, and whether it counts samples (None without one)."""
    found: list[tuple[Decimal, TimeColumn]] = []
    for one in columns:
        value = seconds(row[one.column], one.column, one.unit)
        if not value.is_nan():
            found.append((value, one))
    if not found:
        return Decimal("nan"), None
    first, column = found[0]
    for value, other in found[1:]:
        if abs(value - first) > AGREE:
            raise ValueError(
                f"found {first} s as {what} in the column '{column.column}' and {value} s in "
                f"'{other.column}', expected one time; remove a column"
            )
    return first, column.unit == SAMPLES


# Columns that claim the same.


def _same_file(
    where: str,
    file: str,
    other: str,
    written: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
) -> None:
    """Raise an error if two columns name different recordings."""
    for row in rows:
        a, b = (_stem(row[column]) for column in (file, other))
        if a and b and a != b:
            raise DataError(
                f"{where}: found '{row[file]}' in the column '{written[file]}' and '{row[other]}' "
                f"in '{written[other]}', expected one column for the recording; rename the other"
            )


def _stem(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _not_another_label(
    where: str,
    label: str,
    other: str,
    written: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
) -> None:
    """Raise an error unless one of two columns of labels follows from the other."""
    pairs = {(row[label], row[other]) for row in rows if row[label] and row[other]}
    if len(pairs) > len({a for a, _ in pairs}) and len(pairs) > len({b for _, b in pairs}):
        raise DataError(
            f"{where}: which column has the labels, '{written[label]}' or '{written[other]}'? "
            "Name it 'label' and remove or rename the other"
        )


def _check_ends(where: str, columns: Columns, rows: Sequence[Mapping[str, str]]) -> None:
    """Raise an error for parts without an end (or without a start) of one recording."""
    if columns.is_timed and not columns.durations and not (columns.starts and columns.ends):
        files = Counter(row[columns.file] if columns.file else "" for row in rows)
        twice = next((file for file, n in files.items() if n > 1), None)
        if twice is not None:
            have, lack = ("start", "end") if columns.starts else ("end", "start")
            name = (columns.starts or columns.ends)[0].column
            raise DataError(
                f"{where}: found the {have} '{name}' and no {lack}, for several parts of "
                f"{twice or 'one recording'}; expected a column such as {lack}_time or duration"
            )


def _check_rows(
    where: str,
    columns: Columns,
    written: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
) -> None:
    """Raise an error if rows of one recording would be joined that differ in unknown numbers."""
    if columns.is_timed or not columns.unused:
        return
    by_file: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        by_file[row[columns.file] if columns.file else ""].append(row)
    several = [its for its in by_file.values() if len(its) > 1]
    for column in map(normalise, columns.unused) if several else ():
        cells = [row[column] for its in several for row in its]
        if all(is_time(cell) or _RANGE.fullmatch(cell) for cell in cells) and any(
            len({row[column] for row in its}) == len(its) for its in several
        ):
            raise DataError(
                f"{where}: '{several[0][0][columns.file]}' stands in {len(several[0])} rows, which "
                f"differ in the column '{written[column]}'. If it is a time, name it start_time or "
                "end_time; if these are labels of one clip, remove it"
            )


def _check_names(
    where: str, label: str, written: Mapping[str, str], rows: Sequence[Mapping[str, str]]
) -> None:
    """Raise an error for scores, or whole regions, in the place of labels."""
    cells = [row[label] for row in rows if row[label]]
    nested = next((c for c in cells if re.match(r"\[?\s*\{.*\}", c, re.S)), "")
    if nested:
        raise DataError(
            f"{where}: the column '{written[label]}' has nested values such as "
            f"'{nested[:40]}', as Label Studio writes regions; expected a name of a class, and a "
            "row for each part of a recording"
        )
    scores = [cell for cell in cells if re.fullmatch(r"\d*\.\d*[1-9]\d*(?:e-?\d+)?", cell.lower())]
    if cells and len(scores) * 2 > len(cells):
        raise DataError(
            f"{where}: the column '{written[label]}' has numbers such as {first_few(scores, 2)}, "
            "as a program gives scores; expected names of classes"
        )
