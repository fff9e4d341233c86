"""Routes of folders, recordings, runs and projects."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from semisonic.audio.spectrogram import LOWEST_HZ
from semisonic.audio.write import write
from semisonic.classifier.export import export
from semisonic.classifier.info import info
from semisonic.classifier.model_file import MODEL
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import DataError, ModelError
from semisonic.core.files import json_ready
from semisonic.core.options import nearest
from semisonic.core.temporary import temporary_folder
from semisonic.data.events import Events
from semisonic.web.analysis import RULES, Analysis, event_options, score_table
from semisonic.web.downloads import download_labels
from semisonic.web.finding import finding_routes
from semisonic.web.label_routes import labelling_routes
from semisonic.web.projects import DEMO
from semisonic.web.recordings import (
    FINEST,
    MOST_LISTED,
    READY,
    WIDEST,
    OpenRecording,
    OpenRecordings,
    PlayedFile,
)
from semisonic.web.state import AppState
from semisonic.web.wire import FileName, Text, download

_ABOUT = ("help", "unit", "minimum", "maximum")


def rule_fields() -> list[dict[str, Any]]:
    """Name, help, unit, range and default of the rules, as on the command line."""
    known = {field.name: field for field in dataclasses.fields(EventOptions)}
    return [
        {"name": name, **{key: known[name].metadata[key] for key in _ABOUT}}
        | {"default": known[name].default}
        for name in RULES
    ]


# Example sounds, made by the package itself.


RATE = 22050
_SECONDS = 5.0
_FADE = 0.5
_SNR_DB = 24.0
EXAMPLES = {
    "dog_bark": "Dog bark",
    "bird": "Bird",
    "rain": "Rain",
    "siren": "Siren",
    "clock_tick": "Clock tick",
    "footsteps": "Footsteps",
    "walk": "A walk, 40 s",
}
_WALK = ("wind", "bird", "dog_bark", "footsteps", "engine", "bell", "crow", "rain", "thunder")


def make_example(name: str) -> NDArray[np.float32]:
    """The samples of an example at ``RATE``, the same each time; the walk is cross-faded.

    Raises
    ------
    DataError
        When there is no example of this name.
    """
    from semisonic.data.options import SynthOptions
    from semisonic.data.synth.render import render

    if name not in EXAMPLES:
        raise DataError(f"no example '{name}'; {nearest(name, EXAMPLES)}")
    options = SynthOptions(duration=_SECONDS, sample_rate=RATE, snr_db=_SNR_DB, seed=1)
    waves = [
        render(options, f"example-{one}", number, (one,))
        for number, one in enumerate(_WALK if name == "walk" else (name,))
    ]
    n = round(_FADE * RATE)
    rise = np.sin(np.linspace(0, np.pi / 2, n)).astype(np.float32)
    result = waves[0]
    for wave in waves[1:]:
        result[-n:] = result[-n:] * rise[::-1] + wave[:n] * rise
        result = np.concatenate([result, wave[n:]])
    return result / np.float32(max(float(np.abs(result).max()), 1.0))


# An uploaded file, put into the temporary folder within its limits.


async def receive(request: Request, recordings: OpenRecordings, name: str) -> OpenRecording:
    """Save the body of a request as a file; an incomplete file is removed.

    Raises
    ------
    DataError
        When there is no room, or the body is empty.
    """
    identity, shown, path = recordings.new_file(name)
    room, count = recordings.max_bytes - recordings.used(), 0
    try:
        with path.open("wb") as target:
            async for chunk in request.stream():
                count += len(chunk)
                if count > room:
                    raise DataError("there is no room for this file; close other sounds first")
                target.write(chunk)
        if not count:
            raise DataError("the file is empty")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return OpenRecording(shown, path, identity, is_own=True)


# Routes of what the page can open: folders and examples.


def state_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")

    @router.get("/state")
    def get_state() -> dict[str, Any]:
        return {
            **app_state.facts(),
            "examples": [{"name": name, "title": title} for name, title in EXAMPLES.items()],
            "rules": rule_fields(),
            "open": [sound.facts() for sound in app_state.recordings.listed()],
            "max_open": MOST_LISTED,
        }

    @router.get("/folders/{number}")
    def get_folder(number: int) -> dict[str, Any]:
        files, n_files = app_state.folders.listing(number)
        return {"files": files, "n_files": n_files}

    @router.post("/folders/open")
    def open_in_folder(
        folder: Annotated[int, Body()], name: Annotated[FileName, Body()]
    ) -> dict[str, Any]:
        return app_state.open_in_folder(folder, name).facts()

    @router.post("/examples/{name}")
    def open_example(name: str) -> dict[str, Any]:
        identity = f"example-{name}"
        if app_state.recordings.has(identity):
            return app_state.recordings.get(identity).facts()
        wave = make_example(name)
        _, shown, path = app_state.recordings.new_file(f"{name}.wav")
        write(path, wave, RATE, overload="scale")
        return app_state.open(OpenRecording(shown, path, identity, is_own=True)).facts()

    return router


# Routes of recordings: upload, show and play them, and list their events.


MOST_EVENTS = 2000
Label = Annotated[str, Query(max_length=500)]
"""The class of the events; empty for all."""


def of_class(events: Events, label: str) -> Events:
    """The events of a class; all events for an empty text."""
    return events[events["label"] == label] if label else events


def recording_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")

    def ready(identity: str) -> OpenRecording:
        sound = app_state.recordings.get(identity)
        if sound.state != READY:
            raise DataError(sound.reason or "this recording is still being checked")
        return sound

    def heard(identity: str) -> Analysis:
        analysis = app_state.analysis(ready(identity))
        if analysis is None:
            raise DataError("no model is open: choose one under Models")
        return analysis

    def events_of(analysis: Analysis, request: Request) -> Events:
        rules = {name: value for name, value in request.query_params.items() if name != "label"}
        return analysis.events(event_options(app_state.model, rules, app_state.threshold))

    @router.post("/uploads")
    async def upload(request: Request, name: Annotated[str, Query(max_length=500)]) -> Any:
        return app_state.open(await receive(request, app_state.recordings, name)).facts()

    @router.get("/sounds/{identity}")
    def get_sound(identity: str) -> dict[str, Any]:
        sound = app_state.recordings.get(identity)
        facts = sound.facts()
        if sound.state == READY and sound.tiles is not None and sound.info is not None:
            facts["picture"] = {
                "progress": sound.tiles.progress,
                "loudest": sound.tiles.loudest,
                "band_hz": [LOWEST_HZ, sound.info.sample_rate / 2],
            }
        analysis = app_state.analysis(sound)
        if analysis is not None:
            names = ("progress", "is_done", "reason", "top", "is_silent", "frame")
            facts["heard"] = {name: getattr(analysis, name) for name in names}
        return facts

    @router.delete("/sounds/{identity}")
    def close_sound(identity: str) -> dict[str, Any]:
        app_state.recordings.remove(app_state.recordings.get(identity).id)
        return {}

    @router.delete("/sounds")
    def close_all() -> dict[str, Any]:
        for sound in app_state.recordings.listed():
            app_state.recordings.remove(sound.id)
        return {}

    @router.get("/sounds/{identity}/tile")
    def get_tile(
        identity: str,
        level: Annotated[int, Query(ge=FINEST, le=WIDEST)],
        number: Annotated[int, Query(ge=0, le=10_000_000)],
        low_hz: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
        high_hz: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    ) -> Response:
        tiles = ready(identity).tiles
        if tiles is None:
            raise DataError("this recording is not open any more")
        band_hz = None if low_hz is None or high_hz is None else (low_hz, high_hz)
        if band_hz and band_hz[1] <= band_hz[0]:
            raise DataError(
                f"found {low_hz:g} to {high_hz:g} Hz, expected the lower frequency first"
            )
        return Response(tiles.tile(level, number, band_hz), media_type="application/octet-stream")

    @router.get("/sounds/{identity}/audio.wav")
    def play(
        identity: str, request: Request, speed: Annotated[float, Query(gt=0, le=100)] = 1.0
    ) -> Response:
        file = PlayedFile(ready(identity), speed)
        headers, wanted = {"Accept-Ranges": "bytes"}, request.headers.get("range")
        if wanted is None:
            headers["Content-Length"] = str(file.size)
            return StreamingResponse(file.pieces(), headers=headers, media_type="audio/wav")
        found = file.byte_range(wanted)
        if found is None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{file.size}"})
        first, last = found
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{file.size}"
        return Response(file.read(first, last), 206, headers=headers, media_type="audio/wav")

    @router.get("/sounds/{identity}/scores")
    def get_scores(
        identity: str,
        start: Annotated[float, Query(ge=0, allow_inf_nan=False)],
        end: Annotated[float, Query(gt=0, allow_inf_nan=False)],
        n: Annotated[int, Query(ge=1, le=2000)],
        most: Annotated[int, Query(ge=1, le=20)] = 6,
    ) -> dict[str, Any]:
        if end <= start:
            raise DataError(f"found {start:g} to {end:g} s, expected an end after the start")
        table = heard(identity).scores(start, end, n)
        classes = app_state.model.classes
        best = np.nan_to_num(np.fmax.reduce(table, axis=0))
        rows = [
            {"label": classes[k], "scores": json_ready(np.round(table[:, k], 3))}
            for k in np.argsort(-best, kind="stable")[:most]
        ]
        return {"start": start, "end": end, "rows": rows}

    @router.get("/sounds/{identity}/events")
    def get_events(identity: str, request: Request, label: Label = "") -> dict[str, Any]:
        events = events_of(heard(identity), request)
        counts = events["label"].value_counts()
        events = of_class(events, label)
        shown = events[["start_time", "end_time", "label", "score"]].head(MOST_EVENTS)
        return {
            "n_events": len(events),
            "events": shown.to_numpy(object).tolist(),
            "classes": [[name, int(n)] for name, n in counts.items()],
        }

    @router.get("/sounds/{identity}/tables/{kind}")
    def get_table(identity: str, kind: str, request: Request, label: Label = "") -> Response:
        sound, analysis = ready(identity), heard(identity)
        if not analysis.is_done:
            raise DataError("the model is still listening to this recording")
        stem = Path(sound.name).stem
        if kind == "scores":
            scores = score_table(analysis, app_state.model.classes)
            return download(f"{stem}.scores.csv", scores, "text/csv")
        return download_labels(stem, of_class(events_of(analysis, request), label), kind)

    return router


# Routes of models and reports.


_POLICY = (
    "sandbox; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
)


Named = Annotated[Text, Body(embed=True)]
"""The name of a run or a project."""


def run_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router, exporting = APIRouter(prefix="/api"), threading.Lock()

    @router.get("/runs")
    def get_runs() -> dict[str, Any]:
        runs = [run.facts() for run in app_state.runs.all()]
        return {"folder": str(app_state.runs.folder), "runs": runs}

    @router.get("/runs/card")
    def get_card(name: str) -> dict[str, Any]:
        run = app_state.runs.get(name)
        if not (run.path / "run.json").is_file():
            return _card(str(app_state.runs.model(name) / "model.zip"))
        return _card(str(run.path))

    @router.get("/model/card")
    def get_model_card() -> dict[str, Any]:
        if app_state.model_path is None:
            raise ModelError("no model is open: choose one under Models")
        return _card(str(app_state.model_path))

    @router.get("/model/file")
    def get_model_file() -> Response:
        if app_state.model_path is None:
            raise ModelError("no model is open: choose one under Models")
        path = app_state.model_path
        path = path / MODEL if path.is_dir() else path
        return download(f"{path.parent.name}-{path.name}", path.read_bytes(), "application/zip")

    @router.post("/model/onnx")
    def export_model(name: Named = "") -> Response:
        """The model of a run, or the one in use, as an ONNX file that was compared with it."""
        path = app_state.runs.model(name) if name else app_state.model_path
        if path is None:
            raise ModelError("no model is open: choose one under Models")
        place = path if path.is_dir() else path.parent
        with temporary_folder() as folder, exporting:
            file = export(path, folder / f"{place.resolve().name}.onnx").file
            return download(file.name, file.read_bytes(), "application/octet-stream")

    @router.post("/model")
    def take_model(name: Named) -> dict[str, Any]:
        app_state.take_model(app_state.runs.model(name))
        return app_state.facts()

    @router.get("/runs/page")
    def get_page(name: str, page: str) -> Response:
        text = app_state.runs.page(name, page)
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": _POLICY})

    return router


def _card(path: str) -> dict[str, Any]:
    try:
        found = info(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    classes = found.facts.get("classes", [])
    return {"title": found.title, "facts": found.shown(), "classes": classes}


# Routes of projects: start one from an opened folder, continue it, open it.


class NewProjectRequest(BaseModel):
    """The options of a new project."""

    folder: int
    below: FileName = ""
    name: Text
    encoder: Text = "auto"
    clusters: Annotated[str, Field(max_length=10)] = ""
    several_labels: bool = False


def project_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/projects")

    @router.get("")
    def get_all() -> dict[str, Any]:
        return {
            "projects": app_state.projects.all(),
            "encoders": app_state.projects.encoders(),
            "folder": str(app_state.runs.folder),
            **making(),
        }

    @router.get("/making")
    def making() -> dict[str, Any]:
        found = app_state.making
        return {"making": None if found is None else found.facts()}

    @router.get("/parts")
    def get_parts(folder: int) -> dict[str, Any]:
        return {"parts": app_state.folders.parts(folder)}

    @router.post("")
    def start(new: NewProjectRequest) -> dict[str, Any]:
        options = app_state.projects.new(**new.model_dump())
        return {"making": app_state.make_project(new.name, options).facts()}

    @router.post("/demo")
    def start_demo() -> dict[str, Any]:
        options = app_state.projects.demo()
        return {"making": app_state.make_project(DEMO, options, is_demo=True).facts()}

    @router.post("/again")
    def go_on(name: Named) -> dict[str, Any]:
        options = app_state.projects.again(name)
        return {"making": app_state.make_project(name, options).facts()}

    @router.post("/cancel")
    def cancel() -> dict[str, Any]:
        if app_state.making is None:
            raise DataError("no project is being made")
        app_state.making.cancel()
        return making()

    @router.post("/open")
    def open_project(name: Named) -> dict[str, Any]:
        app_state.take_project(app_state.projects.finished(name))
        return app_state.facts()

    return router


ALL = (state_routes, recording_routes, run_routes, project_routes, labelling_routes, finding_routes)
