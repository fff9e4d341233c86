"""A labelling session: whose turn is which clip, what people answered, and learning from it."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError
from semisonic.core.temporary import temporary_folder
from semisonic.data.datasets.layout import TEXT_SUFFIXES
from semisonic.data.events import POSITIVE, Events, SegmentKey, segment_key
from semisonic.data.formats.label_files import collect_labels
from semisonic.data.label_log import MOST_LABELS, LabelEntry, Segment
from semisonic.labeling.imported import ImportedLabels, import_labels
from semisonic.labeling.label_log import CHANGED_BY, SINCE
from semisonic.labeling.options import MIX
from semisonic.labeling.probe import LabelIssue
from semisonic.labeling.project import Project
from semisonic.labeling.queue import UNCERTAIN_REASON, Suggestion, place_of
from semisonic.labeling.suggest import AllAnswered
from semisonic.web.learning import Learning
from semisonic.web.wire import FileName

# An answer as it comes from the page.


Name = Annotated[str, Field(max_length=100)]
Annotator = Annotated[str, Field(min_length=1, max_length=100)]
"""A name, or what the browser of somebody without one calls itself: else two are one."""
Presence = Literal["positive", "negative", "uncertain"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Hertz = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SegmentRequest(BaseModel):
    """A segment of a recording, as the log names it."""

    file: FileName
    start_time: Seconds
    end_time: Seconds


class AnswerRequest(SegmentRequest):
    """What somebody says of a segment.

    Attributes
    ----------
    guess, guess_score : str, float
        The model's best guess when the question was asked; empty without a model.
    fmin_hz, fmax_hz : float, optional
        Limits in frequency, where some were drawn.
    asked : (float, float), optional
        The segment that was asked about, where the answer is about a part of it.
    review : {"", "kept", "changed"}
        What became of an answer that looked wrong.
    """

    labels: Annotated[tuple[Name, ...], Field(max_length=MOST_LABELS)]
    presence: Presence
    annotator: Annotator
    note: Annotated[str, Field(max_length=2000)] = ""
    source: Name = ""
    fmin_hz: Hertz | None = None
    fmax_hz: Hertz | None = None
    guess: Name = ""
    guess_score: Annotated[float, Field(ge=0, le=1)] = 0.0
    asked: tuple[float, float] | None = None
    review: Literal["", "kept", "changed"] = ""

    def row(self) -> dict[str, Any]:
        """What the log takes of it."""
        return self.model_dump(exclude={"guess", "guess_score", "asked", "review"})


class ChangeRequest(BaseModel):
    """What an answer is changed to."""

    id: Name
    labels: Annotated[tuple[Name, ...], Field(max_length=MOST_LABELS)]
    presence: Presence
    annotator: Annotator


class RenameRequest(BaseModel):
    """The name of a class, and the one that it gets."""

    name: Name
    to: Name
    annotator: Annotator
    merge: bool = False


class LookRequest(BaseModel):
    """How a class is shown: a colour as ``#4aa19f`` and a key, or "" for those of its place."""

    name: Name
    colour: Annotated[str, Field(pattern="^(#[0-9a-f]{6})?$")] = ""
    key: Annotated[str, Field(pattern=r"^[^\W_]?$")] = ""


# Where people listen and answer: whose turn is which segment, and what they said.


HELD_SECONDS = 300.0
"""So long a segment is kept for the one who was given it."""
_BATCH = 20
_CLOSE = 1e-3
TYPICAL_SHOWN = 4
"""Sounds of a group that are listened to."""
REVIEW = "review"
"""In an entry: what became of an answer that looked wrong, "kept" or "changed"."""
BATCH = "batch"
"""In an entry: what answers that were given at once have in common."""
ASKED = "asked"
"""In an entry about a part: start and end of the segment that was asked about."""


class LabelingSession:
    """The questions and answers of a project; several people may sit at it at once.

    Parameters
    ----------
    project : Project
    learned : callable
        Is given each new classifier's file.

    Attributes
    ----------
    judging : float or None
        Share of the answers that are judged, while suspicious ones are looked for.
    """

    def __init__(self, project: Project, learned: Callable[[Path], None]) -> None:
        self.project, self.learning = project, Learning(project, learned)
        self.judging: float | None = None
        self._lock = threading.RLock()
        self._queue: list[Suggestion] = []
        self._strategy = MIX
        self._held: dict[SegmentKey, tuple[str, float]] = {}
        self._skipped: dict[str, dict[SegmentKey, None]] = {}

    # What is asked.

    def next(self, annotator: str, strategy: str = MIX) -> Suggestion | None:
        """What somebody is to listen to now: the same until it is answered; None if all is done.

        A segment that another one was given in the last minutes is not given twice. What somebody
        skipped comes again when nothing else is left for them, the first one first.
        """
        with self._lock:
            if strategy != self._strategy:
                self._queue, self._strategy = [], strategy
            found = self._free(annotator)
            if found is None:
                n = _BATCH + len(self._held) + len(self._skipped.get(annotator, ()))
                try:
                    self._queue = list(self.project.suggest(n, strategy=strategy))
                except AllAnswered:
                    return None
                found = self._free(annotator) or self._free(annotator, is_again=True)
            if found is not None:
                self._held[found.key] = annotator, time.monotonic()
            return found

    def _free(self, annotator: str, *, is_again: bool = False) -> Suggestion | None:
        """What somebody may be given; of what they skipped only if ``is_again``."""
        answered, now = self._answered(), time.monotonic()
        self._held = {k: v for k, v in self._held.items() if now - v[1] < HELD_SECONDS}
        self._queue = [one for one in self._queue if one.key not in answered]
        of_others = {key for key, (who, _) in self._held.items() if who != annotator}
        skipped = list(self._skipped.get(annotator, ()))
        free = [one for one in self._queue if one.key not in of_others]
        new = [one for one in free if one.key not in skipped]
        if is_again:
            again = (one for one in free if one.key in skipped)
            new += sorted(again, key=lambda one: skipped.index(one.key))
        return next((one for one in new if one.key in self._held), next(iter(new), None))

    def soon(self) -> Suggestion | None:
        """What will probably be asked next."""
        with self._lock:
            return next((one for one in self._queue if one.key not in self._held), None)

    def refresh(self) -> None:
        """Ask anew: there is another classifier.

        What somebody listens to stays, with its predictions, unless the one before was not sure.
        """
        with self._lock:
            pool, rows = self.project.pool(), self._rows
            self._queue = [
                replace(one, predictions=pool.predictions(rows[one.key]))
                for one in self._queue
                if one.key in self._held and one.key in rows and one.why != UNCERTAIN_REASON
            ]

    def ask_similar(self, file: str, start: float, end: float, n: int = 8) -> int:
        """Ask next about segments that sound like one; how many there are."""
        self.require(file)
        index, answered, pool = self.project.index, self._answered(), self.project.pool()
        rows, clips = np.flatnonzero(self._files == file), index.clips
        shared = np.minimum(clips.end_time[rows], end) - np.maximum(clips.start_time[rows], start)
        found = []
        for hit in index.search(int(rows[shared.argmax()]), n + len(answered), all_windows=True):
            predictions = pool.predictions(hit.row)
            one = Suggestion.of_row(clips, hit.row, "similar", predictions=predictions)
            one = replace(one, file=self._files[hit.row])
            if one.key not in answered:
                found.append(one)
        with self._lock:
            self._queue = found[:n] + self._queue
        return len(found[:n])

    def skip(self, annotator: str, file: str, start: float, end: float) -> None:
        """Ask somebody about a segment later; nothing is written down, as it is no answer."""
        self.require(file)
        key = segment_key(file, start, end)
        with self._lock:
            own = self._skipped.setdefault(annotator, {})
            own.pop(key, None)
            own[key] = None  # to the end
            self._held.pop(key, None)

    # What is answered.

    def require(self, file: str) -> None:
        """See that a recording is one of the project.

        Raises
        ------
        DataError
            When it is not: the page may read no other.
        """
        if file not in self._ends:
            raise DataError(f"'{file}' is not among the recordings of the project")

    def require_fit(self, several: Sequence[AnswerRequest]) -> None:
        """See that answers are about recordings of the project, within them, and fit its labels.

        Raises
        ------
        DataError
            When one is not or does not.
        """
        check = self.project.label_check()
        for said in several:
            check([label.strip() for label in said.labels])
            self.require_inside(said)

    def require_inside(self, said: SegmentRequest | Segment) -> None:
        """See that a segment is one of a recording of the project, and within it.

        Raises
        ------
        DataError
            When it is not.
        """
        self.require(said.file)
        end = self._ends[said.file]
        if said.end_time > end + _CLOSE:  # a rest too short for a segment may follow the last one
            with contextlib.suppress(AudioError):
                end = max(end, probe(self.project.log.root / said.file).duration)
        if said.end_time > end + _CLOSE:
            raise DataError(
                f"found an answer about {said.start_time:g} to {said.end_time:g} s, "
                f"but the recording ends at {end:g} s"
            )

    def answer(self, said: AnswerRequest) -> LabelEntry:
        """Write an answer down; when this returns it is on the disk.

        Raises
        ------
        DataError
            When it does not fit: see :meth:`require_fit`.
        """
        self.require_fit([said])
        log, row = self.project.log, said.row()
        if said.review == "changed":  # it stands in place of what others said
            del row["source"]
            return log.correct(**row, more={REVIEW: said.review})
        if said.review:
            return log.append(**row, more={REVIEW: said.review})
        entry = log.append(**row, more={**self._guess(said), **_asked(said)})
        self._done(said)
        return entry

    def answer_all(self, several: Sequence[AnswerRequest]) -> None:
        """Write several answers down, all or none; one undo takes them back.

        Raises
        ------
        DataError
            When one of them does not fit: see :meth:`require_fit`.
        """
        self.require_fit(several)
        more = {BATCH: uuid.uuid4().hex}
        self.project.log.extend({**said.row(), "more": more} for said in several)
        for said in several:
            self._done(said)

    def _guess(self, said: AnswerRequest) -> dict[str, Any]:
        """The model's best guess when the question was asked; also one that was not shown."""
        guess = (said.guess, said.guess_score) if said.guess else None
        if guess is None:
            key = segment_key(said.file, *(said.asked or (said.start_time, said.end_time)))
            with self._lock:
                one = next((one for one in self._queue if one.key == key), None)
            guess = next(iter(one.predictions if one else ()), None)
        return {} if guess is None else {"guess": guess[0], "guess_score": guess[1]}

    def _done(self, said: AnswerRequest) -> None:
        """Ask about a segment no more, nor about the one of which it is a part."""
        keys = {segment_key(said.file, said.start_time, said.end_time)}
        if said.asked is not None:
            keys.add(segment_key(said.file, *said.asked))
        with self._lock:
            for key in keys:
                self._held.pop(key, None)
                for skipped in self._skipped.values():
                    skipped.pop(key, None)
            self._queue = [one for one in self._queue if one.key not in keys]

    def undo(self, annotator: str) -> LabelEntry:
        """Take back the last answer of somebody.

        Raises
        ------
        DataError
            When there is none.
        """
        log = self.project.log
        mine = [
            one for one in log.answers() if one.more.get(CHANGED_BY, one.annotator) == annotator
        ]
        if not mine:
            raise DataError("there is no answer of yours to take back")
        last = mine[-1]
        batch = last.more.get(BATCH)
        together = [one for one in mine if batch and one.more.get(BATCH) == batch]
        log.take_back(together or [last], annotator=annotator)
        if REVIEW in last.more:
            return last  # it is not asked about again, but is suspicious again
        why = last.source.rpartition(":")[2] or "again"
        start, end = last.more.get(ASKED, (last.start_time, last.end_time))
        again = Suggestion(last.file, start, end, why, predictions=_guess_of(last))
        if self.parts(again, annotator):
            return last  # others of its parts have an answer
        with self._lock:
            self._queue.insert(0, again)
            self._held = {key: who for key, who in self._held.items() if who[0] != annotator}
        return last

    # What is shown.

    def parts(self, of: Segment, annotator: str) -> list[LabelEntry]:
        """What somebody answered about parts of a segment."""
        return [
            one
            for one in self.project.log.standing()
            if (one.file, one.annotator) == (of.file, annotator)
            and one.more.get(ASKED) == [of.start_time, of.end_time]
        ]

    def label_issues(self) -> list[LabelIssue]:
        """Answers that look wrong and that nobody has looked at since, the worst first."""

        def tell(n: int, total: int) -> None:
            self.judging = n / total

        self.judging = 0.0
        try:
            found = self.project.label_issues(tell=tell)
        finally:
            self.judging = None
        seen = {one.key for one in self.project.log.answers() if REVIEW in one.more}
        return [one for one in found if one.key not in seen]

    def groups(self) -> list[dict[str, Any]]:
        """Groups that sound alike, the largest first, and what was said of those to listen to."""
        return [
            {
                "number": found.number,
                "size": found.size,
                "answers": found.answers,
                "sounds": self._said_of(found.typical),
            }
            for found in self.project.clusters(TYPICAL_SHOWN)
        ]

    def noise_like(self) -> list[dict[str, Any]]:
        """Sounds in which there may be nothing, none of them shown in a group as well."""
        groups = self.project.clusters(TYPICAL_SHOWN)
        shown = {one.key for group in groups for one in group.typical}
        found = self.project.noise_like(TYPICAL_SHOWN + len(shown))
        return self._said_of([one for one in found if one.key not in shown][:TYPICAL_SHOWN])

    def _said_of(self, sounds: Sequence[Suggestion]) -> list[dict[str, Any]]:
        said = {one.key: one.labels for one in self.project.log.answers()}
        return [
            {**place_of(one), "source": one.source, "said": said.get(one.key)} for one in sounds
        ]

    def split(self, number: int) -> None:
        """Part a group in two; see :meth:`semisonic.labeling.project.Project.split_cluster`."""
        with self._lock:
            self.project.split_cluster(number)

    def classes(self) -> list[str]:
        """Labels in the order in which they were first given, so that keys keep their meaning."""
        heard = [one for one in self.project.log.standing() if one.presence == POSITIVE]
        heard.sort(key=_since)
        return list(dict.fromkeys(label for one in heard for label in one.labels))

    def looks(self) -> list[dict[str, Any]]:
        """The classes as :meth:`classes` orders them: name, answers, colour and key."""
        n = Counter(label for one in self.project.log.standing() for label in one.labels)
        looks = self.project.class_looks
        none = {"colour": "", "key": ""}
        names = self.classes()
        names += sorted(n.keys() - {*names})  # only said not to be heard
        return [{"name": name, "n": n[name], **none, **looks.get(name, {})} for name in names]

    def list_answers(self) -> list[dict[str, Any]]:
        """All answers that hold, the newest first, and whether annotators differ about them."""
        log, fields = (
            self.project.log,
            ("id", "labels", "presence", "annotator", "note", "source", "fmin_hz", "fmax_hz"),
        )
        differ = {one.box for one in log.current().disagreements}
        return [
            {
                **place_of(one),
                **{name: getattr(one, name) for name in fields},
                "time": _since(one),
                "differs": one.box in differ,
            }
            for one in reversed(log.standing())
        ]

    def said(self) -> dict[SegmentKey, dict[str, Any]]:
        """The last answer about each segment: its labels and presence."""
        return {
            one.key: {"labels": one.labels, "presence": one.presence}
            for one in self.project.log.standing()
        }

    def events(self) -> Events:
        """The labels that hold, for other programs; where annotators differ there is none."""
        return collect_labels(self.project.log.path, root=self.project.log.root).events

    def change(self, said: ChangeRequest) -> LabelEntry:
        """Put an answer in place of another one; it is that of who changes it.

        Raises
        ------
        DataError
            When there is no such answer, or the new one will not do.
        """
        log = self.project.log
        old = next((one for one in log.answers() if one.id == said.id), None)
        if old is None:
            raise DataError("this answer is not there any more; load the list again")
        labels = tuple(dict.fromkeys(label.strip() for label in said.labels))
        self.project.label_check()(labels)
        fields = {"labels": labels, "presence": said.presence, "annotator": said.annotator}
        (entry,) = log.change([(old, fields)], annotator=said.annotator)
        return entry

    def import_labels(
        self, name: str, content: bytes, annotator: str, respell: bool = False
    ) -> ImportedLabels:
        """Take the labels of a file of another program; one undo takes them back.

        Parameters
        ----------
        name : str
            Of the file; a label track is of the recording that has its name.
        content : bytes
        annotator : str
            Whose answers they are.
        respell : bool
            See :func:`semisonic.labeling.imported.import_labels`.

        Raises
        ------
        DataError
            When the file cannot be read at all.
        """
        own = PurePath(name.replace("\\", "/")).name
        if not own.isprintable() or PurePath(own).suffix.lower() not in TEXT_SUFFIXES:
            expected = ", ".join(sorted(TEXT_SUFFIXES))
            raise DataError(f"found '{own}', expected a label file that ends with {expected}")
        with temporary_folder() as folder:
            path = folder / own
            path.write_bytes(content)
            try:
                found = import_labels(
                    self.project,
                    path,
                    annotator=annotator,
                    respell=respell,
                    require_inside=self.require_inside,
                    more={BATCH: uuid.uuid4().hex},
                )
            except DataError as error:
                raise DataError(str(error).replace(f"{folder}{os.sep}", "")) from error
        here = f"{folder}{os.sep}"
        told = ((place.replace(here, ""), why.replace(here, "")) for place, why in found.problems)
        return replace(found, problems=tuple(told))

    def rename_class(self, said: RenameRequest) -> int:
        """Rename a class, or merge it with another; one undo takes it back. How many answers.

        Raises
        ------
        DataError
            See :meth:`semisonic.labeling.project.Project.rename_class`.
        """
        return self.project.rename_class(
            said.name,
            said.to,
            merge=said.merge,
            annotator=said.annotator,
            more={BATCH: uuid.uuid4().hex},
        )

    def wrong(self) -> list[dict[str, Any]]:
        """Answers that the model had guessed otherwise before it learned them, the surest first.

        A model could not guess a class that had no answer yet when it learned.
        """
        standing = [one for one in self.project.log.standing() if one.presence == POSITIVE]
        first: dict[str, str] = {}
        for one in sorted(standing, key=_since):
            for label in one.labels:
                first.setdefault(label, _since(one))
        learned = sorted(self.project.history["time"])

        def is_known(one: LabelEntry) -> bool:
            before = [time for time in learned if time < _since(one)]
            return not before or any(first[label] < before[-1] for label in one.labels)

        found = [
            {**place_of(one), "labels": one.labels, "guess": label, "score": score}
            for one in standing
            for label, score in _guess_of(one)
            if label not in one.labels and is_known(one)
        ]
        return sorted(found, key=lambda row: row["score"], reverse=True)

    def _answered(self) -> set[SegmentKey]:
        return {one.key for one in self.project.log.answers()}

    @functools.cached_property
    def _files(self) -> NDArray[np.object_]:
        """How the log names the recording of each row of the index."""
        clips, log = self.project.index.clips, self.project.log
        names = {file: log.name_of(clips.root / file) for file in set(clips.file.tolist())}
        return np.array([names[file] for file in clips.file.tolist()], object)

    @functools.cached_property
    def _rows(self) -> dict[SegmentKey, int]:
        """The row of the index of each segment."""
        clips = self.project.index.clips
        places = zip(self._files, clips.start_time.tolist(), clips.end_time.tolist(), strict=True)
        return {segment_key(*place): row for row, place in enumerate(places)}

    @functools.cached_property
    def _ends(self) -> dict[str, float]:
        """Where the last segment of each recording ends, in seconds."""
        ends: dict[str, float] = {}
        for file, end in zip(self._files, self.project.index.clips.end_time.tolist(), strict=True):
            ends[file] = max(end, ends.get(file, 0.0))
        return ends


def _since(entry: LabelEntry) -> str:
    """When a segment was answered, whatever became of the answer later."""
    return str(entry.more.get(SINCE, entry.time))


def _asked(said: AnswerRequest) -> dict[str, Any]:
    """The segment that was asked about, where the answer is about a part of it."""
    asked = said.asked
    is_part = asked is not None and asked != (said.start_time, said.end_time)
    return {ASKED: asked} if is_part else {}


def _guess_of(entry: LabelEntry) -> tuple[tuple[str, float], ...]:
    guess, score = entry.more.get("guess"), entry.more.get("guess_score")
    is_known = isinstance(guess, str) and isinstance(score, int | float)
    return ((str(guess), float(str(score))),) if is_known else ()
