"""The WebSocket of the live page: samples in, scores and events out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from semisonic.core.errors import SemisonicError
from semisonic.web.live import LiveSession
from semisonic.web.state import AppState

MOST_LISTENERS = 4
_PATIENCE = 5.0


def live_routes(app_state: AppState) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")
    count = [0]

    @router.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        if count[0] >= MOST_LISTENERS:
            await _refuse(socket, f"{MOST_LISTENERS} pages are listening already")
            return
        count[0] += 1
        try:
            await _listen(socket, app_state)
        finally:
            count[0] -= 1

    return router


async def _listen(socket: WebSocket, app_state: AppState) -> None:
    loop = asyncio.get_running_loop()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def tell(message: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the app has ended
            loop.call_soon_threadsafe(outbox.put_nowait, message)

    try:
        hello = json.loads(await socket.receive_text())
        if not isinstance(hello, dict):
            raise ValueError("not a mapping")
        session = await run_in_threadpool(
            LiveSession, app_state.model, hello, tell, app_state.device
        )
    except (ValueError, KeyError, RecursionError):
        await _refuse(socket, "expected a JSON text first, then samples")
        return
    except SemisonicError as error:
        await _refuse(socket, str(error))
        return
    except WebSocketDisconnect:
        return
    session.start()
    sending = asyncio.create_task(_send(socket, outbox))
    try:
        await _receive(socket, session)
        session.end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), _PATIENCE)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        session.end()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, RuntimeError, WebSocketDisconnect):
            await sending
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


async def _receive(socket: WebSocket, session: LiveSession) -> None:
    """Take samples until the browser says that it is done, or is gone."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        content = message.get("bytes")
        if content is None:
            return
        try:
            session.put(content)
        except SemisonicError as error:
            await socket.send_json({"kind": "error", "error": str(error)})
            return


async def _send(socket: WebSocket, outbox: asyncio.Queue[dict[str, Any]]) -> None:
    """Send messages up to the last one."""
    while True:
        message = await outbox.get()
        await socket.send_json(message)
        if message["kind"] == "end":
            return


async def _refuse(socket: WebSocket, text: str) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"kind": "error", "error": text})
        await socket.close(4400)
