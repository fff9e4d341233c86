"""The folder of windows: claimed by its options, and filled by a journal of finished work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError
from semisonic.base.files import digest, read_json, write_json
from semisonic.base.options import to_dict
from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.mixing.backgrounds import Source
from semisonic.data.mixing.options import MixOptions
from semisonic.data.mixing.windows import Made
from semisonic.data.outputs import check_folder

ABOUT, JOURNAL, TABLE = "mix.json", "journal.jsonl", "labels.csv"
BAD_FILES, LEFT_OUT = "bad_files.csv", "left_out.csv"
FORMAT = 1  # raise when the same options give other windows
_NO_MATTER = ("workers", "background")  # the background is told by its recordings


def claim(root: Path, options: MixOptions, clips: Clips, sources: list[Source]) -> None:
    """Write down what windows are made of, or compare it with what the folder was made with.

    Raises
    ------
    DataError
        When the folder holds something else, or windows made otherwise.
    """
    wanted: dict[str, Any] = {
        "format": FORMAT,
        "options": {k: v for k, v in to_dict(options).items() if k not in _NO_MATTER},
        "clips": digest(*zip(clips.ids, clips.labels, clips.group, clips.fold, strict=True)),
        "background": digest(*((source.name, source.duration) for source in sources)),
    }
    check_folder(root, "mixed windows", {ABOUT})
    if not (root / ABOUT).exists():
        write_json(root / ABOUT, wanted)
        return
    try:
        found = read_json(root / ABOUT)
        found["format"], found["options"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{root / ABOUT}: damaged ({error}). Delete the folder, or choose another one"
        ) from error
    differences = [
        *(name for name in ("format", "clips", "background") if found.get(name) != wanted[name]),
        *_other_options(found["options"], wanted["options"]),
    ]
    if differences:
        raise DataError(
            f"{root}: holds windows made with another {', '.join(differences)}. "
            "Choose another folder"
        )


def _other_options(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} (found {found.get(name)}, asked for {value})"
        for name, value in wanted.items()
        if found.get(name) != value
    ]


def finished(journal: Journal, root: Path) -> dict[str, Made]:
    """What an earlier call finished and is still there, by task."""
    done = {}
    for record in journal.records():
        task, made = record[0], Made(**record[1])
        if all((root / row["file"]).is_file() for row in made.rows):
            done[task] = made
    return done


def record_of(task: str, made: Made) -> list[Any]:
    """One line of the journal."""
    return [task, asdict(made)]
