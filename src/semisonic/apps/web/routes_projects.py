"""Routes of projects: start one from an opened folder, go on with it, open it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from semisonic.apps.web.studio import Studio
from semisonic.apps.web.wire import Body, FileName, to_page
from semisonic.base.errors import DataError

Text = Annotated[str, Field(max_length=500)]


class New(Body):
    """What a project is to be made of."""

    folder: int
    below: FileName = ""
    name: Text
    encoder: Text = "auto"
    clusters: Annotated[str, Field(max_length=10)] = ""
    several_labels: bool = False


class Named(Body):
    """A project."""

    name: Text


def routes(studio: Studio) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/projects")

    @router.get("")
    def get_all() -> dict[str, Any]:
        return {
            "projects": studio.projects.all(), "encoders": studio.projects.encoders(),
            "folder": str(studio.runs.folder), **making(),
        }  # fmt: skip

    @router.get("/making")
    def making() -> dict[str, Any]:
        found = studio.making
        return {"making": None if found is None else found.facts()}

    @router.get("/parts")
    def get_parts(folder: int) -> dict[str, Any]:
        return {"parts": [to_page(part) for part in studio.places.parts(folder)]}

    @router.post("")
    def start(new: New) -> dict[str, Any]:
        options = studio.projects.new(**new.model_dump())
        return {"making": studio.make_project(new.name, options).facts()}

    @router.post("/again")
    def go_on(named: Named) -> dict[str, Any]:
        options = studio.projects.again(named.name)
        return {"making": studio.make_project(named.name, options).facts()}

    @router.post("/cancel")
    def cancel() -> dict[str, Any]:
        if studio.making is None:
            raise DataError("no project is being made")
        studio.making.cancel()
        return making()

    @router.post("/open")
    def open_project(named: Named) -> dict[str, Any]:
        studio.take_project(studio.projects.finished(named.name))
        return studio.facts()

    return router
