"""The app answers its own page on its own machine, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from app_helpers import ADDRESS, LIVE, browsing, serving

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from starlette.websockets import WebSocketDisconnect

from calls import cli
from semisonic.web.guard import Attempts, Guard, Rules
from systems import LINKS
from waiting import LONG

TOKEN = "open sesame, please"


@pytest.fixture
def outside(app_state) -> Iterator[Any]:
    """A browser that does not know the token."""
    yield from browsing(app_state, token=TOKEN)


OPENED = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
"""What browsers send when somebody opens a page."""


def answers(client: Any, host: str) -> int:
    """The status of a request of the app's own page under a name."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    found = client.get("/api/state", headers=headers).status_code
    assert client.post("/api/examples/bird", headers=headers).status_code == found
    return int(found)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "10.0.0.7:8765", "localhost.evil.example", "", "[::1"],
)
def test_another_name_is_refused(client, host) -> None:
    assert answers(client, host) == 403
    assert "error" in client.get("/api/state", headers={"Host": host}).json()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "localhost:9000", "LOCALHOST", "127.0.0.1"],
)
def test_its_own_names_are_known_on_any_port(client, host) -> None:
    assert answers(client, host) == 200


@pytest.fixture
def named(monkeypatch) -> None:
    """This machine is called studio."""
    monkeypatch.setattr("socket.gethostname", lambda: "Studio.lan.example")


HERE = ["studio", "studio.local:8765", "studio.lan.example:9000"]


@pytest.mark.parametrize("host", [*HERE, "10.0.0.7:9000", "[fe80::1]:8765", "localhost:9000"])
def test_names_of_the_machine_are_known_where_others_can_reach_it(named, host) -> None:
    assert Rules("0.0.0.0", TOKEN, lambda _: 0).knows_host(host)
    assert not Rules("0.0.0.0", TOKEN, lambda _: 0).knows_host("evil.example:8765")


@pytest.mark.parametrize("host", HERE)
def test_without_a_token_no_name_that_a_network_gives_is_known(named, client, host) -> None:
    assert answers(client, host) == 403


def test_more_names_can_be_allowed(app_state) -> None:
    for client in browsing(app_state, allowed_hosts=["Sounds.example.org", "10.0.0.7"]):
        for host in ("sounds.example.org", "sounds.example.org:8443", "10.0.0.7:9000"):
            assert answers(client, host) == 200
        assert answers(client, "evil.example") == 403
        assert answers(client, "www.sounds.example.org") == 403
        behind = {"Host": "sounds.example.org", "Origin": "https://sounds.example.org"}
        assert client.post("/api/examples/bird", headers=behind).status_code == 200
        other = {"Host": "sounds.example.org", "Origin": ADDRESS}
        assert client.post("/api/examples/bird", headers=other).status_code == 403


@pytest.mark.parametrize("name", ["http://sounds.example.org", "sounds.example.org:80", "*", ""])
def test_an_allowed_name_that_is_none_is_an_error(name, capsys) -> None:
    assert cli("app --port 0 --no-browser --allowed-host", [name]) == 2
    assert f"found '{name}', expected a name or an address without port" in capsys.readouterr().err


def test_who_opens_the_page_under_another_name_reads_what_to_do(client) -> None:
    page = client.get("/", headers={"Host": "bücher.example:80".encode(), **OPENED})
    assert (page.status_code, "--allowed-host" in page.text) == (403, False)
    page = client.get("/", headers={"Host": "sounds.example.org:80", **OPENED})
    assert page.status_code == 403
    assert page.headers["content-type"].startswith("text/html")
    assert "&#x27;sounds.example.org&#x27; is not a name of this app" in page.text
    assert "--allowed-host sounds.example.org" in page.text
    asked = client.get("/api/state", headers={"Host": "sounds.example.org:80", **OPENED})
    assert "--allowed-host sounds.example.org" in asked.json()["error"]


def test_a_page_of_refusal_runs_nothing_that_a_name_holds(client) -> None:
    page = client.get("/", headers={"Host": "<script>alert(1)</script>", **OPENED})
    assert page.status_code == 403
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_another_page_may_not_change_anything(client, origin) -> None:
    answer = client.post("/api/examples/bird", headers={"Origin": origin})
    assert answer.status_code == 403
    assert client.get("/api/state").json()["open"] == []


def test_a_change_must_say_where_it_comes_from(client) -> None:
    del client.headers["Origin"]
    assert client.post("/api/examples/bird").status_code == 403
    assert client.get("/api/state").status_code == 200


def test_another_site_may_not_embed_a_recording(client) -> None:
    del client.headers["Origin"]
    answer = client.get("/api/state", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_a_websocket_of_another_page_is_refused(client, headers) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(LIVE, headers={"Origin": ADDRESS, **headers}) as socket,
    ):
        socket.receive_json()
    assert refused.value.code == 4403


def test_a_websocket_without_origin_is_refused(client) -> None:
    del client.headers["Origin"]
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass


def test_every_answer_has_the_headers(client) -> None:
    for path in ("/", "/api/state", "/api/sounds/none", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_without_the_token_there_is_nothing(outside) -> None:
    for path in ("/api/state", "/app.js", "/api/sounds/x/audio.wav", "/?token=guess"):
        answer = outside.get(path, follow_redirects=False)
        assert answer.status_code == 401, path
    with pytest.raises(WebSocketDisconnect), outside.websocket_connect(LIVE):
        pass


def test_the_token_becomes_a_cookie(outside) -> None:
    answer = outside.get(f"/?token={quote(TOKEN)}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "sesame" not in cookie
    assert outside.get("/api/state").status_code == 200


def test_the_tokens_of_two_ports_do_not_mix(outside) -> None:
    link = f"/?token={quote(TOKEN)}"
    names = set()
    for port in (9000, 9001):  # as of two containers, which have one port inside
        headers = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}"}
        answer = outside.get(link, headers=headers, follow_redirects=False)
        names.add(answer.headers["set-cookie"].partition("=")[0])
        assert outside.get("/api/state", headers=headers).status_code == 200
    assert len(names) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../closed/secret.wav",
        "site/../../closed/secret.wav",
        "..%2fclosed%2fsecret.wav",
        "%2e%2e/closed/secret.wav",
        "..\\closed\\secret.wav",
        "/etc/passwd",
        "notes.txt",
        "site",
        ".",
        "",
        "site/hum.wav\0.wav",
        "nothing.wav",
    ],
)
def test_nothing_outside_the_opened_folders_is_read(client, app_folder, name) -> None:
    not_read(client, name)
    not_read(client, str(app_folder.parent / "closed" / "secret.wav"))


@LINKS
def test_no_link_out_of_the_opened_folders_is_followed(client, app_folder) -> None:
    closed = app_folder.parent / "closed"
    (app_folder / "out.wav").symlink_to(closed / "secret.wav")
    (app_folder / "outside").symlink_to(closed, target_is_directory=True)
    not_read(client, "out.wav")
    not_read(client, "outside/secret.wav")


def not_read(client: Any, name: str) -> None:
    answer = client.post("/api/folders/open", json={"folder": 0, "name": name})
    assert answer.status_code == 400, answer.text
    listed = client.get("/api/folders/0").json()["files"]
    assert listed == ["hiss.wav", "site/hum.wav"]


@pytest.mark.parametrize("number", [-1, 1, 99])
def test_only_opened_folders_are_listed(client, number) -> None:
    assert client.get(f"/api/folders/{number}").status_code == 400


@pytest.mark.parametrize(
    "path", ["/../options.py", "/%2e%2e/options.py", "/..%2foptions.py", "//etc/x", "/app_state.py"]
)
def test_static_files_are_those_of_the_page(client, path) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404)
    assert "dataclass" not in answer.text


@pytest.mark.parametrize(
    "host", ["x;script-src *;y@127.0.0.1:8765", "user@127.0.0.1:8765", "127.0.0.1:8765/x"]
)
def test_a_host_with_anything_but_name_and_port_is_refused(client, host) -> None:
    answer = client.get("/api/state", headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status_code == 403
    assert "script-src *" not in answer.headers["content-security-policy"]


def test_who_tries_many_tokens_is_turned_away_for_a_minute() -> None:
    now = [1000.0]
    attempts = Attempts(lambda: now[0])
    guard = Guard(_page, Rules("0.0.0.0", TOKEN, lambda _: 0), attempts)
    assert {_asked(guard, "10.0.0.1", f"guess {number}") for number in range(10)} == {401}
    assert _asked(guard, "10.0.0.1", TOKEN) == 429
    assert _asked(guard, "10.0.0.2", TOKEN) == 303  # another address does not wait
    now[0] += 61.0
    assert _asked(guard, "10.0.0.1", TOKEN) == 303


async def _page(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the page was reached")


def _asked(guard: Guard, address: str, token: str) -> int:
    """The status of opening the link with a token."""
    found: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": f"token={quote(token)}".encode(),
        "headers": [(b"host", b"10.0.0.9:8765")],
        "client": (address, 5000),
    }
    asyncio.run(guard(scope, receive, send))
    return found[0]


def half_open(address: str, sent: bytes = b"GET / HTTP/1.1\r\nHost: 127.") -> socket.socket:
    """A connection on which no whole request was sent."""
    port = urlsplit(address).port
    assert port is not None
    line = socket.create_connection(("127.0.0.1", port), timeout=LONG)
    line.sendall(sent)
    return line


def test_connections_that_ask_for_nothing_shut_nobody_out(app_state) -> None:
    for address in serving(app_state):
        with contextlib.ExitStack() as opened:
            for number in range(300):
                sent = [b"", b"GET / HTTP/1.1\r\nHost: 127."][number % 2]
                opened.enter_context(half_open(address, sent))
            with urllib.request.urlopen(f"{address}api/state", timeout=LONG) as answer:
                assert answer.status == 200


def test_a_connection_ends_if_the_head_of_a_request_does_not_come(app_state) -> None:
    for address in serving(app_state, head_seconds=0.2):
        with half_open(address) as line:
            assert line.recv(1) == b""
        whole = f"HEAD /favicon.ico HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\n\r\n"
        with half_open(address, whole.encode()) as line:  # also after a whole request
            assert line.recv(1000).endswith(b"\r\n\r\n")
            line.sendall(whole[:20].encode())
            assert line.recv(1) == b""
