"""A labelling session: who is asked about which segment, the answers, and learning from them."""

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
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError
from semisonic.core.temporary import temporary_folder
from semisonic.data.datasets.layout import TEXT_SUFFIXES
from semisonic.data.events import POSITIVE, Events, SegmentKey, segment_key
from semisonic.data.formats.label_files import collect_labels
from semisonic.data.label_log import LabelEntry, Segment, present_names
from semisonic.labeling.imported import ImportedLabels, import_labels
from semisonic.labeling.label_log import CHANGED_BY, SINCE
from semisonic.labeling.options import MIX
from semisonic.labeling.probe import LabelIssue
from semisonic.labeling.project import Project
from semisonic.labeling.queue import UNCERTAIN_REASON, Suggestion, place_of
from semisonic.labeling.rounds import random_sample
from semisonic.labeling.suggest import AllAnswered
from semisonic.web.label_requests import (
    AnswerRequest,
    ChangeRequest,
    RenameRequest,
    SegmentRequest,
)
from semisonic.web.learning import Learning

HELD_SECONDS = 300.0
"""How long a segment is reserved for the person who was asked."""
_BATCH = 20
_CLOSE = 1e-3
TYPICAL_SHOWN = 4
"""Number of sounds of a group to listen to."""
DIGITS = "123456789"
"""Keys of classes that have none of their own."""
REVIEW = "review"
"""In an entry: what became of an answer that looked wrong, "kept" or "changed"."""
BATCH = "batch"
"""In an entry: an id that answers given at once have in common."""
ASKED = "asked"
"""In an entry about a part: start and end of the segment that was asked about."""
_Answer = TypeVar("_Answer", AnswerRequest, ChangeRequest)


class LabelingSession:
    """The questions and answers of a project; several people may answer at once.

    Parameters
    ----------
    project : Project
    learned : callable
        Called with the file of each new classifier.

    Attributes
    ----------
    judging : float or None
        Share of the answers that are checked, during a search for suspicious ones.
    """

    def __init__(self, project: Project, learned: Callable[[Path], None]) -> None:
        self.project, self.learning = project, Learning(project, learned)
        self.judging: float | None = None
        self._lock = threading.RLock()
        self._queue: list[Suggestion] = []
        self._strategy = MIX
        self._held: dict[SegmentKey, tuple[str, float]] = {}
        self._skipped: dict[str, dict[SegmentKey, None]] = {}
        self._digits: dict[str, str] = {}

    # What is asked.

    def next(self, annotator: str, strategy: str = MIX) -> Suggestion | None:
        """The segment to ask an annotator about: the same until it is answered; None if all are.

        Segments that others were asked about in the last minutes are left to them. Skipped
        segments come again when no other is left, in the order in which they were skipped.
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
        """A segment that an annotator may be asked about; a skipped one only if ``is_again``."""
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
        """The segment that will probably be asked about next."""
        with self._lock:
            return next((one for one in self._queue if one.key not in self._held), None)

    def refresh(self) -> None:
        """Make a new queue, because there is a new classifier.

        Segments that somebody is listening to stay, with new predictions, unless they were asked
        about because the old classifier was unsure.
        """
        with self._lock:
            pool, rows = self.project.pool(), self._rows
            self._queue = [
                replace(one, predictions=pool.predictions(rows[one.key]))
                for one in self._queue
                if one.key in self._held and one.key in rows and one.why != UNCERTAIN_REASON
            ]

    def ask_similar(self, file: str, start: float, end: float, n: int = 8) -> int:
        """Ask next about segments that sound like this one; returns their number."""
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
        """Ask somebody about a segment later. This is no answer, so the log gets no entry."""
        self.require(file)
        key = segment_key(file, start, end)
        with self._lock:
            own = self._skipped.setdefault(annotator, {})
            own.pop(key, None)
            own[key] = None  # to the end
            self._held.pop(key, None)

    # What is answered.

    def require(self, file: str) -> None:
        """Check that a recording is part of the project.

        Raises
        ------
        DataError
            When it is not: the page may read no other recordings.
        """
        if file not in self._ends:
            raise DataError(f"'{file}' is not a recording of the project")

    def require_fit(self, several: Sequence[AnswerRequest]) -> None:
        """Check that answers are about segments of the project's recordings and fit its labels.

        Raises
        ------
        DataError
            When one is not, or does not.
        """
        check = self.project.label_check()
        for said in several:
            check([label.strip() for label in said.labels])
            self.require_inside(said)

    def require_inside(self, said: SegmentRequest | Segment) -> None:
        """Check that a segment is within a recording of the project.

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
        """Log an answer; it is on the disk when this returns.

        Raises
        ------
        DataError
            When it does not fit: see :meth:`require_fit`.
        """
        (said,) = self._with_present_names([said])
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

    def answer_all(self, several: Sequence[AnswerRequest]) -> tuple[LabelEntry, ...]:
        """Log several answers, all or none; one undo removes them.

        Raises
        ------
        DataError
            When one of them does not fit: see :meth:`require_fit`.
        """
        several = self._with_present_names(several)
        self.require_fit(several)
        more = {BATCH: uuid.uuid4().hex}
        entries = self.project.log.extend({**said.row(), "more": more} for said in several)
        for said in several:
            self._done(said)
        return entries

    def names_of(self) -> str:
        """The time of the newest entry of the log; a page sends it back with answers."""
        return max((one.time for one in self.project.log.entries()), default="")

    def _with_present_names(self, several: Sequence[_Answer]) -> list[_Answer]:
        """Answers with the new names of classes that were renamed after their page was loaded."""
        renames = self.project.log.renames()
        if not renames:
            return list(several)
        classes = set(self.project.classes)

        def present(label: str, names_of: str) -> str:
            is_known = not names_of and label in classes
            return label if is_known else present_names([label], renames, names_of)[0]

        names = (tuple(present(n.strip(), one.names_of) for n in one.labels) for one in several)
        pairs = zip(several, names, strict=True)
        return [one.model_copy(update={"labels": its}) for one, its in pairs]

    def _guess(self, said: AnswerRequest) -> dict[str, Any]:
        """The model's best prediction when the question was asked, even if it was hidden."""
        guess = (said.guess, said.guess_score) if said.guess else None
        if guess is None:
            key = segment_key(said.file, *(said.asked or (said.start_time, said.end_time)))
            with self._lock:
                one = next((one for one in self._queue if one.key == key), None)
            guess = next(iter(one.predictions if one else ()), None)
        return {} if guess is None else {"guess": guess[0], "guess_score": guess[1]}

    def _done(self, said: AnswerRequest) -> None:
        """Ask no more about a segment, nor about the segment that contains it."""
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
        """Undo the last answer of an annotator.

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
            raise DataError("you have no answer to undo")
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
        """The answers of an annotator about parts of a segment."""
        return [
            one
            for one in self.project.log.standing()
            if (one.file, one.annotator) == (of.file, annotator)
            and one.more.get(ASKED) == [of.start_time, of.end_time]
        ]

    def label_issues(self) -> list[LabelIssue]:
        """Answers that look wrong and were not reviewed, the worst first."""

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
        """Groups of similar segments, the largest first, with sounds to play and their answers."""
        return [
            {
                "number": one.number,
                "size": one.size,
                "answers": one.answers,
                "is_noise": one.is_noise,
                "sounds": self._said_of(one.typical),
            }
            for one in self.project.clusters(TYPICAL_SHOWN)
        ]

    def n_random(self) -> int:
        """Number of answers that measure the accuracy: those about a random sample."""
        log = self.project.log
        return len(random_sample(log.answers(), log.root, self.project.seed))

    def noise_like(self) -> list[dict[str, Any]]:
        """Sounds that may have none of the classes, without those that a group shows."""
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
        """Split a group in two; see :meth:`semisonic.labeling.project.Project.split_cluster`."""
        with self._lock:
            self.project.split_cluster(number)

    def classes(self) -> list[str]:
        """Classes in the order in which they were first named, so that colours stay."""
        heard = [one for one in self.project.log.standing() if one.presence == POSITIVE]
        heard.sort(key=_since)
        return list(dict.fromkeys(label for one in heard for label in one.labels))

    def class_keys(self) -> dict[str, str]:
        """The key of each class that has one: its own, or a digit.

        Digits go to the most used classes when the project is opened, and to new ones while there
        are any left. They stay afterwards, so that a key means the same while people label.
        """
        names, looks = self.classes(), self.project.class_looks
        own = {name: key for name in names if (key := looks.get(name, {}).get("key"))}
        with self._lock:
            kept = {
                name: key
                for name, key in self._digits.items()
                if name in names and name not in own and key not in own.values()
            }
            free = [key for key in DIGITS if key not in {*kept.values(), *own.values()}]
            rest = [name for name in names if name not in kept and name not in own]
            n = Counter(label for one in self.project.log.standing() for label in one.labels)
            chosen = sorted(rest, key=lambda name: -n[name])[: len(free)]
            self._digits = {**kept, **dict(zip(sorted(chosen, key=rest.index), free, strict=False))}
            return {**self._digits, **own}

    def looks(self) -> list[dict[str, Any]]:
        """Name, answers, colour and key of each class, in the order of :meth:`classes`."""
        n = Counter(label for one in self.project.log.standing() for label in one.labels)
        looks = self.project.class_looks
        none = {"colour": "", "key": ""}
        names = self.classes()
        names += sorted(n.keys() - {*names})  # only said not to be heard
        return [{"name": name, "n": n[name], **none, **looks.get(name, {})} for name in names]

    def list_answers(self) -> list[dict[str, Any]]:
        """All current answers, the newest first, and whether annotators disagree about them."""
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
        """The current labels, for other programs; none where annotators disagree."""
        return collect_labels(self.project.log.path, root=self.project.log.root).events

    def change(self, said: ChangeRequest) -> LabelEntry:
        """Replace an answer; the new one belongs to the annotator who changes it.

        Raises
        ------
        DataError
            When the answer does not exist, or the labels are not allowed.
        """
        log = self.project.log
        old = next((one for one in log.answers() if one.id == said.id), None)
        if old is None:
            raise DataError("this answer does not exist any more; reload the page")
        (said,) = self._with_present_names([said])
        labels = tuple(dict.fromkeys(label.strip() for label in said.labels))
        self.project.label_check()(labels)
        fields = {"labels": labels, "presence": said.presence, "annotator": said.annotator}
        (entry,) = log.change([(old, fields)], annotator=said.annotator)
        return entry

    def import_labels(
        self, name: str, content: bytes, annotator: str, respell: bool = False
    ) -> ImportedLabels:
        """Import the labels of a file of another program; one undo removes them.

        Parameters
        ----------
        name : str
            Name of the file; a label track belongs to the recording of the same name.
        content : bytes
        annotator : str
            Whose answers they become.
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
            raise DataError(f"found '{own}', expected a label file whose name ends with {expected}")
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
        """Rename a class or merge it with another, and count the changed answers.

        One undo reverts it.

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
        """Answers that the model predicted wrongly before it learned them, the surest first.

        Answers are left out if their class had no answer when the model learned.
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
        """The recording of each row of the index, as the log names it."""
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
    """When a segment was first answered, even if the answer was changed later."""
    return str(entry.more.get(SINCE, entry.time))


def _asked(said: AnswerRequest) -> dict[str, Any]:
    """The segment that was asked about, if the answer is about a part of it."""
    asked = said.asked
    is_part = asked is not None and asked != (said.start_time, said.end_time)
    return {ASKED: asked} if is_part else {}


def _guess_of(entry: LabelEntry) -> tuple[tuple[str, float], ...]:
    guess, score = entry.more.get("guess"), entry.more.get("guess_score")
    is_known = isinstance(guess, str) and isinstance(score, int | float)
    return ((str(guess), float(str(score))),) if is_known else ()
