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

from semisonic.web.guard import Guard, Rules
from semisonic.web.labelling_routes import labelling_routes
from semisonic.web.live_routes import live_routes
from semisonic.web.routes import project_routes, recording_routes, run_routes, state_routes
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


STATIC = Path(__file__).parent / "static"
UPLOADS = "/api/uploads"
_SMALL = 1_000_000


def create_app(app_state: AppState, host: str, port: int, token: str = "") -> ASGIApp:
    """The ASGI app.

    Parameters
    ----------
    app_state : AppState
        Closed when the app ends.
    host, port
        Where it will listen, for the guard.
    token : str
        What a browser must know; empty for nothing.
    """

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        yield
        app_state.close()

    app = FastAPI(
        lifespan=closing,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        default_response_class=Json,
    )
    speak_plainly(app)
    for routes in (
        *(state_routes, recording_routes, run_routes),
        *(labelling_routes, project_routes, live_routes),
    ):
        app.include_router(routes(app_state))

    @app.get(f"/{NAME}")
    def get_theme() -> Response:
        return Response(theme(), media_type="text/css")

    app.mount("/", StaticFiles(directory=STATIC, html=True))

    def limit(path: str) -> int:
        return app_state.max_bytes if path == UPLOADS else _SMALL

    return Guard(app, Rules(host, port, token, limit))
