"""What goes between the page and the server: texts, names of files, and errors in plain words."""

from __future__ import annotations

import errno
import json
import logging
import os
from typing import Annotated, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from semisonic.core.errors import SemisonicError
from semisonic.web.background import in_words

# What goes between the page and the server: texts that are Unicode, and names of files that need
# not be.
#
# A file's name is bytes. Python holds those that are no UTF-8 as lone surrogates, which JSON in
# UTF-8 cannot carry, so such a name goes to the page as ``///`` and its bytes, percent-encoded; no
# other name begins so, as a path never begins with three slashes. The page shows it with
# replacement
# characters (``shownName`` in ``static/api.js``). In all other texts that leave the server a lone
# surrogate becomes the replacement character; none comes in.


_BYTES = "///"


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(text: str) -> str:
    """A text for people: what UTF-8 cannot hold becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def to_page(name: str) -> str:
    """What the page calls a file."""
    return name if is_unicode(name) else _BYTES + quote_from_bytes(os.fsencode(name))


def from_page(text: str) -> str:
    """The file that the page means.

    Raises
    ------
    ValueError
        When :func:`to_page` never said so.
    """
    if not text.startswith(_BYTES):
        return text
    name = os.fsdecode(unquote_to_bytes(text.removeprefix(_BYTES)))
    if to_page(name) != text:
        raise ValueError("not the name of a file of this page")
    return name


FileName = Annotated[str, Field(max_length=12_000), AfterValidator(from_page)]


class RequestBody(BaseModel):
    """What the page sends; its texts are Unicode."""

    @model_validator(mode="before")
    @classmethod
    def _is_unicode(cls, found: Any) -> Any:
        if isinstance(found, dict):
            for name, value in found.items():
                texts = value if isinstance(value, list) else [value]
                if not all(is_unicode(text) for text in texts if isinstance(text, str)):
                    raise ValueError(f"'{name}' is not Unicode")
        return found


class Json(JSONResponse):
    """JSON of whatever texts there are."""

    def render(self, content: Any) -> bytes:
        """The bytes of the answer."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return (text if is_unicode(text) else shown(text)).encode()


# Errors as answers with plain words; the app goes on after each.


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
