"""Errors as answers with plain words; the app goes on after each."""

from __future__ import annotations

import errno
import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from semisonic.apps.web.wire import Json
from semisonic.apps.web.words import in_words
from semisonic.base.errors import SemisonicError

_log = logging.getLogger(__name__)


def speak_plainly(app: FastAPI) -> None:
    """Give every error of the app the form ``{"error": text}``."""

    @app.exception_handler(SemisonicError)
    async def refused(_: Request, error: SemisonicError) -> Response:
        return Json({"error": in_words(error)}, 400)

    @app.exception_handler(OSError)
    async def unreadable(_: Request, error: OSError) -> Response:
        # A full disk, a folder that was taken away: nothing that a look into our code could mend.
        return Json({"error": in_words(error)}, 507 if error.errno == errno.ENOSPC else 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first.get("loc", ())[1:])
        return Json({"error": f"{where}: {first.get('msg')}"}, 422)

    @app.exception_handler(HTTPException)
    async def missing(_: Request, error: HTTPException) -> Response:
        return Json({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        _log.error("%s %s: %r", request.method, request.url.path, error)
        return Json({"error": f"this is a bug of ours: {type(error).__name__}"}, 500)
