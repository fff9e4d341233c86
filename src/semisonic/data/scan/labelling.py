"""Labels and groups of scanned files, as far as tables, folders and names tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.data.readers.groups import groups_of
from semisonic.data.readers.load import layout_kind, load_clips
from semisonic.data.recorder_names import RecorderName, site_of

FOLDERS = "folders"


@dataclass(frozen=True)
class Labelled:
    """Labels and group of each file, in order, and what was decided on the way.

    Attributes
    ----------
    labels : tuple of tuples of str
    groups : tuple of str
    classes : tuple of str
        In the data set's own order.
    class_folders : bool
        Whether first-level folders are labels, and so no sites.
    missing : tuple of str
        Files that a table names and that are not there.
    notes : tuple of str
        What was decided here.
    read_notes : tuple of str
        What the reader of the data set decided.
    """

    labels: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    class_folders: bool
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    read_notes: tuple[str, ...] = ()


def label_files(
    root: Path, files: Sequence[str], names: Sequence[RecorderName], labels: str, group: str
) -> Labelled:
    """Look up labels and groups.

    With ``labels`` "auto", folders of field recordings are sites: they are taken for classes only
    where most names are not those of recorders. With ``group`` "auto" a recording is what the data
    set says, else the site where names tell a time, else the file.

    Raises
    ------
    DataError
        When labels that were asked for by name cannot be read, or the group rule is wrong.
    """
    notes: list[str] = []
    kind = _kind(root, files, names, labels, notes)
    known: dict[str, tuple[tuple[str, ...], str]] = {}
    classes: tuple[str, ...] = ()
    read_notes: tuple[str, ...] = ()
    if kind:
        try:
            clips = load_clips(root, labels=kind, group=group, allow_missing=True)
        except DataError as error:
            if labels != "auto":
                raise
            notes.append(f"no labels were read: {error}")
            kind = ""
        else:
            classes, read_notes = clips.classes, clips.notes
            for file, of_clip, one in zip(
                clips.file.tolist(), clips.labels, clips.group, strict=True
            ):
                before = known.get(file, ((), ""))[0]
                known[file] = tuple(dict.fromkeys((*before, *of_clip))), str(one)
    class_folders = kind in (FOLDERS, "esc-folders")
    return Labelled(
        labels=tuple(known.get(file, ((), ""))[0] for file in files),
        groups=tuple(_groups(files, names, known, group, class_folders=class_folders)),
        classes=classes,
        class_folders=class_folders,
        missing=tuple(sorted(known.keys() - set(files))),
        notes=tuple(notes),
        read_notes=read_notes,
    )


def _kind(
    root: Path,
    files: Sequence[str],
    names: Sequence[RecorderName],
    labels: str,
    notes: list[str],
) -> str:
    """How labels are read; empty for not at all."""
    if labels in ("none", "files"):
        return ""
    if labels != "auto":
        return labels
    try:
        kind = layout_kind(root)
    except DataError:
        return ""  # nothing here can be read: the scan says so itself
    n_timed = sum(name.recorded_at is not None for name in names)
    if kind == FOLDERS and 2 * n_timed > len(files):
        notes.append(
            f"folders are taken for sites, not for labels, because {n_timed} of {len(files)} "
            "names are those of field recorders; --labels folders takes them for labels"
        )
        return ""
    return "" if kind == "files" else kind


def _groups(
    files: Sequence[str],
    names: Sequence[RecorderName],
    known: dict[str, tuple[tuple[str, ...], str]],
    group: str,
    *,
    class_folders: bool,
) -> list[str]:
    """The recording, site or day of each file."""
    told = [known[file][1] if file in known else "" for file in files]
    if group == "auto":
        if any(one and one != file for one, file in zip(told, files, strict=True)):
            return [one or file for one, file in zip(told, files, strict=True)]
        return [
            (site_of(file, name, class_folders=class_folders) if name.recorded_at else "") or file
            for file, name in zip(files, names, strict=True)
        ]
    rest = [file for file, one in zip(files, told, strict=True) if not one]
    by_rule = iter(groups_of(rest, group, class_folders=class_folders) if rest else [])
    return [one or next(by_rule) for one in told]
