"""One browser that streams its microphone: the sound in, scores and events out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from semisonic.audio.live import LiveBlock, LiveGap
from semisonic.classifier.config import AUTO
from semisonic.classifier.live.listen import listen
from semisonic.classifier.live.scorer import WindowScores
from semisonic.core.errors import AudioError, OptionError, SemisonicError
from semisonic.data.events import make_events
from semisonic.models.sound_model import SoundModel
from semisonic.web.analysis import RULES, event_options
from semisonic.web.downloads import download_labels
from semisonic.web.wire import Text

if TYPE_CHECKING:
    from semisonic.web.state import AppState

# Sound from a browser, as a live source like a microphone.


_WAITING = 512
_FULL_SCALE = np.float32(1 / 32768)


class BrowserSource:
    """A live source of 16-bit mono samples, put in block by block.

    Parameters
    ----------
    sample_rate : int
        Hz.
    """

    name = "the browser's microphone"
    speed = 1.0

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._waiting: queue.Queue[LiveBlock | LiveGap | None] = queue.Queue(_WAITING)

    def put(self, content: bytes) -> None:
        """Add samples, little endian.

        Raises
        ------
        AudioError
            When the last sample is incomplete.
        """
        if len(content) % 2:
            raise AudioError(self.name, f"found {len(content)} bytes, expected 2 for each sample")
        samples = np.frombuffer(content, "<i2").astype(np.float32) * _FULL_SCALE
        block = LiveBlock(samples, time.monotonic())
        try:
            self._waiting.put_nowait(block)
        except queue.Full:
            self._drop(len(samples))

    def end(self) -> None:
        """Mark the end of the sound."""
        while True:
            try:
                self._waiting.put_nowait(None)
                return
            except queue.Full:
                self._waiting.get_nowait()

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        """The sound, to its end."""
        while (block := self._waiting.get()) is not None:
            yield block

    def _drop(self, n: int) -> None:
        """Drop the newest samples, and replace the oldest waiting block by a gap."""
        lost = n / self.sample_rate
        try:
            oldest = self._waiting.get_nowait()
        except queue.Empty:
            return
        lost += len(oldest.samples) / self.sample_rate if isinstance(oldest, LiveBlock) else 0.0
        self._waiting.put_nowait(LiveGap(lost, "scoring is slower than real time"))


# One browser that streams its microphone: the sound in, scores and events out.


RATES = (8_000, 192_000)
HOPS = (0.05, 5.0)
_log = logging.getLogger(__name__)
Tell = Callable[[dict[str, Any]], None]


class LiveSession:
    """Listens to one browser in its own thread, as ``semisonic listen`` does.

    Parameters
    ----------
    model : SoundModel
    hello : mapping
        First message of the browser: ``rate`` (Hz), optionally ``hop`` (s), and any of
        ``RULES``.
    tell : callable
        Called with each message for the browser, in the session's thread.

    Attributes
    ----------
    source : BrowserSource
        Where the caller puts the sound, and ends it.

    Raises
    ------
    OptionError
        When a value from the browser is not allowed.
    """

    def __init__(
        self,
        model: SoundModel,
        hello: Mapping[str, Any],
        tell: Tell,
        device: str = "cpu",
        threshold: str = AUTO,
    ) -> None:
        rate = _within("rate", hello.get("rate"), RATES)
        hop = {"hop": _within("hop", hello["hop"], HOPS)} if "hop" in hello else {}
        rules = {name: hello[name] for name in RULES if name in hello}
        options = event_options(model, rules, threshold, **hop)
        self._model, self._tell = model, tell
        self.source = BrowserSource(round(rate))
        self._listening = listen(
            model, self.source, options, on_scores=self._say_scores, device=device
        )

    def run(self) -> None:
        """Listen until the sound ends; open events end then and are reported."""
        hop = self._listening.meter.hop
        try:
            self._tell({"kind": "ready", "classes": self._model.classes, "hop": hop})
            for event in self._listening:
                self._tell({"kind": "event", **event.to_dict()})
        except SemisonicError as error:
            self._tell({"kind": "error", "error": str(error)})
        except Exception as error:
            _log.exception("a live session failed")
            self._tell({"kind": "error", "error": f"failed: {type(error).__name__}"})
        finally:
            self._tell({"kind": "end", "summary": self._listening.meter.summary()})

    def _say_scores(self, window: WindowScores, _: datetime) -> None:
        meter = self._listening.meter
        self._tell(
            {
                "kind": "scores",
                "start_time": round(window.start_time, 3),
                "end_time": round(window.end_time, 3),
                "silent": window.is_silent,
                "scores": [round(score, 4) for score in window.scores.tolist()],
                "latency": round(meter.latencies[-1], 4) if meter.latencies else None,
                "work": round(meter.real_time_factor, 4),
                "skipped": meter.n_skipped,
            }
        )


def _within(name: str, found: Any, limits: tuple[float, float]) -> float:
    low, high = limits
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not low <= found <= high:
        raise OptionError(f"{name}: found {found!r}, expected a number from {low:g} to {high:g}")
    return float(found)


# The routes of the live page: its WebSocket, and its events as a file.


MOST_LISTENERS = 4
SILENT_SECONDS = 30.0
"""A page that sends nothing for this long is disconnected."""
Heard = tuple[float, float, Text, float]
"""Start and end in seconds, label and score of an event that the page kept."""
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

    @router.post("/live/tables/{kind}")
    def save(
        kind: str,
        name: Annotated[Text, Body()],
        events: Annotated[list[Heard], Body()],
    ) -> Response:
        names = ("file", "start_time", "end_time", "label", "score")
        rows = [dict(zip(names, (name, *event), strict=True)) for event in events]
        found = make_events(rows).sort_values(["start_time", "end_time"])
        return download_labels(name, found, kind)

    return router


async def _listen(socket: WebSocket, app_state: AppState) -> None:
    loop = asyncio.get_running_loop()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def tell(message: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the app has ended
            loop.call_soon_threadsafe(outbox.put_nowait, message)

    try:
        hello = json.loads(await asyncio.wait_for(socket.receive_text(), SILENT_SECONDS))
        if not isinstance(hello, dict):
            raise ValueError("not a mapping")
        session = await run_in_threadpool(
            LiveSession, app_state.model, hello, tell, app_state.device, app_state.threshold
        )
    except TimeoutError:
        await _refuse(socket, f"nothing came for {SILENT_SECONDS:g} s")
        return
    except SemisonicError as error:
        await _refuse(socket, str(error))
        return
    except (ValueError, KeyError, RecursionError):
        await _refuse(socket, "expected a JSON text first, then samples")
        return
    except WebSocketDisconnect:
        return
    threading.Thread(target=session.run, name="live", daemon=True).start()
    sending = asyncio.create_task(_send(socket, outbox))
    try:
        await _receive(socket, session.source)
        session.source.end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), _PATIENCE)
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        session.source.end()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, RuntimeError, WebSocketDisconnect):
            await sending
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


async def _receive(socket: WebSocket, source: BrowserSource) -> None:
    """Take samples until the browser ends the sound or the connection."""
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), SILENT_SECONDS)
        except TimeoutError:
            error = f"no sound came for {SILENT_SECONDS:g} s"
            await socket.send_json({"kind": "error", "error": error})
            return
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        content = message.get("bytes")
        if content is None:
            return
        try:
            source.put(content)
        except SemisonicError as error:
            await socket.send_json({"kind": "error", "error": str(error)})
            return


async def _send(socket: WebSocket, outbox: asyncio.Queue[dict[str, Any]]) -> None:
    """Send messages up to the "end" message."""
    while True:
        message = await outbox.get()
        await socket.send_json(message)
        if message["kind"] == "end":
            return


async def _refuse(socket: WebSocket, text: str) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"kind": "error", "error": text})
        await socket.close(4400)
