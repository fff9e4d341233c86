"""What the page and the server exchange: names of files, and errors in plain words."""

from __future__ import annotations

import errno
import json
import logging
import os
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, PlainValidator
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from semisonic.core.errors import SemisonicError
from semisonic.web.background import in_words

# A file's name is bytes. In Python and JavaScript, bytes that are not UTF-8 are lone surrogates,
# and JSON in ASCII carries them both ways. All other incoming texts are Unicode: pydantic checks
# this for every text with a maximum length.


def _file_name(found: Any) -> str:
    try:
        if len(os.fsencode(found)) <= _LONGEST_NAME:
            return str(found)
    except (TypeError, UnicodeEncodeError):
        pass
    raise ValueError("not the name of a file")


_LONGEST_NAME = 4096
FileName = Annotated[str, PlainValidator(_file_name)]
Text = Annotated[str, Field(max_length=500)]


class Json(JSONResponse):
    """JSON in ASCII, for all texts."""

    def render(self, content: Any) -> bytes:
        """The bytes of the response."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def download(name: str, content: str | bytes, kind: str) -> Response:
    """A download; the name is encoded by RFC 6266 if it is not ASCII."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    quoted = quote(name, safe="", errors="replace")
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}"
    headers = {"Content-Disposition": disposition}
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogateescape")
    return Response(content, headers=headers, media_type=kind)


# Errors as responses in plain words; the app continues after each.


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
        return Json({"error": f"this is a bug in Semisonic: {type(error).__name__}"}, 500)
