"""``semisonic app`` from the command line: an address, an end, and plain words when it cannot."""

from __future__ import annotations

import ipaddress
import json
import re
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
from app_helpers import running

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from semisonic.cli.main import main
from systems import POSIX
from waiting import LONG, until


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_stopped(app_model, number) -> None:
    with running(str(app_model)) as (process, address):
        with urllib.request.urlopen(f"{address}api/state", timeout=LONG) as answer:
            assert b'"hiss"' in answer.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0
    assert "Stopped." in out
    assert err == ""


def test_another_address_needs_the_token_that_is_printed() -> None:
    with running("--host", "0.0.0.0") as (process, address):
        assert process.stdout is not None
        assert socket.gethostname() in process.stdout.readline()  # and by its name
        host = urllib.parse.urlsplit(address).hostname
        assert host is not None
        assert ipaddress.ip_address(host)  # which other machines know
        token = re.search(r":(\d+)/\?token=([\w-]{20,})$", address)
        assert token, address
        here = f"http://127.0.0.1:{token[1]}"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{here}/api/state", timeout=LONG)
        assert refused.value.code == 401
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(f"{here}/?token={token[2]}", timeout=LONG) as answer:
            assert b"Semisonic" in answer.read()
            assert "token" not in answer.url


@POSIX
def test_half_an_upload_and_a_broken_line_leave_it_alone(app_model) -> None:
    with running(str(app_model)) as (process, address):
        port = int(address.rstrip("/").rpartition(":")[2])
        head = (
            f"POST /api/uploads?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Origin: http://127.0.0.1:{port}\r\nContent-Length: 100000\r\n\r\n"
        )
        for content in (head.encode() + b"x" * 5000, b"\x00\xff\r\n\r\n", head.encode()[:40]):
            with socket.create_connection(("127.0.0.1", port), timeout=LONG) as line:
                line.sendall(content)
        with urllib.request.urlopen(f"{address}api/state", timeout=LONG) as answer:
            assert json.load(answer)["open"] == []
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == 0
    assert "Traceback" not in err


@POSIX
def test_what_a_file_lacks_is_told_on_the_page_alone(app_model, app_folder) -> None:
    """The terminal would name a temporary file."""
    half = (app_folder / "site" / "hum.wav").read_bytes()[:20_000]
    with running(str(app_model)) as (process, address):
        asked = urllib.request.Request(
            f"{address}api/uploads?name=half.wav", half, {"Origin": address.rstrip("/")}
        )
        with urllib.request.urlopen(asked, timeout=LONG) as answer:
            place = f"{address}api/sounds/{json.load(answer)['id']}"

        def heard() -> Any:
            with urllib.request.urlopen(place, timeout=LONG) as answer:
                facts = json.load(answer)
            return facts if facts.get("heard", {}).get("is_done") else None

        assert "truncated" in until(heard)["damage"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONG)
    assert err == ""


def test_what_is_wrong_is_told(tmp_path, capsys) -> None:
    assert main(["app", str(tmp_path / "none.zip"), "--port", "0"]) == 2
    assert "none.zip" in capsys.readouterr().err
    assert main(["app", "--folder", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "expected a folder of recordings" in capsys.readouterr().err
    assert main(["app", "--token", "only15letters!!", "--port", "0"]) == 2
    assert "found 15 characters, expected 16" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["app", "--port", port]) == 2
    assert "--port 0 takes a free port" in capsys.readouterr().err
