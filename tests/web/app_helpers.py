"""What tests of the app have in common."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from waiting import until

RATE = 8000
ADDRESS = "http://127.0.0.1:8765"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 120_000
PRESSED = """(button) => { const before = document.documentElement.outerHTML; button.click();
return document.documentElement.outerHTML !== before; }"""
"""Whether a press changes the page before anything is awaited."""
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Drawn again after what was done last."""
ASKED = """(before) => { const save = document.querySelector('.actions [aria-keyshortcuts=U]');
const title = document.querySelector('.labelling h2')?.textContent;
return save && !save.disabled && title !== before && title; }"""
ANSWERED = "() => !document.documentElement.matches('.working')"
LIVE = "ws://127.0.0.1:8765/api/live"


def app_of(**options: Any) -> Any:
    """What stands behind a page with these options of ``app``, on the CPU."""
    pytest.importorskip("fastapi")
    from semisonic.web.state import AppState

    return AppState(**options, device="cpu")


def started(recordings: Path, project: Path, encoder: Path) -> Any:
    """What became of a new project of three groups, with silent recordings."""
    from semisonic.labeling.options import ProjectOptions
    from semisonic.labeling.start import start_project

    how = {"clusters": "3", "silence_db": -120.0, "device": "cpu"}
    return start_project(ProjectOptions(recordings, project, encoder=str(encoder), **how))


def browsing(
    app_state: Any, token: str = "", allowed_hosts: Sequence[str] = (), **options: Any
) -> Iterator[Any]:
    """A client of a app_state; it says where it comes from, as a browser does."""
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    from semisonic.web.application import create_app

    app = create_app(app_state, "127.0.0.1", token, allowed_hosts)
    options = {"base_url": ADDRESS, "headers": {"Origin": ADDRESS}, **options}
    with TestClient(app, raise_server_exceptions=False, **options) as found:
        yield found


def sent(client: Any, path: str, body: Any) -> Any:
    """The answer to a body that is written as a browser writes it: lone surrogates as escapes."""
    headers = {"Content-Type": "application/json"}
    return client.post(f"/api/{path}", content=json.dumps(body), headers=headers)


def wait_for(client: Any, identity: str, what: str = "heard") -> Any:
    """The facts of a recording once it is ready and heard, or has failed."""

    def settled() -> Any:
        facts = client.get(f"/api/sounds/{identity}").json()
        is_ready = facts["state"] == "ready" and (what != "heard" or facts["heard"]["is_done"])
        return facts if is_ready or facts["state"] == "failed" else None

    return until(settled)


def serving(app_state: Any, token: str = "", port: int = 0, **limits: float) -> Iterator[str]:
    """The address of a running app, on a port that is free unless one is given."""
    from semisonic.web.application import Server, create_app

    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    port = bound.getsockname()[1]
    app = create_app(app_state, "127.0.0.1", token)
    server = Server(app, **limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    command = [sys.executable, "-m", "semisonic", "app", *arguments, "--no-browser", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("Semisonic is at"))
            yield process, line.split()[-1]
        finally:
            process.kill()


def opened(browser: Any, address: str, size: dict[str, int], **options: Any) -> Iterator[Any]:
    """A page whose errors fail the test."""
    context = browser.new_context(viewport=size, permissions=["microphone"], **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(address)
    yield page
    context.close()
    assert not problems, problems


def asked(page: Any, before: str = "") -> str:
    """The recording that is asked about, once it may be answered."""
    return str(page.wait_for_function(ASKED, arg=before).json_value())


class InThisProcess:
    """Stands for a process of the app: the same task in this one, when the test says go."""

    asked: ClassVar[list[InThisProcess]] = []

    def __init__(self, task: str, name: str, asked: Any, plan: Any, done: Any) -> None:
        self.name, self.task, self.done, self.runs = name, task, done, True
        self.wanted = json.loads(json.dumps({**asked}, default=str))  # as it is sent
        self.asked.append(self)

    def go(self) -> None:
        from semisonic.web import worker

        worker._TASKS[self.task](self.wanted)
        self.done()
        self.runs = False

    def cancel(self) -> None:
        self.runs = False

    close = cancel

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "state": "runs" if self.runs else "done", "at": {}}


class AtOnce(InThisProcess):
    """The same, done before the page is answered."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.go()
