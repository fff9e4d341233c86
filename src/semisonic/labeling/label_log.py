"""``LabelLog``: answers of annotators, in a file that only grows."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import IO, Any

from semisonic.audio.read import probe
from semisonic.core.errors import DataError
from semisonic.core.files import exclusive, path_from
from semisonic.data.cache import sync
from semisonic.data.events import segment_key
from semisonic.data.label_log import (
    CORRECTS,
    FORMAT,
    HEADER,
    RENAMED,
    ClassRename,
    LabelEntry,
    ResolvedLabels,
    class_renames,
    current_answers,
    in_utc,
    last_entry,
    now,
    read_log,
    standing_answers,
)

CHANGED_BY, SINCE = "changed_by", "since"
"""Keys in an entry of :meth:`LabelLog.change`: its author, and the time of the first answer."""
_TAIL = 1 << 20  # bytes from the end in which the last entry is looked for


class LabelLog:
    """A log of answers: append and read.

    Parameters
    ----------
    path : path
        The file, ``.jsonl``, created with the first answer.
    root : path, optional
        The folder of the recordings, for a new log; by default that of the log. An existing log
        has its own.

    Raises
    ------
    DataError
        When the file is not a label log, or has another root.

    Examples
    --------
    >>> log = LabelLog("answers.jsonl", root="recordings")
    >>> entry = log.append("site0.wav", 0.0, 0.5, "tone", annotator="ada")
    >>> [one.labels for one in log.answers()]
    [('tone',)]
    """

    def __init__(self, path: str | PathLike[str], root: str | PathLike[str] | None = None) -> None:
        self.path = Path(path)
        found = read_log(self.path) if self._is_begun else None
        own = found.root if found is not None else None
        asked = Path(os.path.abspath(root)) if root is not None else None
        if own is not None and asked is not None and not _same(own, asked):
            raise DataError(
                f"{self.path}: its recordings are in {own}, but found {asked}; choose another log"
            )
        self.root = own or asked or Path(os.path.abspath(self.path.parent))

    def __repr__(self) -> str:
        return f"LabelLog({self.path})"

    def _repr_html_(self) -> str:
        from semisonic.core.html import MOST_ROWS, card, facts, problems, table

        answers = self.standing()
        counts = Counter(label for one in answers for label in one.labels or ("",))
        values = {
            "file": self.path,
            "recordings": self.root,
            "answers": len(answers),
            "segments": len({one.box for one in answers}),
            "annotators": ", ".join(sorted({one.annotator for one in answers} - {""})),
        }
        rows = [(label or "none of the classes", n) for label, n in counts.most_common()]
        shown = table(["label", "answers"], rows[:MOST_ROWS], len(rows))
        return card("LabelLog", facts(values), shown, problems(self.problems()))

    def append(
        self,
        file: str | PathLike[str],
        start_time: float = 0.0,
        end_time: float | None = None,
        labels: Iterable[str] | str = (),
        **about: Any,
    ) -> LabelEntry:
        """Add an answer; after the call it is on disk.

        Parameters
        ----------
        file : path
            Relative to the root, or absolute.
        start_time, end_time : float
            Seconds in the recording; by default to its end.
        labels : str or texts
        **about
            ``annotator``, ``presence``, ``note``, ``source``, ``fmin_hz``, ``fmax_hz``, ``more``:
            see :class:`semisonic.data.label_log.LabelEntry`.

        Raises
        ------
        DataError
            When the answer is impossible, or the end of the recording cannot be found.

        Examples
        --------
        ::

            log = LabelLog("labels.jsonl", "recordings")
            log.append("a.wav", 0.0, 5.0, "dog", annotator="ann")
        """
        row = {"file": file, "start_time": start_time, "end_time": end_time, "labels": labels}
        return self.extend([{**row, **about}])[0]

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> tuple[LabelEntry, ...]:
        """Add several answers, all or none: mappings of the arguments of :meth:`append`."""
        return self._write([self._entry(**row) for row in rows])

    def correct(
        self,
        file: str | PathLike[str],
        start_time: float,
        end_time: float,
        labels: Iterable[str] = (),
        *,
        annotator: str = "",
        more: Mapping[str, Any] | None = None,
        **about: Any,
    ) -> LabelEntry:
        """Replace the answers of others about segments; all or none.

        The answers of others are undone, so that opinions do not conflict. The new answer keeps
        the source of the one before, so that a random sample stays random. :meth:`take_back`
        undoes the whole change. The arguments are those of :meth:`append`.
        """
        name = self.name_of(file)
        key = segment_key(name, start_time, end_time)
        before = [one for one in self.answers() if one.key == key]
        back = [_undo(one.id, annotator) for one in before if one.annotator != annotator]
        anew = self._entry(
            name,
            start_time,
            end_time,
            labels,
            **about,
            annotator=annotator,
            source=before[-1].source if before else "",
            more={**(more or {}), CORRECTS: [one.id for one in back]},
        )
        return self._write([*back, anew])[-1]

    def change(
        self,
        changes: Iterable[tuple[LabelEntry, Mapping[str, Any]]],
        *,
        annotator: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> tuple[LabelEntry, ...]:
        """Change answers, all or none; :meth:`take_back` undoes this.

        Parameters
        ----------
        changes : iterable of (LabelEntry, mapping)
            An answer, and the fields to change: ``labels``, ``presence`` and so on.
        annotator : str
            Who changes them. Each answer keeps its annotator, unless a mapping names one.
        more : mapping, optional
            What the new answers have in common.

        Raises
        ------
        DataError
            When a new answer is impossible.
        """
        lines = []
        for old, fields in changes:
            back = _undo(old.id, annotator)
            kept = {name: value for name, value in old.more.items() if name != RENAMED}
            about = {**kept, **(more or {}), CORRECTS: [back.id]}
            about |= {CHANGED_BY: annotator, SINCE: old.more.get(SINCE, old.time)}
            try:
                new = replace(old, id=uuid.uuid4().hex, time=now(), more=about, **fields)
            except ValueError as error:
                raise DataError(f"{self.path}, an answer about {old.file}: {error}") from error
            lines += [back, new]
        return tuple(one for one in self._write(lines) if not one.undoes)

    def take_back(self, entries: Iterable[LabelEntry], *, annotator: str = "") -> None:
        """Undo answers; the answers that they replaced are valid again."""
        ids = [each for one in entries for each in (one.id, *one.more.get(CORRECTS, ()))]
        self._write([_undo(one, annotator) for one in ids])

    def undo(self, entry_id: str, *, annotator: str = "", note: str = "") -> LabelEntry:
        """Undo an entry; undoing an undo restores the answer.

        Parameters
        ----------
        entry_id : str
        annotator, note : str
            Who undoes it, and why.

        Raises
        ------
        DataError
            When no entry has this id.
        """
        if all(entry.id != entry_id for entry in self.entries()):
            raise DataError(f"{self.path}: found no entry '{entry_id}' to undo")
        return self._write([_undo(entry_id, annotator, note)])[0]

    def entries(self) -> tuple[LabelEntry, ...]:
        """All entries in the order of the file, including undone ones."""
        return read_log(self.path).entries if self._is_begun else ()

    def answers(self) -> list[LabelEntry]:
        """The answers that nobody undid, oldest first."""
        return current_answers(self.entries())

    def standing(self) -> list[LabelEntry]:
        """The valid answers, oldest first: the last of each annotator about a segment."""
        return standing_answers(self.entries())

    def renames(self) -> list[ClassRename]:
        """The renamed classes, oldest first, without renames that were undone."""
        return class_renames(self.entries())

    def problems(self) -> tuple[tuple[str, str], ...]:
        """Lines that are not entries, with place and reason."""
        return read_log(self.path).problems if self._is_begun else ()

    def current(self) -> ResolvedLabels:
        """The current labels."""
        return ResolvedLabels(self.root, self.entries(), self.path.stem)

    def name_of(self, path: str | PathLike[str]) -> str:
        """The name of a recording in the log: relative below the root, otherwise absolute."""
        whole = Path(os.path.abspath(self.root / path))
        root = Path(os.path.abspath(self.root))
        return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()

    @property
    def _is_begun(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def _entry(
        self,
        file: str | PathLike[str],
        start_time: float = 0.0,
        end_time: float | None = None,
        labels: Iterable[str] | str = (),
        more: Mapping[str, Any] | None = None,
        **about: Any,
    ) -> LabelEntry:
        name = self.name_of(file)
        end = probe(self.root / name).duration if end_time is None else float(end_time)
        several = (labels,) if isinstance(labels, str) else labels
        names = tuple(dict.fromkeys(text.strip() for text in several))
        try:
            return LabelEntry(
                name,
                float(start_time),
                end,
                uuid.uuid4().hex,
                now(),
                labels=names,
                more=dict(more or {}),
                **about,
            )
        except ValueError as error:
            raise DataError(f"{self.path}, an answer about {name}: {error}") from error

    def _write(self, entries: list[LabelEntry]) -> tuple[LabelEntry, ...]:
        """Append entries in one write, with times after the existing ones."""
        if not entries:
            return ()
        with (
            exclusive(self.path.with_name(f".{self.path.name}.lock")),
            open(self.path, "a+b") as stream,
        ):
            begun, newest = _mend(stream, self.path)
            written = []
            for entry in entries:
                newest = max(entry.time, _after(newest)) if newest else entry.time
                written.append(replace(entry, time=newest))
            lines = [*([] if begun else [self._header()]), *(entry.line() for entry in written)]
            text = "".join(line + "\n" for line in lines)
            stream.write(text.encode("utf-8", "backslashreplace"))
            stream.flush()
            sync(stream.fileno())
        return tuple(written)

    def _header(self) -> str:
        here = os.path.abspath(self.path.parent)
        root = self.root.as_posix()
        with suppress(ValueError):  # on another drive
            root = path_from(self.root, here)
        return json.dumps({"log": HEADER, "format": FORMAT, "root": root}, ensure_ascii=False)


def _mend(stream: IO[bytes], path: Path) -> tuple[bool, str]:
    """Cut off an incomplete last line; whether the log exists, and the time of its last entry."""
    size = stream.seek(0, os.SEEK_END)
    if not size:
        return False, ""
    stream.seek(max(0, size - _TAIL))
    tail = stream.read()
    newest = last_entry(tail)
    if not tail.endswith(b"\n"):
        torn = tail[tail.rfind(b"\n") + 1 :]
        if last_entry(torn) is None:
            stream.truncate(size - len(torn))
            return size > len(torn), newest.time if newest else ""
        stream.write(b"\n")
    return True, newest.time if newest else ""


def _after(time: str) -> str:
    """The next representable time."""
    return in_utc((datetime.fromisoformat(time) + timedelta(microseconds=1)).isoformat())


def _undo(entry_id: str, annotator: str, note: str = "") -> LabelEntry:
    """An entry that undoes another."""
    return LabelEntry("", 0.0, 0.0, uuid.uuid4().hex, now(), annotator, note=note, undoes=entry_id)


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
