"""UrbanSound: ``data/dog_bark/4912.wav`` with its events beside it in ``data/dog_bark/4912.csv``.

Not UrbanSound8K, whose slices were cut from these 1 302 field recordings. A file of events has no
header; each line is ``start,end,salience,class`` with times in seconds and salience 1 for
foreground, 2 for background. Of a recording only the events of one class are marked, that of its
folder. Every event becomes a clip. Files are named by their Freesound number, which is the group.
J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM
Multimedia 2014.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semisonic.audio import OTHER_SUFFIXES
from semisonic.base.errors import DataError
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.readers.groups import known_or_given
from semisonic.data.readers.place import Place, ReadOptions, relative_names

CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
"""In the order of UrbanSound8K's class numbers."""

FOREGROUND, BACKGROUND = SALIENCES = ("1", "2")
COLUMNS = ("start", "end", "salience", "class")
_TABLE = re.compile(rf"(?:^|/)(?:{'|'.join(CLASSES)})/\d+\.csv$")
_N_SHOWN = 3


@dataclass(frozen=True)
class _Event:
    """One line of a file of events; times in seconds."""

    start: float
    end: float
    salience: str
    label: str


def recognise(place: Place) -> str | None:
    """Numbered files of events in folders named after the ten classes."""
    tables = _tables(place)
    if not tables or _first_line(place.path / tables[0]) is None:
        return None
    return (
        f"{counted(len(tables), 'file')} of events ({', '.join(COLUMNS)}) beside recordings in "
        "folders of the ten classes: UrbanSound"
    )


def read(place: Place, options: ReadOptions) -> Clips:
    """Read every event of every recording as a clip.

    Raises
    ------
    DataError
        With file and line: other than four values, a time that is no number, an unknown salience
        or class; when a recording is missing, unless missing files are allowed.
    """
    return _read(place, options, SALIENCES, "UrbanSound")


def read_foreground(place: Place, options: ReadOptions) -> Clips:
    """As :func:`read`, the events in the foreground alone."""
    return _read(place, options, (FOREGROUND,), "UrbanSound, foreground")


def _read(place: Place, options: ReadOptions, saliences: tuple[str, ...], name: str) -> Clips:
    tables = _tables(place)
    if not tables:
        raise DataError(
            f"{place.path}: not UrbanSound, expected recordings and files of events such as "
            "data/dog_bark/4912.csv with lines of start,end,salience,class"
        )
    audio = {file.rpartition(".")[0]: file for file in place.need_audio()}
    others = {f.rpartition(".")[0] for f in relative_names(place.path, OTHER_SUFFIXES)}
    stems = [table.removesuffix(".csv") for table in tables]
    unread = [stem for stem in stems if stem not in audio and stem in others]
    missing = [stem for stem in stems if stem not in audio and stem not in others]
    if missing and not options.allow_missing:
        shown = ", ".join(missing[:_N_SHOWN]) + (", ..." if len(missing) > _N_SHOWN else "")
        raise DataError(
            f"{place.path}: {len(missing)} of {len(tables)} files of events have no recording "
            f"beside them: {shown}. Unpack the data set anew, or say --allow-missing"
        )
    rows = dict[tuple[str, float, float], dict[str, object]]()
    n_background = n_empty = 0
    for stem in stems:
        if stem not in audio:
            continue
        file = audio[stem]
        group = known_or_given([file], [stem.rpartition("/")[2]], options.group)[0]
        for event in _events(place.path / f"{stem}.csv"):
            n_background += event.salience == BACKGROUND
            n_empty += not event.end > event.start
            if event.end > event.start and event.salience in saliences:
                rows[file, event.start, event.end] = {
                    "file": file,
                    "start_time": event.start,
                    "end_time": event.end,
                    "labels": event.label,
                    "group": group,
                }
    if not rows:
        raise DataError(f"{place.path}: no event in {counted(len(tables), 'file')} of events")
    bare = sorted(set(audio.values()) - {audio[stem] for stem in stems if stem in audio})
    found = {str(row["labels"]) for row in rows.values()}
    classes = [label for label in CLASSES if label in found]
    notes = _notes(saliences, n_background, n_empty, len(bare), len(unread), len(missing))
    return Clips.from_rows(place.path, rows.values(), classes, options.name or name, notes)


def _notes(
    saliences: tuple[str, ...], background: int, empty: int, bare: int, unread: int, missing: int
) -> list[str]:
    """What was left out, and what the salience of events says."""
    left = BACKGROUND not in saliences
    said = [
        (
            background,
            f"{counted(background, 'event')} in the background (salience 2) "
            + ("left out" if left else "; --labels urbansound-foreground leaves them out"),
        ),
        (empty, f"{counted(empty, 'event')} without a length left out"),
        (bare, f"{counted(bare, 'recording')} without a file of events left out"),
        (unread, f"{counted(unread, 'recording')} in a format that is not read left out"),
        (missing, f"{counted(missing, 'recording')} missing"),
    ]
    return [text.replace(" ;", ";") for n, text in said if n]


def _tables(place: Place) -> list[str]:
    """The files of events below the folder, relative to it."""
    if not place.is_folder:
        return []
    base = place.path.as_posix().rstrip("/") + "/"
    names = (path.as_posix() for path in place.texts)
    return [name.removeprefix(base) for name in names if _TABLE.search(name)]


def _first_line(path: Path) -> _Event | None:
    """The first event of a file, None when it is no file of events."""
    try:
        return next(_events(path), None)
    except DataError:
        return None


def _events(path: Path) -> Iterator[_Event]:
    """The lines of one file of events."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error
    for number, cells in enumerate(csv.reader(lines), start=1):
        values = [cell.strip() for cell in cells]
        if not any(values) or (number == 1 and tuple(values) == COLUMNS):
            continue
        where = f"{path}, row {number}"
        if len(values) != len(COLUMNS):
            raise DataError(
                f"{where}: found {len(values)} values, expected four: {', '.join(COLUMNS)}"
            )
        start, end, salience, label = values
        try:
            times = float(start), float(end)
        except ValueError:
            raise DataError(
                f"{where}: found the times '{start}' and '{end}', expected seconds"
            ) from None
        if salience not in SALIENCES:
            raise DataError(
                f"{where}: found salience '{salience}', expected 1 (foreground) or 2 (background)"
            )
        if label not in CLASSES:
            raise DataError(
                f"{where}: found the class '{label}', expected one of {', '.join(CLASSES)}"
            )
        yield _Event(*times, salience, label)
