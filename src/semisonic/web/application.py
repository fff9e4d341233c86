"""The whole app: routes, the static page, the guard before both, and the server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import signal
import threading
from collections.abc import AsyncIterator, Generator, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

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


HEAD_SECONDS, MOST_HALF_OPEN = 10.0, 100
"""Seconds for the head of a request, and the most connections that wait for one."""


class _Connection(H11Protocol):
    """A connection that is closed if no whole head of a request comes, as uvicorn does not do.

    Without a limit, a program that opens connections and sends nothing shuts all others out. Of too
    many, the longest waiting goes, so that who does ask at once is answered even meanwhile.
    """

    def __init__(
        self,
        half_open: dict[_Connection, asyncio.TimerHandle],
        head_seconds: float,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._half_open, self._head_seconds = half_open, head_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; wait for the rest of its head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self in self._half_open or self.transport.is_closing():
            return
        if len(self._half_open) == MOST_HALF_OPEN:
            longest = next(iter(self._half_open))
            longest._wait_no_more()
            longest.transport.close()
        self._half_open[self] = self.loop.call_later(self._head_seconds, self.transport.close)

    def _wait_no_more(self) -> None:
        timer = self._half_open.pop(self, None)
        if timer is not None:
            timer.cancel()


class Server(uvicorn.Server):
    """uvicorn's server for the app; Ctrl-C and ``kill`` only end it and are not raised again.

    Parameters
    ----------
    app : ASGI app
    head_seconds : float
        After which a connection is closed if the head of a request is not complete.
    """

    def __init__(self, app: ASGIApp, head_seconds: float = HEAD_SECONDS) -> None:
        connection: Any = functools.partial(_Connection, {}, head_seconds)
        super().__init__(
            uvicorn.Config(
                app,
                http=connection,
                log_level="error",
                access_log=False,
                server_header=False,
                ws="websockets-sansio",
                ws_max_size=1 << 20,
                timeout_graceful_shutdown=2,
                limit_concurrency=256,
            )
        )

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
