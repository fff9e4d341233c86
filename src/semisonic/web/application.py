"""The whole app: routes, the static page, the guard before both, and the server."""

from __future__ import annotations

import contextlib
import functools
import re
import signal
import threading
from collections.abc import AsyncIterator, Generator, Iterable
from importlib.resources import files
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from semisonic.web import routes
from semisonic.web.guard import Guard, Rules, allowed_names
from semisonic.web.live import live_routes
from semisonic.web.state import AppState
from semisonic.web.wire import Json, speak_plainly

# Colours and fonts of the page: those of the reports, with a switch for light and dark.


NAME = "theme.css"
_BLOCK = re.compile(r":root\s*\{(.*?)\}", re.DOTALL)


@functools.cache
def theme() -> str:
    """The style sheet: the two sets of colours of reports, selected by ``data-theme`` on the root.

    Reports follow the system; the page has its own switch.
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
_TABLES = "/api/label/import"
_SMALL, _TABLE = 1_000_000, 50_000_000


def create_app(
    app_state: AppState, host: str, token: str = "", allowed_hosts: Iterable[str] = ()
) -> ASGIApp:
    """The ASGI app.

    Parameters
    ----------
    app_state : AppState
        Closed when the app ends.
    host : str
        Address that the server listens on, for the guard.
    token : str
        Token that a browser must send; empty for none.
    allowed_hosts : iterable of str
        More names that lead to the server.

    Raises
    ------
    OptionError
        If one of these is no name.
    """
    names = allowed_names(allowed_hosts)

    @contextlib.asynccontextmanager
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
    for make in (*routes.ALL, live_routes):
        app.include_router(make(app_state))

    @app.get(f"/{NAME}")
    def get_theme() -> Response:
        return Response(theme(), media_type="text/css")

    # Recordings are not zipped: a part of one that is asked for must come as it is.
    app.mount("/", GZipMiddleware(StaticFiles(directory=STATIC, html=True)))

    def limit(path: str) -> int:
        return {UPLOADS: app_state.max_bytes, _TABLES: _TABLE}.get(path, _SMALL)

    return Guard(app, Rules(host.lower(), token, limit, names))


class Server(uvicorn.Server):
    """Like uvicorn's server, but Ctrl-C and ``kill`` only end it and are not raised again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Within the block, both signals end the server."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
