"""Routes of models and reports."""

from __future__ import annotations

import json
from math import inf
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from semisonic.apps.web.side_by_side import clip_place, side_by_side
from semisonic.apps.web.studio import Studio
from semisonic.apps.web.wire import Body
from semisonic.base.errors import DataError, ModelError
from semisonic.inference import InfoOptions, info

_POLICY = (
    "sandbox; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
)


class Named(Body):
    """A run."""

    name: str


class Clip(Body):
    """A clip that a run scored."""

    run: str
    clip: str


def routes(studio: Studio) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")

    @router.get("/runs")
    def get_runs() -> dict[str, Any]:
        return {
            "folder": str(studio.runs.folder),
            "runs": [run.facts() for run in studio.runs.all()],
        }

    @router.get("/runs/card")
    def get_card(name: str) -> dict[str, Any]:
        run = studio.runs.get(name)
        if not (run.path / "run.json").is_file():
            return _card(str(studio.runs.model(name) / "model.zip"))
        return _card(str(run.path))

    @router.get("/model/card")
    def get_model_card() -> dict[str, Any]:
        if studio.model_path is None:
            raise ModelError("no model is open: choose one under Models")
        return _card(str(studio.model_path))

    @router.post("/model")
    def take_model(named: Named) -> dict[str, Any]:
        studio.take_model(studio.runs.model(named.name))
        return studio.facts()

    @router.get("/runs/compare")
    def compare(a: str, b: str) -> dict[str, Any]:
        return side_by_side(studio.runs, studio.places, a, b)

    @router.post("/runs/clip")
    def open_clip(asked: Clip) -> dict[str, Any]:
        found = clip_place(studio.runs, studio.places, asked.run, asked.clip)
        sound = studio.open_recording(found.path, found.name)
        end = found.end_time if found.end_time < inf else None
        return {"sound": sound.id, "start_time": found.start_time, "end_time": end}

    @router.get("/runs/page")
    def get_page(name: str, page: str) -> Response:
        text = studio.runs.page(name, page)
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": _POLICY})

    return router


def _card(path: str) -> dict[str, Any]:
    try:
        found = info(InfoOptions(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    facts = {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in found.facts.items()
    }
    return {"title": found.title, "facts": json.loads(json.dumps(facts, default=str))}
