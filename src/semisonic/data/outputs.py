"""Results whose place is a URL: made in a folder of this machine, then copied there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semisonic.audio.remote import storage, url_of
from semisonic.base.errors import DataError, OptionError


@contextmanager
def placed(output: Path) -> Iterator[Path]:
    """The folder to write results into for a block.

    For a URL it is a temporary folder with what is at the URL by now; it is copied there when the
    block is left, by an error or Ctrl-C too, so that the same command goes on. Only a process
    that is killed leaves nothing there.

    Raises
    ------
    DataError
        When the storage cannot be read or written.
    """
    url = url_of(output)
    if url is None:
        yield output
        return
    files, place = storage(url)
    place = place.rstrip("/") + "/"
    with tempfile.TemporaryDirectory(prefix="semisonic-") as parent:
        folder = Path(parent) / "results"
        folder.mkdir()
        try:
            if files.exists(place):
                files.get(place, f"{folder}/", recursive=True)
        except Exception as error:  # each kind of storage has errors of its own
            raise DataError(f"{url}: cannot be read ({error})") from error
        try:
            yield folder
        finally:
            try:
                files.put(f"{folder}/", place, recursive=True)
            except Exception as error:
                raise DataError(f"{url}: cannot be written ({error})") from error


def refuse_url(output: Path) -> None:
    """Raise OptionError when an output is a URL that has to be a folder."""
    url = url_of(output)
    if url is not None:
        raise OptionError(f"output: found '{url}', expected a folder of this machine")
