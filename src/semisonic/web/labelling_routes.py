"""Routes of listening and answering."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from semisonic.core.errors import DataError
from semisonic.data.label_log import LabelEntry
from semisonic.labeling.options import MIX, STRATEGIES
from semisonic.labeling.queue import Suggestion
from semisonic.web.labelling import (
    Annotator,
    AnswerRequest,
    LabelingSession,
    SegmentRequest,
    place_of,
)
from semisonic.web.state import AppState


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
        names = ("why", "source", "guesses")
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
