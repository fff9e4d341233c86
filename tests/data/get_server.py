"""A server on this machine that behaves as badly as it is told to, and archives for it."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from semisonic.data.datasets.catalogue import Archive, RemoteFile, RemoteSet


@dataclass
class Site:
    """What a server offers and how it behaves.

    ``cuts`` holds, for each of the next answers, after how many bytes the line breaks;
    ``failures`` the status of each of the next answers; ``asked`` what was asked for; ``tag`` the
    version of the files, as it is named in answers. ``endless`` is sent again and again, with this
    pause in seconds, instead of any file.
    """

    files: dict[str, bytes]
    address: str = ""
    knows_ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    listed: dict[str, dict[str, object]] | None = None
    tag: str = ""
    endless: tuple[bytes, float] = (b"", 0.0)

    def record(self) -> dict[str, object]:
        """As Zenodo's interface gives it."""
        found = self.listed
        if found is None:
            found = {
                name: {"size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
                for name, data in self.files.items()
            }
        return {"id": 1, "files": [{"key": name, **entry} for name, entry in found.items()]}

    def remote(self, *names: str, folder: str = "birds", record: bool = True) -> RemoteSet:
        """A data set of one archive here."""
        files = tuple(RemoteFile(name, f"{self.address}/{name}") for name in names)
        return RemoteSet(
            name="birds",
            title="Birds: two clips",
            licence="CC0",
            page=self.address,
            about_gb=1e-4,
            archives=(Archive(folder, "all", files),),
            record=f"{self.address}/record" if record else "",
            data=folder,
        )

    @property
    def downloads(self) -> list[tuple[str, str]]:
        """File and range of each request for content."""
        return [(p, r) for p, r in self.asked if p != "/record"]


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Run a server for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_range = self.headers.get("Range", "")
            site.asked.append((self.path, asked_range))
            if self.path == "/record":
                return self.answer(200, json.dumps(site.record()).encode(), {})
            if site.endless[0]:
                return self.send_for_ever(*site.endless)
            if site.failures:
                return self.answer(site.failures.pop(0), b"no", {})
            data = site.files.get(self.path.lstrip("/"))
            if data is None:
                return self.answer(404, b"no", {})
            begin = 0
            if self.headers.get("If-Range", site.tag) != site.tag:
                asked_range = ""
            if asked_range and site.knows_ranges:
                begin = int(asked_range.removeprefix("bytes=").rstrip("-"))
                if begin >= len(data):
                    return self.answer(416, b"", {})
                place = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
                return self.answer(206, data[begin:], place)
            return self.answer(200, data, {})

        def send_for_ever(self, body: bytes, pause: float) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # until the other side has had enough
                while True:
                    self.wfile.write(body)
                    time.sleep(pause)

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if site.tag:
                self.send_header("ETag", site.tag)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            is_content = self.path != "/record" and status < 300
            if site.cuts and is_content:
                body = body[: site.cuts.pop(0)]
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip in memory."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
