"""A file that comes over the wire, into the temporary folder, within its limits."""

from __future__ import annotations

from fastapi import Request

from semisonic.apps.web.shelf import Shelf
from semisonic.apps.web.sound import Sound
from semisonic.base.errors import DataError


async def receive(request: Request, shelf: Shelf, name: str) -> Sound:
    """Take the body of a request as a file; half a file is removed.

    Raises
    ------
    DataError
        When there is no room, or nothing came.
    """
    identity, shown, path = shelf.new_file(name)
    room, count = shelf.max_bytes - shelf.used(), 0
    kept = False
    try:
        with path.open("wb") as target:
            async for chunk in request.stream():
                count += len(chunk)
                if count > room:
                    raise DataError("no room left for this file; close other recordings first")
                target.write(chunk)
        if not count:
            raise DataError(f"'{shown}' is empty")
        kept = True
    finally:
        if not kept:
            path.unlink(missing_ok=True)
    return Sound(shown, path, identity, is_own=True)
