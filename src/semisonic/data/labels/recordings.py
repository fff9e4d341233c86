"""Which recording a label file, or a path in it, speaks of.

Tables travel: their paths are those of another machine, with other letter case, other accents and
backslashes. A path fits a recording when no folder that both have differs, counted from the end;
a bare name fits a file of that name in any folder. Two that fit equally well are no answer, as
recorders of several sites give their files the same names.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from semisonic.audio import AUDIO_SUFFIXES
from semisonic.data.readers.place import base_name, relative_names

_DRIVE = re.compile(r"^[A-Za-z]:")
_LABEL_FOLDER = re.compile(r"label|annot|raven|audacity|selection|table|track|birdnet|txt")
_SHOWN = 3


class Recordings:
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
    return ", ".join(files[:_SHOWN]) + (", ..." if len(files) > _SHOWN else "")
