"""Label files to events: which format a file has, and which recordings it speaks of."""

from __future__ import annotations

import logging
import math
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from semisonic.audio.find import AUDIO_SUFFIXES, find_audio
from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.progress import track
from semisonic.core.text import count_text
from semisonic.data.datasets.layout import TEXT_SUFFIXES, base_name, relative_names
from semisonic.data.events import Events
from semisonic.data.formats.audacity import AUDACITY
from semisonic.data.formats.format import Format, LabelFile, LabelRow
from semisonic.data.formats.raven import COMBINED, RAVEN
from semisonic.data.formats.tables import BIRDNET, KALEIDOSCOPE, LONG, WIDE
from semisonic.data.label_log import ResolvedLabels, is_log, read_log, replay
from semisonic.data.options import FORMATS
from semisonic.data.tables import read_head

AUTO = "auto"
BY_NAME = {
    form.name: form for form in (LONG, WIDE, AUDACITY, RAVEN, COMBINED, BIRDNET, KALEIDOSCOPE)
}
# The more special ones first: a table of BirdNET has a file and a label, too.
_TRIED = (KALEIDOSCOPE, BIRDNET, COMBINED, RAVEN, LONG, WIDE, AUDACITY)


def format_of(name: str) -> Format:
    """The format of a name.

    Raises
    ------
    OptionError
        When there is none, with the nearest.
    """
    if name not in BY_NAME:
        raise OptionError(f"format: found '{name}'; {nearest(name, FORMATS)}")
    return BY_NAME[name]


def recognise_format(path: Path) -> Format | None:
    """The format of a file by its content; None when it is none of them."""
    head = read_head(path)
    if head is None:
        return None
    return next((form for form in _TRIED if form.recognise(head)), None)


# Which recording a label file, or a path in it, speaks of.
#
# Tables travel: their paths are those of another machine, with other letter case, other accents and
# backslashes. A path fits a recording when no folder that both have differs, counted from the end;
# a bare name fits a file of that name in any folder. Two that fit equally well are no answer, as
# recorders of several sites give their files the same names.


_DRIVE = re.compile(r"^[A-Za-z]:")
_LABEL_FOLDER = re.compile(r"label|annot|raven|audacity|selection|table|track|birdnet|txt")
_RECORDINGS_SHOWN = 3


class RecordingNames:
    """The recordings below a folder, to be found by what a label file calls them."""

    def __init__(self, root: Path, files: Iterable[str] | None = None) -> None:
        self.root = root
        self.files = tuple(relative_names(root) if files is None else files)
        self._exact = frozenset(self.files)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in self.files:
            name = _plain(base_name(file))
            self._by_name.setdefault(name, []).append(file)
            self._by_stem.setdefault(stem_of(name), []).append(file)

    def named(self, path: str, folder: Path | None = None) -> str:
        """The recording that a table calls ``path``.

        Parameters
        ----------
        path : str
            Relative or of any machine; ``..`` counts from ``folder``.
        folder : Path, optional
            Where the table lies.

        Raises
        ------
        ValueError
            When there is none, or more than one.
        """
        if path in self._exact:
            return path
        plain = _DRIVE.sub("", path.replace("\\", "/"))
        if folder is not None and ".." in plain.split("/"):
            plain = Path(os.path.abspath(folder / plain)).as_posix()
        parts = _parts(plain)
        return self._best(self._by_name.get(parts[-1], []) if parts else [], parts, path)

    def beside(self, label_file: str) -> str:
        """The recording with the name of a label file (relative to some folder).

        ``a.wav``, ``a.txt``, ``a.wav.txt`` and ``a.Table.1.selections.txt`` belong together.

        Raises
        ------
        ValueError
            When there is none, or more than one.
        """
        folder, _, name = label_file.replace("\\", "/").rpartition("/")
        above = _parts(folder)
        for stem in _stems(_plain(name)):
            for index, in_stem in ((self._by_name, False), (self._by_stem, True)):
                hits = index.get(stem, [])
                if not hits:
                    continue
                try:
                    return self._best(hits, [*above, stem], label_file, in_stem=in_stem)
                except ValueError:
                    # 'labels/a.txt' may stand beside 'audio/a.wav'.
                    kept = [part for part in above if not _LABEL_FOLDER.search(part)]
                    return self._best(hits, [*kept, stem], label_file, in_stem=in_stem)
        cure = ""
        if len(self.files) == 1:
            only = base_name(self.files[0])
            cure = f"; there is one, {only}: if they belong together, rename the labels to "
            cure += f"'{stem_of(only)}.txt'"
        raise ValueError(f"no recording below {self.root} has the name of '{name}'{cure}")

    def _best(
        self, candidates: list[str], parts: list[str], said: str, *, in_stem: bool = False
    ) -> str:
        fitting = []
        for file in candidates:
            own = _parts(file)
            if in_stem:
                own[-1] = stem_of(own[-1])
            if all(a == b for a, b in zip(reversed(own), reversed(parts), strict=False)):
                fitting.append((own == parts, file))
        whole = [file for same, file in fitting if same]
        found = whole or [file for _, file in fitting]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"'{said}' may be any of {len(found)} recordings: {_few(found)}; name its folder"
            )
        other = f"; of that name there is {_few(candidates)}" if candidates else ""
        raise ValueError(f"no recording '{said}' below {self.root}{other}")


def stem_of(name: str) -> str:
    """A recording's name without what says its format."""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in AUDIO_SUFFIXES else name


def _stems(name: str) -> Iterator[str]:
    """What may be the recording's name in that of a label file, the longest first."""
    while "." in name:
        name = name.rpartition(".")[0]
        if name:
            yield name


def _parts(path: str) -> list[str]:
    return [part for part in _plain(path).split("/") if part not in ("", ".")]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _few(files: list[str]) -> str:
    return ", ".join(files[:_RECORDINGS_SHOWN]) + (
        ", ..." if len(files) > _RECORDINGS_SHOWN else ""
    )


# From a label file, or a folder of them, to events of recordings.


_log = logging.getLogger(__name__)
_SHOWN = 5


@dataclass(frozen=True)
class LabelSet:
    """What label files hold.

    Attributes
    ----------
    events : Events
        All that could be used, in the order of the files and of their rows.
    recordings : tuple of str
        The recordings that label files speak of, also those without any event; sorted.
    problems : tuple of (place, reason)
        Rows and files that could not be used.
    notes : tuple of str
        What was decided on the way.
    formats : tuple of str
        The formats found.
    classes : tuple of str
        Class names in the order that a table gives them; empty where none does.
    root : Path
        What ``events.file`` is relative to, where its names are relative.
    """

    events: Events
    recordings: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    formats: tuple[str, ...]
    classes: tuple[str, ...]
    root: Path


def read_labels(
    path: Path,
    format: str = AUTO,  # noqa: A002
    *,
    label_column: str | None = None,
    root: Path | None = None,
) -> Events:
    """Read a label file, or all label files in a folder and below.

    Parameters
    ----------
    path : Path
        A file in any of the ``FORMATS``, a label log, or a folder. Other files of a folder are
        passed over.
    format : str
        One of the ``FORMATS``, or "auto" to tell it from each file's content.
    label_column : str, optional
        The column that holds the labels, where a format leaves that to the user; for csv-wide
        the one class to read.
    root : Path, optional
        The folder of the recordings. Each recording must then be found in it: by its path, by its
        name, or, for label files that name none, by theirs; letter case does not matter. Without
        it, names stay as they stand in tables, and label files that name no recording belong to
        the one beside them.

    Returns
    -------
    Events
        Times in seconds from the start of each recording; ``file`` relative to ``root``.

    Raises
    ------
    DataError
        When rows cannot be used or recordings are not found, with how many and the first few.
        :func:`collect_labels` gives the rest and the list instead.
    OptionError
        When the format is none of those.
    """
    found = collect_labels(path, format, label_column=label_column, root=root)
    if found.problems:
        first = "; ".join(f"{where}: {reason}" for where, reason in found.problems[:_SHOWN])
        more = len(found.problems) - _SHOWN
        raise DataError(
            f"{path}: {count_text(len(found.problems), 'place')} cannot be used: {first}"
            + (f"; and {more} more" if more > 0 else "")
        )
    for note in found.notes:
        _log.info("%s: %s", path, note)
    return found.events


def collect_labels(
    path: Path,
    format: str = AUTO,  # noqa: A002
    *,
    label_column: str | None = None,
    root: Path | None = None,
    leave_out: Path | None = None,
) -> LabelSet:
    """As :func:`read_labels`, but what cannot be used is listed.

    ``leave_out`` is a file or a folder that is not read, such as one that is about to be written.

    Raises
    ------
    DataError
        When there is nothing to read, or a single file cannot be read at all.
    """
    wanted = None if format == AUTO else format_of(format)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; look at the spelling of the path")
    if path.is_file() and is_log(path):
        return _log_labels(path, root)
    folder = path if path.is_dir() else path.parent
    matcher = _Matcher(folder, root)
    if path.is_dir():
        files, passed_over, problems = _label_files(path, wanted, label_column, matcher, leave_out)
    else:
        form = wanted or recognise_format(path)
        if form is None:
            raise _unknown(path)
        files, passed_over, problems = [(form, form.read(path, label_column))], 0, []
    notes = [f"{passed_over} other text files passed over"] if passed_over else []
    rows: list[LabelRow] = []
    for form, found in track(files, "match recordings", "file"):
        problems += found.problems
        rows += matcher.place(form, found, problems)
    notes += _summed([found for _, found in files])
    return LabelSet(
        events=Events.from_rows(vars(row) for row in rows),
        recordings=tuple(sorted(matcher.seen)),
        problems=tuple(problems),
        notes=tuple(notes),
        formats=tuple(dict.fromkeys(form.name for form, _ in files)),
        classes=tuple(dict.fromkeys(name for _, found in files for name in found.classes)),
        root=root or folder,
    )


def _log_labels(path: Path, root: Path | None) -> LabelSet:
    """What a label log says now, with recordings named from the root."""
    found = read_log(path)
    current = ResolvedLabels(found.root, replay(found.entries))
    base = os.path.abspath(root or found.root)
    names = [
        Path(os.path.relpath(os.path.join(found.root, file), base)).as_posix()
        for file in current.events.file.tolist()
    ]
    n_open = sum(one.consensus is None for one in current.disagreements)
    return LabelSet(
        events=replace(current.events, file=np.array(names, np.str_)),
        recordings=tuple(sorted(set(names))),
        problems=found.problems,
        notes=(f"annotators differ on {n_open} segments, which have no label",) * bool(n_open),
        formats=("log",),
        classes=current.classes,
        root=Path(base),
    )


class _Matcher:
    """Gives each row its recording, and each recording looked for once."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self.folder = folder
        self.root = root
        self.seen: set[str] = set()
        self._durations: dict[str, float] = {}

    @cached_property
    def recordings(self) -> RecordingNames:
        """Those of the root, or those beside the label files."""
        return RecordingNames(self.root or self.folder)

    def own(self, label_file: Path) -> str:
        """The recording that has the name of a label file (ValueError: none)."""
        return self.recordings.beside(label_file.relative_to(self.folder).as_posix())

    def place(
        self, form: Format, found: LabelFile, problems: list[tuple[str, str]]
    ) -> list[LabelRow]:
        """The rows of a label file with their recordings; those without become problems."""
        names = dict.fromkeys([*(row.file for row in found.rows), *found.without_events])
        if not names and form.per_recording:
            names[""] = None
        places: dict[str, str] = {}
        for name in names:
            try:
                places[name] = self._find(form, found.path, name)
            except ValueError as error:
                n_rows = sum(row.file == name for row in found.rows)
                problems.append((f"{found.path}", f"{count_text(n_rows, 'event')}: {error}"))
        self.seen.update(places.values())
        kept = []
        for row in found.rows:
            if row.file not in places:
                continue
            file, end = places[row.file], row.end_time
            if math.isnan(end):
                end = self._duration(file)
                if not end >= row.start_time:
                    reason = f"no end, and the length of the recording '{file}' cannot be read"
                    problems.append((row.where, reason))
                    continue
            kept.append(replace(row, file=file, end_time=end))
        return kept

    def _find(self, form: Format, label_file: Path, name: str) -> str:
        if not name:
            return self.own(label_file)
        beside = label_file.parent.relative_to(self.folder).as_posix()
        is_bare = "/" not in name and beside != "."
        if self.root is None:
            return f"{beside}/{name}" if is_bare and form.per_recording else name
        if is_bare:
            try:
                return self.recordings.named(f"{beside}/{name}")
            except ValueError:
                pass  # the label files lie elsewhere
        return self.recordings.named(name, label_file.parent)

    def _duration(self, file: str) -> float:
        if file not in self._durations:
            try:
                duration = probe((self.root or self.folder) / file).duration
            except AudioError:
                duration = math.nan
            self._durations[file] = duration
        return self._durations[file]


def _label_files(
    folder: Path,
    wanted: Format | None,
    label_column: str | None,
    matcher: _Matcher,
    leave_out: Path | None,
) -> tuple[list[tuple[Format, LabelFile]], int, list[tuple[str, str]]]:
    """The label files of a folder, how many other texts there are, and those not to be read."""
    files: list[tuple[Format, LabelFile]] = []
    empty: list[Path] = []
    problems: list[tuple[str, str]] = []
    passed_over = 0
    texts = [path for path in find_audio(folder, TEXT_SUFFIXES) if not _is_in(path, leave_out)]
    for path in track(texts, "read label files", "file"):
        form = recognise_format(path)
        if wanted is not None and form is not wanted:
            like = form is not None and form.read is wanted.read
            form = wanted if like or _is_of(wanted, path) else None
        if form is not None:
            try:
                files.append((form, form.read(path, label_column)))
            except DataError as error:
                problems.append((f"{path}", str(error)))
        elif path.suffix.lower() == ".txt" and _is_empty(path):
            empty.append(path)
        else:
            passed_over += 1
    tracks = [form for form, _ in files if form is AUDACITY]
    for path in empty:
        # Somebody listened, and marked nothing.
        if tracks or wanted is AUDACITY:
            try:
                matcher.own(path)
            except ValueError:
                passed_over += 1
                continue
            files.append((AUDACITY, LabelFile(path)))
        else:
            passed_over += 1
    if not files and not problems:
        what = wanted.title if wanted else "label files of a known format"
        raise DataError(f"{folder}: no {what} in this folder or below it; {_EXPECTED}")
    return files, passed_over, problems


def _summed(files: list[LabelFile]) -> list[str]:
    """The notes of label files, each once: a folder may hold thousands of them."""
    notes: dict[str, list[tuple[str, int]]] = {}
    for one in files:
        for text, count in one.notes.items():
            notes.setdefault(text, []).append((one.path.name, count))
    return [
        (f"{found[0][0]}: " if len(found) == 1 else f"{len(found)} files: ")
        + (f"{total} {text}" if (total := sum(count for _, count in found)) else text)
        for text, found in notes.items()
    ]


def _is_empty(path: Path) -> bool:
    """Whether a text holds nothing but a byte order mark and an end of line."""
    return path.is_file() and path.stat().st_size <= len(b"\xef\xbb\xbf\r\n")


def _is_in(path: Path, place: Path | None) -> bool:
    if place is None:
        return False
    one, other = Path(os.path.abspath(path)), Path(os.path.abspath(place))
    return one == other or other in one.parents


def _is_of(form: Format, path: Path) -> bool:
    head = read_head(path)
    return head is not None and form.recognise(head)


_EXPECTED = (
    "expected label tracks of Audacity (.txt), selection tables of Raven (.txt), "
    "or CSV tables of events, BirdNET-Analyzer or Kaleidoscope"
)


def _unknown(path: Path) -> DataError:
    return DataError(f"{path}: its format is not known; {_EXPECTED}. If it is one, name the format")
