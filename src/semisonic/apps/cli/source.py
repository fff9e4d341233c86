"""Where recordings come from, for the verbs about data: a path, and how to read it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from semisonic.apps.cli.session import Session
from semisonic.base.members import is_there
from semisonic.base.options import option
from semisonic.data import LABEL_CHOICES, Clips, TableOptions, load_clips

PATH_HELP = "a folder of recordings or a CSV table"


@dataclass(frozen=True)
class SourceOptions:
    """How the recordings are read."""

    labels: str = option(
        "auto", "where labels come from; auto looks at the layout", choices=LABEL_CHOICES
    )
    group: str = option(
        "auto",
        "what is one recording: auto, file, folder, site or day (told by names of field "
        "recordings), a column of the table, a regular expression whose first bracket is it, or "
        "copies: auto, and clips that are the same sound are one recording",
    )
    table: TableOptions = option(TableOptions(), "tables and folders")


def load(path: str, source: SourceOptions, session: Session) -> Clips:
    """Read the clip table, and pass on what the reader decided on the way."""
    clips = load_clips(
        path,
        labels=source.labels,
        group=source.group,
        **dataclasses.asdict(source.table),
    )
    for text in clips.notes:
        session.note(f"{clips.name}: {text}")
    return clips


def has_audio(clips: Clips) -> bool:
    """Whether any recording lies where the table says; the reader's notes tell when not."""
    return any(is_there(path) for path in clips.paths)
