"""A labelling session: whose turn is which clip, what people answered, and learning from it."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError, SemisonicError
from semisonic.core.files import json_ready
from semisonic.data.events import POSITIVE, SegmentKey, segment_key
from semisonic.data.label_log import MOST_LABELS, LabelEntry, Segment
from semisonic.labeling.label_log import CORRECTS
from semisonic.labeling.options import MIX, STRATEGIES
from semisonic.labeling.probe import LabelIssue
from semisonic.labeling.project import Project
from semisonic.labeling.queue import Suggestion
from semisonic.labeling.rounds import HistoryRow
from semisonic.labeling.suggest import AllAnswered
from semisonic.web.background import in_words
from semisonic.web.wire import FileName

if TYPE_CHECKING:
    from semisonic.web.state import AppState

# An answer as it comes from the page.


Name = Annotated[str, Field(max_length=100)]
Annotator = Annotated[str, Field(min_length=1, max_length=100)]
"""A name, or what the browser of somebody without one calls itself: else two are one."""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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
    asked : (float, float), optional
        The segment that was asked about, where the answer is about a part of it.
    review : {"", "kept", "changed"}
        What became of an answer that looked wrong.
    """

    labels: Annotated[tuple[Name, ...], Field(max_length=MOST_LABELS)]
    presence: Literal["positive", "negative", "uncertain"]
    annotator: Annotator
    note: Annotated[str, Field(max_length=2000)] = ""
    source: Name = ""
    guess: Name = ""
    guess_score: Annotated[float, Field(ge=0, le=1)] = 0.0
    asked: tuple[float, float] | None = None
    review: Literal["", "kept", "changed"] = ""

    def row(self) -> dict[str, Any]:
        """What the log takes of it."""
        return self.model_dump(exclude={"guess", "guess_score", "asked", "review"})


# Where people listen and answer: whose turn is which segment, and what they said.


HELD_SECONDS = 300.0
"""So long a segment is kept for the one who was given it."""
_BATCH = 20
_CLOSE = 1e-3
SIMILAR = "similar"
TYPICAL_SHOWN = 4
"""Sounds of a group that are listened to."""
REVIEW = "review"
"""In an entry: what became of an answer that looked wrong, "kept" or "changed"."""
BATCH = "batch"
"""In an entry: what answers that were given at once have in common."""


class LabelingSession:
    """The questions and answers of a project; several people may sit at it at once.

    Parameters
    ----------
    project : Project
    learned : callable
        Is given each new classifier's file.
    """

    def __init__(self, project: Project, learned: Callable[[Path], None]) -> None:
        self.project, self.learning = project, Learning(project, learned)
        self._lock = threading.RLock()
        self._queue: list[Suggestion] = []
        self._held: dict[SegmentKey, tuple[str, float]] = {}
        self._strategy = MIX
        self._skipped: dict[str, dict[SegmentKey, None]] = {}
        self.judging: float | None = None
        """Share of the answers that are judged, while suspicious ones are looked for."""

    def require(self, file: str) -> None:
        """See that a recording is one of the project.

        Raises
        ------
        DataError
            When it is not: the page may read no other.
        """
        if file not in self._ends:
            raise DataError(f"'{file}' is not among the recordings of the project")

    def require_fit(self, said: AnswerRequest) -> None:
        """See that an answer is about a recording of the project, within it, and fits its labels.

        Raises
        ------
        DataError
            When it is not or does not.
        """
        self.require(said.file)
        self.project.require_fit(said.labels)
        end = self._ends[said.file]
        if said.end_time > end + _CLOSE:  # a rest too short for a segment may follow the last one
            with contextlib.suppress(AudioError):
                end = max(end, probe(self.project.log.root / said.file).duration)
        if said.end_time > end + _CLOSE:
            raise DataError(
                f"'{said.file}': found an answer about {said.start_time:g} to "
                f"{said.end_time:g} s, but it ends at {end:g} s"
            )

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

    def soon(self) -> Suggestion | None:
        """What will probably be asked next."""
        with self._lock:
            return next((one for one in self._queue if one.key not in self._held), None)

    def refresh(self) -> None:
        """Ask anew: there is another classifier."""
        with self._lock:
            self._queue = [one for one in self._queue if one.key in self._held]

    def ask_similar(self, file: str, start: float, end: float, n: int = 8) -> int:
        """Ask next about segments that sound like one; how many there are."""
        index = self.project.index
        row = self._row(file, start, end)
        answered = self._answered()
        pool = self.project.pool()
        found = []
        for hit in index.search(row, n + len(answered), all_windows=True):
            one = Suggestion.of_row(
                index.clips, hit.row, SIMILAR, predictions=pool.predictions(hit.row)
            )
            one = replace(one, file=self.project.log.name_of(index.clips.root / hit.file))
            if one.key not in answered:
                found.append(one)
        with self._lock:
            self._queue = found[:n] + self._queue
        return len(found[:n])

    def answer(self, said: AnswerRequest) -> LabelEntry:
        """Write an answer down; when this returns it is on the disk.

        Raises
        ------
        DataError
            When it does not fit: see :meth:`require_fit`.
        """
        self.require_fit(said)
        log, row = self.project.log, said.row()
        if said.review == "changed":  # it stands in place of what others said
            del row["source"]
            return log.correct(**row, more={REVIEW: said.review})
        if said.review:
            return log.append(**row, more={REVIEW: said.review})
        more = {"guess": said.guess, "guess_score": said.guess_score} if said.guess else {}
        entry = log.append(**row, more=more)
        self.done(said.file, said.start_time, said.end_time)
        if said.asked is not None:  # a part was chosen: the question is answered all the same
            self.done(said.file, *said.asked)
        return entry

    def label_issues(self) -> list[LabelIssue]:
        """Answers that look wrong and that nobody has looked at since, the worst first."""
        self.judging = 0.0
        try:
            found = self.project.label_issues(tell=self._judged)
            seen = {one.key for one in self.project.log.answers() if REVIEW in one.more}
            return [one for one in found if one.key not in seen]
        finally:
            self.judging = None

    def skip(self, annotator: str, file: str, start: float, end: float) -> None:
        """Ask somebody about a segment later; nothing is written down, as it is no answer."""
        key = segment_key(file, start, end)
        with self._lock:
            own = self._skipped.setdefault(annotator, {})
            own.pop(key, None)
            own[key] = None  # to the end
            self._held.pop(key, None)

    def done(self, file: str, start: float, end: float) -> None:
        """Ask about a segment no more."""
        key = segment_key(file, start, end)
        with self._lock:
            self._held.pop(key, None)
            for skipped in self._skipped.values():
                skipped.pop(key, None)
            self._queue = [one for one in self._queue if one.key != key]

    def undo(self, annotator: str) -> LabelEntry:
        """Take back the last answer of somebody.

        Raises
        ------
        DataError
            When there is none.
        """
        mine = [one for one in self.project.log.answers() if one.annotator == annotator]
        if not mine:
            raise DataError("there is no answer of yours to take back")
        last = mine[-1]
        if CORRECTS in last.more:
            self.project.log.uncorrect(last, annotator=annotator)
        else:
            for one in _with(last, mine):
                self.project.log.undo(one, annotator=annotator)
        if REVIEW in last.more:
            return last  # it is not asked about again, but is suspicious again
        again = Suggestion(
            last.file,
            last.start_time,
            last.end_time,
            last.source.rpartition(":")[2] or "again",
            predictions=_guess_of(last),
        )
        with self._lock:
            self._queue.insert(0, again)
            self._held = {key: who for key, who in self._held.items() if who[0] != annotator}
        return last

    def groups(self, n_typical: int = TYPICAL_SHOWN) -> list[dict[str, Any]]:
        """Groups that sound alike, the largest first, and what was said of those to listen to."""
        said: dict[SegmentKey, LabelEntry] = {one.key: one for one in self.project.log.answers()}
        return [
            {
                "number": found.number,
                "size": found.size,
                "answers": found.answers,
                "sounds": [
                    {
                        **place_of(one),
                        "source": one.source,
                        "said": said[one.key].labels if one.key in said else None,
                    }
                    for one in found.typical
                ],
            }
            for found in self.project.clusters(n_typical)
        ]

    def answer_all(self, several: Sequence[AnswerRequest]) -> tuple[LabelEntry, ...]:
        """Write several answers down, all or none; one undo takes them back.

        Raises
        ------
        DataError
            When one of them does not fit: see :meth:`require_fit`.
        """
        for said in several:
            self.require_fit(said)
        batch = uuid.uuid4().hex
        entries = self.project.log.extend(
            {**said.row(), "more": {BATCH: batch}} for said in several
        )
        for said in several:
            self.done(said.file, said.start_time, said.end_time)
        return entries

    def classes(self) -> list[str]:
        """Labels in the order in which they were first given, so that keys keep their meaning."""
        heard = (
            label
            for one in self.project.log.answers()
            if one.presence == POSITIVE
            for label in one.labels
        )
        return list(dict.fromkeys(heard))

    def wrong(self) -> list[dict[str, Any]]:
        """Answers that the model had guessed otherwise before it learned them, the surest first."""
        found = [
            {
                **place_of(one),
                "labels": one.labels,
                "guess": label,
                "score": score,
                "annotator": one.annotator,
            }
            for one in self.project.log.answers()
            for label, score in _guess_of(one)
            if one.presence == POSITIVE and label not in one.labels
        ]
        return sorted(found, key=lambda row: row["score"], reverse=True)

    def _free(self, annotator: str, *, is_again: bool = False) -> Suggestion | None:
        """What somebody may be given; of what they skipped only if ``is_again``."""
        answered, now = self._answered(), time.monotonic()
        self._held = {k: v for k, v in self._held.items() if now - v[1] < HELD_SECONDS}
        free = [one for one in self._queue if one.key not in answered]
        self._queue = free
        of_others = {key for key, (who, _) in self._held.items() if who != annotator}
        open_ones = [one for one in free if one.key not in of_others]
        skipped = self._skipped.get(annotator, {})
        if is_again:
            order = {key: number for number, key in enumerate(skipped)}
            open_ones.sort(key=lambda one: order.get(one.key, -1))
        else:
            open_ones = [one for one in open_ones if one.key not in skipped]
        own = [one for one in open_ones if one.key in self._held]
        return next(iter(own or open_ones), None)

    def _answered(self) -> set[SegmentKey]:
        return {one.key for one in self.project.log.answers()}

    @functools.cached_property
    def _ends(self) -> dict[str, float]:
        """Where the last segment of each recording ends, in seconds."""
        clips, log = self.project.index.clips, self.project.log
        ends: dict[str, float] = {}
        for name, end in zip(clips.file.tolist(), clips.end_time.tolist(), strict=True):
            ends[name] = max(end, ends.get(name, 0.0))
        return {log.name_of(clips.root / name): end for name, end in ends.items()}

    def _judged(self, n: int, total: int) -> None:
        self.judging = n / total

    def _row(self, file: str, start: float, end: float) -> int:
        """The row of the index that has most of a segment."""
        clips, log = self.project.index.clips, self.project.log
        names = [log.name_of(clips.root / str(name)) for name in clips.file]
        rows = np.flatnonzero(np.array(names) == file)
        if not len(rows):
            raise DataError(f"'{file}' is not among the recordings of the project")
        shared = np.minimum(clips.end_time[rows], end) - np.maximum(clips.start_time[rows], start)
        return int(rows[int(shared.argmax())])


def _with(last: LabelEntry, mine: Sequence[LabelEntry]) -> list[str]:
    """The ids of an answer and of those that were given with it, the newest first."""
    batch = last.more.get(BATCH)
    if not isinstance(batch, str):
        return [last.id]
    return [one.id for one in reversed(mine) if one.more.get(BATCH) == batch]


def _guess_of(entry: LabelEntry) -> tuple[tuple[str, float], ...]:
    guess, score = entry.more.get("guess"), entry.more.get("guess_score")
    is_known = isinstance(guess, str) and isinstance(score, int | float)
    return ((str(guess), float(str(score))),) if is_known else ()


def place_of(segment: Segment) -> dict[str, Any]:
    """Which segment it is, as the page names it."""
    return {name: getattr(segment, name) for name in ("file", "start_time", "end_time")}


# Learning from the answers, in the background, one round at a time.


_log = logging.getLogger(__name__)


class Learning:
    """Rounds of a project.

    Parameters
    ----------
    project : Project
    learned : callable
        Is given the new classifier's file.
    """

    def __init__(self, project: Project, learned: Callable[[Path], None]) -> None:
        self._project, self._learned = project, learned
        self._lock = threading.Lock()
        self._began: float | None = None
        self._said, self._reason = "", ""
        self._share = 0.0

    def start(self) -> None:
        """Begin a round.

        Raises
        ------
        DataError
            When one runs already.
        """
        with self._lock:
            if self._began is not None:
                raise DataError("it is learning already")
            self._began, self._said, self._reason = time.monotonic(), "", ""
            self._share = 0.0
        threading.Thread(target=self._run, name="learning", daemon=True).start()

    def facts(self) -> dict[str, Any]:
        """Whether it runs, how the last round ended, and the learning curve."""
        began = self._began
        return {
            "runs": began is not None,
            "seconds": 0.0 if began is None else time.monotonic() - began,
            "share": self._share,
            "said": self._said,
            "reason": self._reason,
            "history": [_row(step) for step in self._project.history],
        }

    def _run(self) -> None:
        try:
            done = self._project.learn(tell=self._tell)
            self._learned(done.model)
            self._said = done.summary()
        except Exception as error:
            if not isinstance(error, (SemisonicError, OSError)):
                _log.exception("a round of learning failed")
            self._reason = in_words(error)
        finally:
            self._began = None

    def _tell(self, n: int, total: int) -> None:
        self._share = n / total


def _row(step: HistoryRow) -> dict[str, Any]:
    """A step for the page: its numbers, and both accuracies in words with what they are of."""
    said = {name: str(getattr(step, name)) for name in ("by_random", "left_out")}
    return {**json_ready(step), "said": said}


# Routes of listening and answering.


class AnswersRequest(BaseModel):
    """Answers that are given at once."""

    answers: Annotated[list[AnswerRequest], Field(min_length=1, max_length=100)]


class AnnotatorRequest(BaseModel):
    """Who asks."""

    annotator: Annotator


class SkipRequest(SegmentRequest, AnnotatorRequest):
    """What somebody skips."""


class SeveralLabelsRequest(BaseModel):
    """Whether a clip of the project may carry several labels."""

    several: bool


def labelling_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/label")

    def session() -> LabelingSession:
        if app_state.session is None:
            raise DataError(
                "no project is open: start one under Label, or start the app with --project"
            )
        return app_state.session

    def shown(found: Suggestion | None) -> dict[str, Any]:
        if found is None:
            return {"item": None}
        session().require(found.file)
        sound = app_state.open_recording(session().project.log.root / found.file, found.file)
        names = ("why", "source", "predictions")
        item = {**place_of(found), **{name: getattr(found, name) for name in names}}
        return {"item": item, "sound": sound.id}

    @router.get("")
    def get_state() -> dict[str, Any]:
        at = session()
        return {
            **at.project.describe(),
            "classes": at.classes(),
            "strategies": STRATEGIES,
            "learning": at.learning.facts(),
            "judging": at.judging,
        }

    @router.get("/next")
    def get_next(
        annotator: Annotated[str, Query(min_length=1, max_length=100)],
        strategy: Annotated[str, Query(max_length=20)] = MIX,
    ) -> dict[str, Any]:
        if strategy not in STRATEGIES:
            raise DataError(f"strategy: found '{strategy}', expected {', '.join(STRATEGIES)}")
        found = shown(session().next(annotator, strategy))
        soon = session().soon()
        if soon is not None:  # it is checked while the one before is listened to
            shown(soon)
        return found

    @router.post("/answers")
    def post_answer(answer: AnswerRequest) -> dict[str, Any]:
        at = session()
        entry = at.answer(answer)
        return {"entry": _entry(entry), "answers": len(at.project.log.current())}

    @router.get("/groups")
    def get_groups() -> dict[str, Any]:
        at = session()
        return {"groups": at.groups(), "classes": at.classes()}

    @router.post("/answers/batch")
    def post_answers(batch: AnswersRequest) -> dict[str, Any]:
        at = session()
        at.answer_all(batch.answers)
        return {"answers": len(at.project.log.current()), "classes": at.classes()}

    @router.post("/undo")
    def undo(who: AnnotatorRequest) -> dict[str, Any]:
        return {"entry": _entry(session().undo(who.annotator))}

    @router.post("/skip")
    def skip(what: SkipRequest) -> dict[str, Any]:
        at = session()
        at.require(what.file)
        at.skip(what.annotator, what.file, what.start_time, what.end_time)
        return {}

    @router.post("/several")
    def set_several(wanted: SeveralLabelsRequest) -> dict[str, Any]:
        at = session()
        at.project.set_several_labels(wanted.several)
        return {"several_labels": at.project.several_labels}

    @router.post("/similar")
    def similar(place: SegmentRequest) -> dict[str, Any]:
        return {"n": session().ask_similar(place.file, place.start_time, place.end_time)}

    @router.get("/wrong")
    def get_wrong() -> dict[str, Any]:
        return {"rows": session().wrong()}

    @router.get("/issues")
    def get_issues() -> dict[str, Any]:
        return {"rows": [asdict(one) for one in session().label_issues()]}

    @router.post("/open")
    def open_recording(place: SegmentRequest) -> dict[str, Any]:
        return shown(Suggestion(place.file, place.start_time, place.end_time, "again"))

    @router.post("/learn")
    def learn() -> dict[str, Any]:
        learning = session().learning
        learning.start()
        return learning.facts()

    return router


def _entry(entry: LabelEntry) -> dict[str, Any]:
    return {**asdict(entry), "more": dict(entry.more)}
