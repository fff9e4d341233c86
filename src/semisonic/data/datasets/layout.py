"""Find a data set and its recordings: paths, layouts, and files named in tables."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn

from semisonic.audio.find import AUDIO_SUFFIXES, OTHER_SUFFIXES, find_audio, find_names
from semisonic.core.errors import DataError
from semisonic.core.files import path_from
from semisonic.core.text import count_text, first_few
from semisonic.data.clips import Clips
from semisonic.data.options import ReadOptions
from semisonic.data.tables import JSON_SUFFIXES, read_head

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
TEXT_SUFFIXES = TABLE_SUFFIXES | {".txt"}
_KINDS = {
    **dict.fromkeys(TABLE_SUFFIXES, "table"),
    ".txt": "text",
    **dict.fromkeys(JSON_SUFFIXES, "log"),
    **dict.fromkeys(AUDIO_SUFFIXES, "recording"),
}


@dataclass(frozen=True)
class DatasetPath:
    """A path given by a user. Only names are read, nothing is decoded."""

    path: Path
    label_column: str | None = None

    @cached_property
    def kind(self) -> str:
        """Kind of the path: "folder", "table", "text", "log" or "recording"; empty for others."""
        if self.path.is_dir():
            return "folder"
        return _KINDS.get(self.path.suffix.lower(), "") if self.path.is_file() else ""

    @property
    def is_folder(self) -> bool:
        """Whether the path is a folder."""
        return self.kind == "folder"

    @property
    def name(self) -> str:
        """The last part of the path, as a name for the data set."""
        return self.path.resolve().name if self.is_folder else self.path.stem

    @cached_property
    def audio(self) -> tuple[str, ...]:
        """The recordings below the folder: relative names with forward slashes, sorted."""
        return tuple(name for name in self._sounds if _suffix(name) in AUDIO_SUFFIXES)

    @property
    def unread(self) -> tuple[str, ...]:
        """The recordings below the folder in formats that cannot be read."""
        return tuple(name for name in self._sounds if _suffix(name) in OTHER_SUFFIXES)

    @cached_property
    def _sounds(self) -> tuple[str, ...]:
        return relative_names(self.path, AUDIO_SUFFIXES | OTHER_SUFFIXES) if self.is_folder else ()

    @cached_property
    def texts(self) -> tuple[Path, ...]:
        """The tables and other text files in the folder and below it, sorted."""
        return tuple(find_audio(self.path, TEXT_SUFFIXES)) if self.is_folder else ()

    @cached_property
    def tables(self) -> tuple[Path, ...]:
        """The files directly in the folder that may be its tables, sorted.

        A text named after a recording is the label file of that recording.
        """
        found = self.path.iterdir() if self.is_folder else ()
        stems = {_stem(name) for name in self.audio if "/" not in name}
        return tuple(
            sorted(
                path
                for path in found
                if path.suffix.lower() in TEXT_SUFFIXES | JSON_SUFFIXES
                and not (path.suffix.lower() == ".txt" and path.name.partition(".")[0] in stems)
                and not path.name.startswith(".")
                and path.is_file()
            )
        )

    def table_with(self, places: Iterable[str], columns: Iterable[str]) -> Path | None:
        """The first of the tables that has these columns; the place "" is the path itself."""
        for place in places:
            path = self.path / place
            if path.is_file() and read_head(path).columns.issuperset(columns):
                return path
        return None

    def need_audio(self) -> tuple[str, ...]:
        """The recordings below the folder.

        Raises
        ------
        DataError
            When there are none, with the formats searched for.
        """
        if not self.audio:
            others = len(self.unread)
            raise DataError(
                f"{self.path}: found no audio in this folder or below it (looked for .wav, "
                f".flac, .ogg, .mp3 and {len(AUDIO_SUFFIXES) - 4} other suffixes). "
                + (
                    f"Found {others} in formats that cannot be read; convert them. "
                    if others
                    else ""
                )
                + "Give the folder of the recordings, or a CSV file that lists them"
            )
        return self.audio


class Layout(NamedTuple):
    """A layout of data sets on disk.

    Attributes
    ----------
    kind : str
        Its name for ``labels`` of :func:`~semisonic.data.datasets.load.load_clips`.
    title : str
        Its name in messages.
    read : callable
        Takes a path and returns its clips.
    recognise : callable
        Takes a path and returns the reason why it has this layout, or None. A layout that is only
        used by name has none.
    """

    kind: str
    title: str
    read: Callable[[DatasetPath, ReadOptions], Clips]
    recognise: Callable[[DatasetPath], str | None] = lambda _: None


def relative_names(folder: Path, suffixes: frozenset[str] = AUDIO_SUFFIXES) -> tuple[str, ...]:
    """The files with these suffixes below a folder: relative, with forward slashes, sorted."""
    # Plain text instead of Path.relative_to: four times faster on a quarter of a million files.
    base = folder.as_posix().rstrip("/") + "/"
    return tuple(name.removeprefix(base) for name in find_names(folder, suffixes))


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def first_folder(file: str) -> str:
    """The first-level folder of a relative name; empty for a file directly in the root."""
    return file.partition("/")[0] if "/" in file else ""


def base_name(file: str) -> str:
    """The last part of a relative name."""
    return file.rpartition("/")[2]


# Which recording a label file, or a path in a table, speaks of.
#
# Tables travel: their paths are those of another machine, with other letter case, other accents and
# backslashes. A path fits a recording when no folder that both have differs, counted from the end;
# a bare name fits a file of that name in any folder. Two that fit equally well are no answer, as
# recorders of several sites give their files the same names.


_DRIVE = re.compile(r"^[A-Za-z]:")
_LABEL_FOLDER = re.compile(r"label|annot|raven|audacity|selection|table|track|birdnet|txt")


class RecordingNames:
    """Finds recordings below a folder by the names in label files."""

    def __init__(self, root: Path, files: Iterable[str] | None = None) -> None:
        self.root, self.files = root, tuple(relative_names(root) if files is None else files)
        self._exact = frozenset(self.files)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            name = _plain(base_name(file))
            self._by_name[name].append(file)
            self._by_stem[_stem(name)].append(file)

    def find(self, path: str) -> list[str]:
        """The recordings that a path, relative or from another machine, may mean."""
        if path in self._exact:
            return [path]
        parts = _parts(_DRIVE.sub("", path.replace("\\", "/")))
        if not parts:
            return []
        if parts[-1] in self._by_name:
            return _fitting(self._by_name[parts[-1]], parts)
        # Freesound's sets, lhotse and others name recordings without their suffix.
        return _fitting(self._by_stem.get(parts[-1], []), parts, is_stem=True)

    def named(self, path: str, folder: Path | None = None) -> str:
        """The recording that a table calls ``path``; ``..`` counts from ``folder``.

        Raises
        ------
        ValueError
            When there is none, or more than one.
        """
        place = path.replace("\\", "/")
        if os.path.isabs(path) and os.path.isfile(path):
            return path_from(path, self.root)
        if folder is not None and path not in self._exact and ".." in place.split("/"):
            place = Path(os.path.abspath(folder / place)).as_posix()
        found = self.find(place)
        others = self._by_name.get(_plain(base_name(place)), [])
        return found[0] if len(found) == 1 else self._refuse(path, found, others)

    def beside(self, label_file: str) -> str:
        """The recording with the name of a label file (relative to some folder).

        ``a.wav``, ``a.txt``, ``a.wav.txt`` and ``a.Table.1.selections.txt`` belong together.

        Raises
        ------
        ValueError
            When there is none, or more than one.
        """
        *above, stem = _parts(label_file.replace("\\", "/"))
        while "." in stem:
            stem = stem.rpartition(".")[0]
            candidates = self._by_name.get(stem) or self._by_stem.get(stem)
            if not stem or not candidates:
                continue
            # 'labels/a.txt' may stand beside 'audio/a.wav'.
            without_labels = [part for part in above if not _LABEL_FOLDER.search(part)]
            for folders in (above, without_labels):
                found = _fitting(candidates, [*folders, stem], is_stem=stem not in self._by_name)
                if len(found) == 1:
                    return found[0]
            return self._refuse(label_file, found, candidates)
        cure = ""
        if len(self.files) == 1:
            only = base_name(self.files[0])
            cure = f"; there is only {only}: if they belong together, rename the labels to "
            cure += f"'{_stem(only)}.txt'"
        name = base_name(label_file)
        raise ValueError(f"no recording below {self.root} has the same name as '{name}'{cure}")

    def _refuse(self, name: str, found: Sequence[str], others: Sequence[str]) -> NoReturn:
        if found:
            fitting = f"any of {len(found)} recordings: {first_few(found, 3)}"
            raise ValueError(f"'{name}' may be {fitting}; add its folder")
        other = f"; with that name there is {first_few(others, 3)}" if others else ""
        raise ValueError(f"no recording '{name}' below {self.root}{other}")


def _fitting(files: Iterable[str], parts: list[str], *, is_stem: bool = False) -> list[str]:
    """The files whose folders match those of a path; only complete matches, if there are any."""
    fitting: list[str] = []
    whole: list[str] = []
    for file in files:
        own = _parts(_stem(file) if is_stem else file)
        if all(a == b for a, b in zip(reversed(own), reversed(parts), strict=False)):
            (whole if own == parts else fitting).append(file)
    return whole or fitting


def _stem(name: str) -> str:
    """The name of a recording without its suffix."""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in AUDIO_SUFFIXES else name


def _parts(path: str) -> list[str]:
    return [part for part in _plain(path).split("/") if part not in ("", ".")]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def locate(
    table: Path,
    files: Sequence[str],
    row_numbers: Sequence[int],
    *,
    allow_missing: bool = False,
    all_or_none: bool = False,
) -> tuple[Path, list[str], list[str]]:
    """Find the files that a table names: beside it, in ``audio`` beside it, or somewhere below.

    Returns
    -------
    root : Path
        The folder of the audio.
    files : list of str
        Relative to it.
    notes : list of str

    Raises
    ------
    DataError
        When files are missing, with their number, the first few with their rows, and the folders
        searched; unless ``allow_missing``, or ``all_or_none`` and all are missing.
    """
    parent = table.parent
    roots = [f for f in (parent, parent / "audio", parent.parent / "audio") if f.is_dir()]
    for root in roots:
        if all(os.path.isfile(root / file) for file in files):
            return root, list(files), []

    def n_unclear(tried: tuple[Path, list[list[str]]]) -> int:
        return sum(len(hits) != 1 for hits in tried[1])

    root, found = min(((root, _search(root, files)) for root in roots), key=n_unclear)
    new = [hits[0] if len(hits) == 1 else file for file, hits in zip(files, found, strict=True)]
    notes = []
    if n_elsewhere := sum(a != b for a, b in zip(files, new, strict=True)):
        n = count_text(n_elsewhere, "file")
        notes.append(f"{n} found by name in folders below {root.name or root}")
    unclear = [
        f"{file} (row {row})" + (f" fits {' and '.join(hits[:5])}: add its folder" if hits else "")
        for file, row, hits in zip(files, row_numbers, found, strict=True)
        if len(hits) != 1
    ]
    if unclear:
        if not (allow_missing or (all_or_none and len(unclear) == len(files))):
            what = (
                "are missing or fit several"
                if any(len(hits) > 1 for hits in found)
                else "are missing"
            )
            raise DataError(
                f"{table}: {len(unclear)} of {len(files)} files {what}: {first_few(unclear)}. "
                f"Looked in {', '.join(map(str, roots))} and below. Names are relative to the "
                "table's folder or to an 'audio' folder beside it; correct the names, add the "
                "files, remove the rows, or use --allow-missing to leave these clips out"
            )
        notes.append(f"{len(unclear)} of {len(files)} files are missing; only the table was read")
    return root, new, notes


def _search(root: Path, files: Sequence[str]) -> list[list[str]]:
    """The files below a folder that each name may mean."""
    names = RecordingNames(root)
    found = []
    for file in files:
        hits = [file] if os.path.isfile(root / file) else names.find(file)
        if not (file.startswith("/") or _DRIVE.match(file)):
            # A name with folders of ours must not land outside of them.
            hits = [one for one in hits if one.count("/") >= file.count("/")]
        found.append(hits)
    return found
