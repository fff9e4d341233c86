"""A server that ends quietly when it is told to."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator

import uvicorn


class Server(uvicorn.Server):
    """As uvicorn's, but Ctrl-C and ``kill`` end it and are not raised again behind it."""

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
