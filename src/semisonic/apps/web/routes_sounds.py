"""Routes of recordings: take them, show them, play them, say what is heard in them."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from semisonic.apps.web.analysis import RULES, Analysis
from semisonic.apps.web.forms import settings_of
from semisonic.apps.web.receiving import receive
from semisonic.apps.web.sound import READY, Sound
from semisonic.apps.web.studio import Studio
from semisonic.apps.web.tables import TABLES, event_table, score_table
from semisonic.apps.web.tiles import FINEST, WIDEST
from semisonic.apps.web.wav import PlayedFile
from semisonic.apps.web.wire import shown
from semisonic.audio.picture import band_edges
from semisonic.base.errors import DataError
from semisonic.base.options import nearest

MOST_EVENTS = 2000


def routes(studio: Studio) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")

    def ready(identity: str) -> Sound:
        sound = studio.shelf.get(identity)
        if sound.state != READY:
            raise DataError(sound.reason or "this recording is still being checked")
        return sound

    def heard(identity: str) -> Analysis:
        analysis = studio.analysis(ready(identity))
        if analysis is None:
            raise DataError("no model is open: choose one under Models")
        return analysis

    @router.post("/uploads")
    async def upload(request: Request, name: Annotated[str, Query(max_length=500)]) -> Any:
        return studio.open(await receive(request, studio.shelf, name)).facts()

    @router.get("/sounds/{identity}")
    def get_sound(identity: str) -> dict[str, Any]:
        sound = studio.shelf.get(identity)
        facts = sound.facts()
        tiles = studio.tiles(sound)
        if sound.state == READY and tiles is not None and sound.info is not None:
            facts["picture"] = {
                "progress": tiles.progress,
                "loudest": tiles.loudest,
                "bands_hz": [round(hz, 1) for hz in band_edges(sound.info.sample_rate)],
            }
        analysis = studio.analysis(sound)
        if analysis is not None:
            facts["heard"] = {
                "progress": analysis.progress,
                "is_done": analysis.is_done,
                "reason": analysis.reason,
                "top": analysis.top,
                "is_silent": analysis.is_silent,
                "frame": analysis.frame,
            }
        return facts

    @router.delete("/sounds/{identity}")
    def close_sound(identity: str) -> dict[str, Any]:
        studio.forget(studio.shelf.get(identity))
        return {}

    @router.get("/sounds/{identity}/tile")
    def get_tile(
        identity: str,
        level: Annotated[int, Query(ge=FINEST, le=WIDEST)],
        number: Annotated[int, Query(ge=0, le=10_000_000)],
    ) -> Response:
        tiles = studio.tiles(ready(identity))
        if tiles is None:
            raise DataError("this recording is not open any more")
        return Response(tiles.tile(level, number), media_type="application/octet-stream")

    @router.get("/sounds/{identity}/audio.wav")
    def play(identity: str, request: Request) -> Response:
        file = PlayedFile(ready(identity))
        found = file.asked(request.headers.get("range"))
        if found is None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{file.size}"})
        first, last = found
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Range": f"bytes {first}-{last - 1}/{file.size}",
        }
        content = file.read(first, last)
        return Response(content, 206, headers=headers, media_type="audio/wav")

    @router.get("/sounds/{identity}/scores")
    def get_scores(
        identity: str,
        start: Annotated[float, Query(ge=0, allow_inf_nan=False)],
        end: Annotated[float, Query(gt=0, allow_inf_nan=False)],
        n: Annotated[int, Query(ge=1, le=2000)],
        most: Annotated[int, Query(ge=1, le=20)] = 6,
    ) -> dict[str, Any]:
        if end <= start:
            raise DataError(f"found {start:g} to {end:g} s, expected an end behind the start")
        table = heard(identity).scores(start, end, n)
        classes = studio.model.classes
        best = [0.0 if math.isnan(x) else x for x in _largest(table)]
        order = sorted(range(len(classes)), key=lambda k: -best[k])[:most]
        rows = [
            {"label": classes[k],
             "scores": [None if math.isnan(x) else round(x, 3) for x in table[:, k].tolist()]}
            for k in order
        ]  # fmt: skip
        return {"start": start, "end": end, "rows": rows}

    @router.get("/sounds/{identity}/events")
    def get_events(identity: str, request: Request) -> dict[str, Any]:
        events = heard(identity).events(settings_of(request.query_params, RULES)).sorted()
        columns = (events.start_time, events.end_time, events.label, events.score)
        rows = [list(row) for row in zip(*(c[:MOST_EVENTS].tolist() for c in columns), strict=True)]
        return {"n_events": len(events), "events": rows}

    @router.get("/sounds/{identity}/tables/{kind}")
    def get_table(identity: str, kind: str, request: Request) -> Response:
        if kind not in TABLES:
            raise DataError(f"no table '{kind}': {nearest(kind, TABLES)}")
        sound, analysis = ready(identity), heard(identity)
        if not analysis.is_done:
            raise DataError("the recording is still being listened to")
        stem = Path(sound.name).stem
        settings = settings_of(request.query_params, RULES)
        if kind == "scores":
            lines = score_table(analysis, studio.model.classes)
            return _file(f"{stem}.scores.csv", "".join(lines), "text/csv")
        with tempfile.TemporaryDirectory(prefix="semisonic-") as folder:
            suffix, text = event_table(analysis.events(settings), kind, Path(folder))
        return _file(f"{stem}{suffix}", text, "text/csv" if kind == "csv" else "text/plain")

    return router


def _largest(table: Any) -> list[float]:
    return [float(max((x for x in column if x == x), default=math.nan)) for column in table.T]


def _file(name: str, text: str, kind: str) -> Response:
    """A download; a name that is not ASCII is given as RFC 6266 wants it."""
    from urllib.parse import quote

    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    disposition = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(shown(name), safe='')}"
    )
    headers = {"Content-Disposition": disposition}
    return Response(text.encode("utf-8", "surrogateescape"), headers=headers, media_type=kind)
