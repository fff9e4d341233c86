"""Start the app from its options, and run it until it is stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterable
from typing import Any

from semisonic.audio.find import find_audio
from semisonic.core import progress
from semisonic.core.errors import OptionError
from semisonic.core.text import count_text
from semisonic.web.guard import SHORTEST_TOKEN, is_own

Say = Callable[[str], None]


def serve(
    say: Say,
    *,
    host: str,
    port: int,
    allowed_host: Iterable[str],
    token: str,
    browser: bool,
    **state: Any,
) -> None:
    """Serve the page until somebody stops it with Ctrl-C or a signal.

    The other options are those of :class:`semisonic.web.state.AppState`.

    Raises
    ------
    OptionError
        When an option is wrong or the port is taken.
    ModelError
        When the model cannot be opened.
    """
    found = [(folder, len(list(find_audio(folder)))) for folder in state.get("folder", ())]
    told = [f"{count_text(n, 'recording')} in {folder}" for folder, n in found]
    say(f"Starting Semisonic{': ' * bool(told)}{', '.join(told)}. This takes a few seconds.")
    from semisonic.web.application import Server, create_app
    from semisonic.web.state import AppState

    if token and len(token) < SHORTEST_TOKEN:
        raise OptionError(
            f"option 'token': found {len(token)} characters, expected {SHORTEST_TOKEN} or more, "
            "because a short token can be guessed; without the option, the app makes one"
        )

    progress.show_progress(False)  # progress is shown on the page, and so is what recordings lack
    of_recordings = logging.getLogger("semisonic.audio")
    level = of_recordings.level
    token = token or ("" if is_own(host) else secrets.token_urlsafe(24))
    bound = _bind(host, port)
    try:
        of_recordings.setLevel(logging.ERROR)
        port = bound.getsockname()[1]
        app = create_app(AppState(**state), host, token, allowed_host)
        address, *others = (_address(one, port, token) for one in _hosts(host))
        say(f"Semisonic is at {address}")
        for other in others:
            say(f"or at {other}")
        say("Ctrl-C stops it.")
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        Server(app).run(sockets=[bound])
        say("Stopped.")
    finally:
        of_recordings.setLevel(level)
        bound.close()


def _address(host: str, port: int, token: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _hosts(host: str) -> list[str]:
    """The addresses to print: for all addresses, this machine's own and its name."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    family = socket.AF_INET if host == "0.0.0.0" else socket.AF_INET6
    found = [socket.gethostname()]
    with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        # Nothing is sent: it is asked which address would be used (RFC 5737, RFC 3849).
        probe.connect(("192.0.2.1" if family == socket.AF_INET else "2001:db8::1", 9))
        found.insert(0, str(probe.getsockname()[0]))
    return found


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let others take the port away
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)  # so that whoever reads the address may ask at once
    except OSError as error:
        bound.close()
        raise OptionError(
            f"option 'port': cannot use port {port} of {host} ({error.strerror}); --port 0 takes "
            "a free port"
        ) from None
    return bound
