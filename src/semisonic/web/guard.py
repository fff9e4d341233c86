"""Who may use the app: checks before every route, and headers for every response."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHORTEST_TOKEN = 16
"""Fewest characters of a token: shorter ones can be guessed."""
STARTED = "Semisonic-Start"
"""Header of responses: the same while the app runs, different after another start."""
MOST_WRONG, WAIT_SECONDS = 10, 60.0
"""Wrong tokens of one address, and seconds in which they count, before it is refused."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'{socket}; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


def is_own(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Rules:
    """What the guard allows.

    Attributes
    ----------
    host : str
        Address that the server listens on.
    port : int
    token : str
        Empty if none is needed.
    body_limit : callable
        Gives the most bytes in a request to a path.
    """

    host: str
    port: int
    token: str
    body_limit: Callable[[str], int]

    def knows_host(self, netloc: str) -> bool:
        """Whether the Host of a request names this server, not a name that somebody points here.

        If the server listens for other machines, any IP address is accepted, as DNS rebinding
        needs a name, and so is the name of this machine.
        """
        name, port = _split(netloc)
        if port != self.port:
            return False
        if name in OWN_NAMES or name == self.host:
            return True
        if is_own(self.host):
            return False
        return _is_address(name) or name == socket.gethostname().lower()


def _split(netloc: str) -> tuple[str, int]:
    """Name and port; ("", -1) if the Host has anything else, such as a user."""
    if not _HOST.fullmatch(netloc):
        return "", -1
    try:
        parts = urlsplit(f"//{netloc}")
        return (parts.hostname or "").lower(), 80 if parts.port is None else parts.port
    except ValueError:
        return "", -1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Attempts:
    """Counts wrong tokens of each address, to refuse those that try one after another.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: list[tuple[float, str]] = []

    def too_many(self, address: str) -> bool:
        """Whether an address sent too many wrong tokens in the last minute."""
        now = self._clock()
        self._wrong = [one for one in self._wrong if now - one[0] < WAIT_SECONDS]
        return sum(who == address for _, who in self._wrong) >= MOST_WRONG

    def wrong(self, address: str) -> None:
        """Count a wrong token."""
        self._wrong.append((self._clock(), address))


class Guard:
    """ASGI middleware that passes on the requests that the rules allow."""

    def __init__(self, app: ASGIApp, rules: Rules, attempts: Attempts | None = None) -> None:
        self.app, self.rules = app, rules
        self._attempts = attempts or Attempts()
        self._pass = hmac.new(secrets.token_bytes(32), rules.token.encode(), sha256).hexdigest()
        self._cookie = f"semisonic_{rules.port}"
        self._start = secrets.token_hex(8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, then pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None and self.rules.token:
            refusal = self._without_token(scope, headers)
        if scope["type"] == "websocket":
            if refusal is not None:
                await receive()
                await send({"type": "websocket.close", "code": 4403})
                return
            await self.app(scope, receive, send)
            return
        guarded = self._with_headers(headers, scope["path"], send)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self._limited(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The response to a request from elsewhere; None if it is allowed."""
        host = headers.get("host", "")
        if not self.rules.knows_host(host):
            return _refused(
                403, f"'{host}' is not an address of this app; open the one that the terminal shows"
            )
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if origin is not None or changes:
            same = origin is not None and origin in (f"http://{host}", f"https://{host}")
            if not same:
                return _refused(403, "the request came from another page")
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"] != "/":
            return _refused(403, "the request came from another site")
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """The response to a request without the token; the right token is put into a cookie.

        Browsers also send the cookie when somebody follows a link from a mail or another site
        (``Lax``); requests that may change something must have this page as their origin anyway.
        """
        if hmac.compare_digest(self._cookie_of(headers).encode(), self._pass.encode()):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and scope["type"] == "http" and scope["path"] == "/":
            address = str((scope.get("client") or ("",))[0])
            if self._attempts.too_many(address):
                return PlainTextResponse(
                    "Too many wrong tokens came from your address. Wait a minute and try again.",
                    429,
                )
            if hmac.compare_digest(given.encode(), self.rules.token.encode()):
                answer = RedirectResponse("/", 303)
                answer.set_cookie(self._cookie, self._pass, httponly=True, samesite="lax")
                return answer
            self._attempts.wrong(address)
        if scope["path"] == "/":
            return PlainTextResponse(
                "Semisonic needs its token: open the whole address that the terminal shows.", 401
            )
        return _refused(401, "the token is missing: open the address that the terminal shows")

    def _cookie_of(self, headers: Headers) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found else ""

    def _with_headers(self, headers: Headers, path: str, send: Send) -> Send:
        # Some browsers do not count a WebSocket to the same host as 'self'.
        policy = _POLICY.format(socket=f" ws://{headers.get('host', '')}")
        if not self.rules.knows_host(headers.get("host", "")):
            policy = _POLICY.format(socket="")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    found[name] = value
                if "Content-Security-Policy" not in found:
                    found["Content-Security-Policy"] = policy
                if path.startswith("/api/"):
                    found[STARTED] = self._start
                    found.setdefault("Cache-Control", "no-store")
            await send(message)

        return guarded

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request; a body larger than the limit is an error."""
        limit, count = self.rules.body_limit(scope["path"]), 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > limit:
                text = f"too large: the limit is {limit / 1e6:g} MB"
                raise HTTPException(413, text, {"Connection": "close"})
            return message

        await self.app(scope, counted, send)


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
