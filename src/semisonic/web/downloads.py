"""Events and answers as label files of other programs, to download from the page."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from starlette.responses import Response

from semisonic.core.errors import DataError
from semisonic.core.files import write_csv
from semisonic.core.options import nearest
from semisonic.core.temporary import temporary_folder
from semisonic.core.text import count_text
from semisonic.data.events import Events
from semisonic.data.formats.formats import unwritable
from semisonic.data.formats.label_files import format_of, write_labels
from semisonic.web.wire import download

KINDS = ("csv", "raven", "audacity")
"""Formats that the page offers."""
_DIGITS = 4  # of a score, as in the tables of detect and listen
_MEDIA_TYPES = {"csv": "text/csv", "txt": "text/plain", "zip": "application/zip"}


def download_labels(stem: str, events: Events, kind: str, root: Path | None = None) -> Response:
    """The response with a label file; see :func:`label_file`.

    ``stem`` is the name of the file without its suffix.
    """
    suffix, content = label_file(events, kind, root)
    return download(stem + suffix, content, _MEDIA_TYPES[suffix.rpartition(".")[2]])


def label_file(events: Events, kind: str, root: Path | None = None) -> tuple[str, bytes]:
    """Events as a label file for another program.

    Parameters
    ----------
    events : Events
        With names of recordings relative to their folder.
    kind : str
        One of ``KINDS``; "raven" and "audacity" write a file for each recording.
    root : Path, optional
        That folder, to read the sample rates that selections of Raven reach to.

    Returns
    -------
    tuple of str and bytes
        The suffix and the content. Several files are put into a zip archive; one of them,
        ``left_out.csv``, lists what the format cannot hold.

    Raises
    ------
    DataError
        When there are no events, the format is unknown, or it can hold none of the events.
    """
    if kind not in KINDS:
        raise DataError(f"no table '{kind}': {nearest(kind, KINDS)}")
    if not len(events):
        raise DataError("there is nothing to save yet")
    events = events.assign(score=events["score"].round(_DIGITS))
    form = format_of(kind)
    left_out = unwritable(events, form)
    rest = events[[row not in left_out for row in range(len(events))]]
    if not len(rest):
        place, reason = next(iter(left_out.values()))
        n = count_text(len(left_out), "event")
        raise DataError(
            f"none of {n} can be written as {kind}: {place}: {reason}. Save as CSV instead"
        )
    with temporary_folder() as parent:
        folder = parent / kind
        output = folder if form.per_recording else folder / "events.csv"
        files = write_labels(rest, output, kind, root=root)
        if left_out:
            files.append(folder / "left_out.csv")
            write_csv(files[-1], ["place", "reason"], left_out.values())
        if len(files) == 1:
            return form.suffix, files[0].read_bytes()
        return f".{kind}.zip", _zipped(files, folder)


def _zipped(files: list[Path], folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            name = os.fsencode(file.relative_to(folder)).decode("utf-8", "replace")
            archive.writestr(name, file.read_bytes())
    return content.getvalue()
