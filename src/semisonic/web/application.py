"""The app as a whole: routes, the static page, and the guard before both."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from semisonic.web import labelling_routes as routes_label
from semisonic.web import live_routes as routes_live
from semisonic.web import routes as routes_projects
from semisonic.web import routes as routes_runs
from semisonic.web import routes as routes_sounds
from semisonic.web import routes as routes_studio
from semisonic.web.guard import Guard, Rules
from semisonic.web.state import AppState
from semisonic.web.wire import Json, speak_plainly

# Colours and fonts of the page: those of the reports, with a switch for light and dark.


NAME = "theme.css"
_BLOCK = re.compile(r":root\s*\{(.*?)\}", re.DOTALL)


@functools.cache
def theme() -> str:
    """The style sheet: the reports' two sets of colours, chosen by ``data-theme`` on the root.

    Reports ask the system; the page has a switch of its own.
    """
    source = files("semisonic.evaluation.report") / "colours.css"
    light, dark = _BLOCK.findall(source.read_text(encoding="utf-8"))
    light = light.replace("color-scheme: light dark", "color-scheme: light")
    return (
        f"/* Made from the colours of the reports. */\n:root {{{light}}}\n"
        f':root[data-theme="dark"] {{ color-scheme: dark;{dark}}}\n'
    )


# The app as a whole: routes, the static page, and the guard before both.


STATIC = Path(__file__).parent / "static"
UPLOADS = "/api/uploads"
_SMALL = 1_000_000


def create_app(studio: AppState, host: str, port: int, token: str = "") -> ASGIApp:
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
    app.include_router(routes_studio.state_routes(studio))
    app.include_router(routes_sounds.recording_routes(studio))
    app.include_router(routes_runs.run_routes(studio))
    app.include_router(routes_label.labelling_routes(studio))
    app.include_router(routes_projects.project_routes(studio))
    app.include_router(routes_live.live_routes(studio))

    @app.get(f"/{NAME}")
    def get_theme() -> Response:
        return Response(theme(), media_type="text/css")

    app.mount("/", StaticFiles(directory=STATIC, html=True))

    def limit(path: str) -> int:
        return studio.max_bytes if path == UPLOADS else _SMALL

    return Guard(app, Rules(host, port, token, limit))
