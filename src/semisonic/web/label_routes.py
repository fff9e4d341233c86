"""Routes of listening and answering."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from semisonic.core.errors import DataError
from semisonic.labeling.improve import why_not
from semisonic.labeling.options import MIX, STRATEGIES
from semisonic.labeling.queue import RANDOM, Suggestion
from semisonic.web.downloads import download_labels
from semisonic.web.label_requests import (
    Annotator,
    AnswerRequest,
    ChangeRequest,
    LookRequest,
    Name,
    RenameRequest,
    SegmentRequest,
)
from semisonic.web.labelling import LabelingSession
from semisonic.web.state import AppState


class SkipRequest(SegmentRequest):
    """A segment that somebody skips."""

    annotator: Annotator


_AT_ONCE = Body(embed=True, min_length=1, max_length=100)


def labelling_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/label")

    def session() -> LabelingSession:
        if app_state.session is None:
            raise DataError(
                "no project is open: start one under Label, or start the app with --project"
            )
        return app_state.session

    def shown(found: Suggestion | None, annotator: str = "") -> dict[str, Any]:
        """A question; predictions are hidden if its segment measures the accuracy."""
        if found is None:
            return {"item": None}
        session().require(found.file)
        sound = app_state.open_recording(session().project.log.root / found.file, found.file)
        names = ("file", "start_time", "end_time", "why", "source", "predictions")
        item: dict[str, Any] = {name: getattr(found, name) for name in names}
        item["hides_guess"] = found.why == RANDOM and bool(found.predictions)
        if item["hides_guess"]:
            item["predictions"] = []
        events = [asdict(one) for one in session().parts(found, annotator)] if annotator else []
        return {"item": item, "sound": sound.id, "events": events}

    @router.get("")
    def get_state() -> dict[str, Any]:
        at = session()
        return {
            **at.project.describe(),
            "classes": at.classes(),
            "names_of": at.names_of(),
            "looks": at.project.class_looks,
            "keys": at.class_keys(),
            "learning": at.learning.facts(),
            "n_random": at.n_random(),
            "improving": None if app_state.improving is None else app_state.improving.facts(),
            "can_improve": not why_not(at.project),
            "vectors": at.project.vectors_said,
            "judging": at.judging,
        }

    @router.get("/next")
    def get_next(
        annotator: Annotated[Annotator, Query()],
        strategy: Annotated[str, Query(max_length=20)] = MIX,
    ) -> dict[str, Any]:
        if strategy not in STRATEGIES:
            raise DataError(f"strategy: found '{strategy}', expected {', '.join(STRATEGIES)}")
        found = shown(session().next(annotator, strategy), annotator)
        shown(session().soon())  # it is checked while the one before is listened to
        return found

    @router.post("/answers")
    def post_answer(answer: AnswerRequest) -> dict[str, Any]:
        entry = session().answer(answer)
        return {"entry": asdict(entry), "answers": len(session().project.log.current())}

    @router.post("/answers/batch")
    def post_answers(answers: Annotated[list[AnswerRequest], _AT_ONCE]) -> dict[str, Any]:
        entries = session().answer_all(answers)
        n = len(session().project.log.current())
        labels = [one.labels for one in entries]
        return {"answers": n, "classes": session().classes(), "labels": labels}

    @router.get("/groups")
    def get_groups() -> dict[str, Any]:
        return {
            "groups": session().groups(),
            "noise": session().noise_like(),
            "classes": session().classes(),
            "keys": session().class_keys(),
            "names_of": session().names_of(),
        }

    @router.post("/groups/split")
    def split(number: Annotated[int, Body(embed=True)]) -> dict[str, Any]:
        session().split(number)
        return get_groups()

    @router.get("/tables/{kind}")
    def get_table(kind: str) -> Response:
        at = session()
        root = Path(at.project.log.root)
        return download_labels(f"{at.project.folder.name}.labels", at.events(), kind, root)

    @router.get("/answers")
    def get_answers() -> dict[str, Any]:
        return {"rows": session().list_answers(), **get_classes()}

    @router.post("/answers/change")
    def change_answer(said: ChangeRequest) -> dict[str, Any]:
        return {"entry": asdict(session().change(said))}

    @router.post("/answers/delete")
    def delete_answer(
        id: Annotated[Name, Body()],  # noqa: A002
        annotator: Annotated[Annotator, Body()],
    ) -> dict[str, Any]:
        """Undo an entry of the log; undoing a deletion restores the answer."""
        return {"id": session().project.log.undo(id, annotator=annotator).id}

    @router.post("/import")
    def import_table(
        name: Annotated[str, Query(max_length=255)],
        annotator: Annotated[Annotator, Query()],
        content: Annotated[bytes, Body(media_type="application/octet-stream")],
        respell: bool = False,
    ) -> dict[str, Any]:
        return asdict(session().import_labels(name, content, annotator, respell))

    @router.get("/classes")
    def get_classes() -> dict[str, Any]:
        at = session()
        return {"classes": at.looks(), "keys": at.class_keys(), "names_of": at.names_of()}

    @router.post("/classes")
    def set_class_look(said: LookRequest) -> dict[str, Any]:
        session().project.set_class_look(said.name, colour=said.colour, key=said.key)
        return get_classes()

    @router.post("/classes/rename")
    def rename_class(said: RenameRequest) -> dict[str, Any]:
        return {"n": session().rename_class(said), **get_classes()}

    @router.post("/undo")
    def undo(annotator: Annotated[Annotator, Body(embed=True)]) -> dict[str, Any]:
        return {"entry": asdict(session().undo(annotator))}

    @router.post("/skip")
    def skip(what: SkipRequest) -> dict[str, Any]:
        session().skip(what.annotator, what.file, what.start_time, what.end_time)
        return {}

    @router.post("/several")
    def set_several(several: Annotated[bool, Body(embed=True)]) -> dict[str, Any]:
        session().project.set_several_labels(several)
        return {"several_labels": several}

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

    @router.post("/improve")
    def improve() -> dict[str, Any]:
        app_state.improve(session())
        return get_state()

    @router.post("/improve/cancel")
    def stop_improving() -> dict[str, Any]:
        session().project.stop_vectors(True)
        if app_state.improving is not None:
            app_state.improving.cancel()
        return get_state()

    return router
