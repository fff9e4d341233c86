"""The app answers its own page on its own machine, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_helpers import ADDRESS, LIVE, browsing

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from starlette.websockets import WebSocketDisconnect


@pytest.fixture
def outside(studio: Any) -> Iterator[Any]:
    """A browser that does not know the token."""
    yield from browsing(studio, token="open sesame")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:80", "10.0.0.7:8765", "", "[::1"],
)
def test_another_name_is_refused(client: Any, host: str) -> None:
    answer = client.get("/api/studio", headers={"Host": host})
    assert answer.status_code == 403
    assert "error" in answer.json()


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765"])
def test_its_own_names_are_known(client: Any, host: str) -> None:
    origin = f"http://{host}"
    assert client.get("/api/studio", headers={"Host": host, "Origin": origin}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_another_page_may_not_change_anything(client: Any, origin: str) -> None:
    answer = client.post("/api/examples/bird", headers={"Origin": origin})
    assert answer.status_code == 403
    assert client.get("/api/studio").json()["open"] == []


def test_a_change_must_say_where_it_comes_from(client: Any) -> None:
    del client.headers["Origin"]
    assert client.post("/api/examples/bird").status_code == 403
    assert client.get("/api/studio").status_code == 200


def test_another_site_may_not_embed_a_recording(client: Any) -> None:
    del client.headers["Origin"]
    answer = client.get("/api/studio", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_a_websocket_of_another_page_is_refused(client: Any, headers: dict[str, str]) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(LIVE, headers={"Origin": ADDRESS, **headers}) as socket,
    ):
        socket.receive_json()
    assert refused.value.code == 4403


def test_a_websocket_without_origin_is_refused(client: Any) -> None:
    del client.headers["Origin"]
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass


def test_every_answer_has_the_headers(client: Any) -> None:
    for path in ("/", "/api/studio", "/api/sounds/none", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_without_the_token_there_is_nothing(outside: Any) -> None:
    for path in ("/api/studio", "/app.js", "/api/sounds/x/audio.wav", "/?token=guess"):
        answer = outside.get(path, follow_redirects=False)
        assert answer.status_code == 401, path
    with pytest.raises(WebSocketDisconnect), outside.websocket_connect(LIVE):
        pass


def test_the_token_becomes_a_cookie(outside: Any) -> None:
    answer = outside.get("/?token=open%20sesame", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "sesame" not in cookie
    assert outside.get("/api/studio").status_code == 200


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
        "out.wav",
        "outside/secret.wav",
        "site/hum.wav\0.wav",
        "nothing.wav",
    ],
)
def test_nothing_outside_the_opened_folders_is_read(
    client: Any, app_folder: Path, name: str
) -> None:
    closed = app_folder.parent / "closed"
    links = {app_folder / "out.wav": closed / "secret.wav", app_folder / "outside": closed}
    for link, target in links.items():
        if not link.is_symlink():
            link.symlink_to(target)
    answer = client.post("/api/places", json={"folder": 0, "name": name})
    assert answer.status_code == 400, answer.text
    absolute = client.post("/api/places", json={"folder": 0, "name": str(closed / "secret.wav")})
    assert absolute.status_code == 400
    listed = client.get("/api/folders/0").json()["files"]
    assert listed == ["hiss.wav", "site/hum.wav"]


@pytest.mark.parametrize("number", [-1, 1, 99])
def test_only_opened_folders_are_listed(client: Any, number: int) -> None:
    assert client.get(f"/api/folders/{number}").status_code == 400


@pytest.mark.parametrize(
    "path", ["/../options.py", "/%2e%2e/options.py", "/..%2foptions.py", "//etc/x", "/studio.py"]
)
def test_static_files_are_those_of_the_page(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404)
    assert "dataclass" not in answer.text
