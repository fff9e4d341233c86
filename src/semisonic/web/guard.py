"""Who may use the app: checks before every route, and headers for every response."""

from __future__ import annotations

import hmac
import html
import ipaddress
import re
import secrets
import socket
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semisonic.core.errors import OptionError

SHORTEST_TOKEN = 16
"""Fewest characters of a token: shorter ones can be guessed."""
STARTED = "Semisonic-Start"
"""Header of responses: the same while the app runs, different after another start."""
MOST_WRONG, WAIT_SECONDS = 10, 60.0
"""Wrong tokens of one address, and seconds in which they count, before it is refused."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
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
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Semisonic</title></head>
<body><h1>Semisonic does not show its page</h1><p>{}.</p></body>
</html>
"""


def is_own(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(netloc: str) -> str:
    """The host in ``name``, ``name:port`` or ``[address]:port``, in lower case.

    It is empty if there is anything else, such as a user.
    """
    if not _HOST.fullmatch(netloc):
        return ""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


def allowed_names(names: Iterable[str]) -> frozenset[str]:
    """The names of the option ``allowed_host``, in lower case.

    Raises
    ------
    OptionError
        If one has a port or is no name.
    """
    for name in names:
        if not (_is_address(name) or (":" not in name and host_name(name))):
            raise OptionError(
                f"option 'allowed_host': found '{name}', expected a name or an address without "
                "port, such as studio.local"
            )
    return frozenset(name.lower() for name in names)


def names_of_machine() -> set[str]:
    """The names under which other machines know this one: its own, and that of mDNS."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return {name, short, f"{short}.local"}


@dataclass(frozen=True)
class Rules:
    """What the guard allows.

    Attributes
    ----------
    host : str
        Address that the server listens on.
    token : str
        Empty if none is needed.
    body_limit : callable
        Gives the most bytes in a request to a path.
    allowed_hosts : collection of str
        More names that lead to this server, in lower case.
    """

    host: str
    token: str
    body_limit: Callable[[str], int]
    allowed_hosts: Collection[str] = ()

    def knows_host(self, netloc: str) -> bool:
        """Whether the Host of a request names this server, not a name that somebody points here.

        Any port is accepted, as tunnels and containers have ports of their own, which page and
        requests have in common. If the server listens for other machines, any IP address is
        accepted, as DNS rebinding needs a name, and so are the names of this machine. If it
        listens for this machine only, it needs no token, and a network could point such a name
        here.
        """
        name = host_name(netloc)
        if not name:
            return False
        if is_own(name) or name == self.host or name in self.allowed_hosts:
            return True
        if is_own(self.host):
            return False
        return _is_address(name) or name in names_of_machine()


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
        refused = partial(_refused, scope, headers, 403)
        if not self.rules.knows_host(host):
            name = host_name(host)
            more = (
                f" If you know that {name} leads to this app, start the app with the option "
                f"--allowed-host {name}"
            )
            return refused(
                f"'{name or host}' is not a name of this app. Open the address that the terminal "
                f"shows.{more * bool(name)}"
            )
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if origin is not None or changes:
            same = origin is not None and origin in (f"http://{host}", f"https://{host}")
            if not same:
                return refused("the request came from another page")
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"] != "/":
            return refused(
                "the request came from another site. Open the address that the terminal shows"
            )
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """The response to a request without the token; the right token is put into a cookie.

        Browsers also send the cookie when somebody follows a link from a mail or another site
        (``Lax``); requests that may change something must have this page as their origin anyway.
        """
        cookie = _cookie_name(headers)
        if hmac.compare_digest(_cookie_of(headers, cookie).encode(), self._pass.encode()):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and scope["type"] == "http" and scope["path"] == "/":
            address = str((scope.get("client") or ("",))[0])
            if self._attempts.too_many(address):
                return _refused(
                    scope,
                    headers,
                    429,
                    "too many wrong tokens came from your address. Wait a minute and try again",
                )
            if hmac.compare_digest(given.encode(), self.rules.token.encode()):
                answer = RedirectResponse("/", 303)
                answer.set_cookie(cookie, self._pass, httponly=True, samesite="lax")
                return answer
            self._attempts.wrong(address)
        text = "the token is missing or wrong. Open the whole address that the terminal shows"
        return _refused(scope, headers, 401, text)

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


def _cookie_name(headers: Headers) -> str:
    """Browsers send a cookie to all ports of a host, so that each port needs its own."""
    found = _HOST.fullmatch(headers.get("host", ""))
    return f"semisonic_{((found and found[2]) or ':80')[1:]}"


def _cookie_of(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _refused(scope: Scope, headers: Headers, status: int, text: str) -> Response:
    """The reason of a refusal: a page for somebody who opens one, JSON for everything else."""
    is_page = "text/html" in headers.get("accept", "") and not scope["path"].startswith("/api/")
    if not is_page:
        return JSONResponse({"error": text}, status)
    return HTMLResponse(_PAGE.format(html.escape(text[:1].upper() + text[1:])), status)
