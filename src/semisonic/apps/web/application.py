"""The app as a whole: routes, the static page, and the guard before both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from semisonic.apps.web import (
    routes_label,
    routes_live,
    routes_projects,
    routes_runs,
    routes_sounds,
    routes_studio,
)
from semisonic.apps.web.answers import speak_plainly
from semisonic.apps.web.guard import Guard, Rules
from semisonic.apps.web.studio import Studio
from semisonic.apps.web.theme import NAME, theme
from semisonic.apps.web.wire import Json

STATIC = Path(__file__).parent / "static"
UPLOADS = "/api/uploads"
_SMALL = 1_000_000


def create_app(studio: Studio, host: str, port: int, token: str = "") -> ASGIApp:
    """The ASGI app of a studio.

    Parameters
    ----------
    studio : Studio
        Closed when the app ends.
    host, port
        Where it will listen, for the guard.
    token : str
        What a browser must know; empty for nothing.
    """

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        yield
        studio.close()

    app = FastAPI(
        lifespan=closing,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        default_response_class=Json,
    )
    speak_plainly(app)
    app.include_router(routes_studio.routes(studio))
    app.include_router(routes_sounds.routes(studio))
    app.include_router(routes_runs.routes(studio))
    app.include_router(routes_label.routes(studio))
    app.include_router(routes_projects.routes(studio))
    app.include_router(routes_live.routes(studio))

    @app.get(f"/{NAME}")
    def get_theme() -> Response:
        return Response(theme(), media_type="text/css")

    app.mount("/", StaticFiles(directory=STATIC, html=True))

    def limit(path: str) -> int:
        return studio.max_bytes if path == UPLOADS else _SMALL

    return Guard(app, Rules(host, port, token, limit))
