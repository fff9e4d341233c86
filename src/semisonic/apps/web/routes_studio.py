"""Routes of what there is to open: the model, folders, examples, runs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from semisonic.apps.web.analysis import RULES
from semisonic.apps.web.examples import RATE, examples, make_example
from semisonic.apps.web.forms import fields_of
from semisonic.apps.web.sound import Sound
from semisonic.apps.web.studio import Studio
from semisonic.apps.web.wire import Body, FileName, to_page
from semisonic.audio import write
from semisonic.inference import EventOptions


class Place(Body):
    """A recording of an opened folder."""

    folder: int
    name: FileName


def routes(studio: Studio) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")

    @router.get("/studio")
    def get_studio() -> dict[str, Any]:
        return {
            **studio.facts(),
            "examples": examples(),
            "rules": fields_of(EventOptions, RULES),
            "open": [sound.facts() for sound in studio.shelf.all() if sound.is_listed],
        }

    @router.get("/folders/{number}")
    def get_folder(number: int) -> dict[str, Any]:
        files, n_files = studio.places.listing(number)
        return {"files": [to_page(file) for file in files], "n_files": n_files}

    @router.post("/places")
    def open_place(place: Place) -> dict[str, Any]:
        return studio.open_place(place.folder, place.name).facts()

    @router.post("/examples/{name}")
    def open_example(name: str) -> dict[str, Any]:
        identity = f"example-{name}"
        if studio.shelf.has(identity):
            return studio.shelf.get(identity).facts()
        wave = make_example(name)
        _, shown, path = studio.shelf.new_file(f"{name}.wav")
        write(path, wave, RATE, overload="scale")
        return studio.open(Sound(shown, path, identity, is_own=True)).facts()

    return router
