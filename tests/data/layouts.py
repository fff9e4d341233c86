"""Folders as data sets have them, without any audio, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from semisonic.core.errors import DataError
from semisonic.core.files import content_hash
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips


def touch(root: Path, files: Iterable[str]) -> Path:
    """Files that are no audio at all: a reader that opens one fails."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"not audio")
    return root


def write_lines(path: Path, lines: Iterable[str], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def is_refused(message: str, path: Path, **options: object) -> None:
    with pytest.raises(DataError, match=message):
        load_clips(path, **options)  # type: ignore[arg-type]


def notes_say(clips: Clips, *texts: str) -> bool:
    return all(any(text in note for note in clips.notes) for text in texts)


def by_file(clips: Clips, column: str = "group") -> dict[str, object]:
    values = clips.labels if column == "labels" else getattr(clips, column).tolist()
    return dict(zip(clips.file.tolist(), values, strict=True))


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file; a journal tells of one call and is no content."""
    return {
        path.relative_to(folder).as_posix(): content_hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "journal.jsonl"
    }
