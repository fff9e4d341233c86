"""Which clips belong together, before anything is split by recording.

A data set, a table or the user may name the recording of each clip. Where nobody does, every file
would count as a recording of its own, and a copy of a training clip could be what validates. Then
copies are looked for and kept together, and it is said that other clips may share a recording.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.base.files import digest, read_json, write_json
from semisonic.data.checks.duplicates import NEAR_MOST, group_duplicates, search
from semisonic.data.clips import Clips
from semisonic.data.recording_names import suggest_recordings
from semisonic.data.store_index import clip_keys, file_stamps

COPIES = "copies"
"""As ``group``: what the data set says of recordings, and copies kept together as well."""
AUTO = "auto"

_VERSION = 1
"""To be raised when the search finds something else in the same files."""


@dataclass(frozen=True)
class Together:
    """Clips with copies in one group.

    Attributes
    ----------
    clips : Clips
    n_pairs : int
        Pairs that were parted before.
    notes : tuple of str
        What to say wherever a number of these clips stands.
    """

    clips: Clips
    n_pairs: int = 0
    notes: tuple[str, ...] = ()


def unnamed(clips: Clips) -> NDArray[np.bool_]:
    """Which clips are whole files and have no other recording than a file; shape (n,)."""
    whole = (clips.start_time == 0) & np.isnan(clips.end_time)
    return np.asarray(np.isin(clips.group, clips.file) & whole, np.bool_)


def unnamed_note(clips: Clips, group: str = AUTO) -> tuple[str, ...]:
    """What to say of clips that name no recording; nothing where all do, or the user said so."""
    n = int(unnamed(clips).sum()) if group in (AUTO, COPIES) else 0
    if not n:
        return ()
    if n == len(clips):
        text = "No clip names the recording it was cut from, so each counts as its own"
    else:
        text = (
            f"{n} of {len(clips)} clips do not name the recording they were cut from, so each of "
            "them counts as its own"
        )
    text += ": if some share one, the results are too good."
    guess = suggest_recordings(clips)
    more = f" {guess}." if guess else " The option --group says which belong together."
    return (text + more,)


def known_recordings(
    clips: Clips,
    group: str = AUTO,
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> Together:
    """The clips as they are to be split: copies in one group where it is not known better.

    Parameters
    ----------
    clips : Clips
    group : str
        The option that they were read with. "auto" looks for copies where clips name no
        recording, "copies" always, anything else never.
    near : bool
        Listen for copies that were cut or encoded anew, besides comparing bytes.
    workers : int, optional
        Threads that decode.
    cache : Path, optional
        Folder that keeps what was found, so that the same files are compared once.
    """
    bare = unnamed(clips)
    if group not in (AUTO, COPIES) or (group == AUTO and not bare.any()):
        return Together(clips)
    notes = []
    if near and group == AUTO and len(clips) > NEAR_MOST:
        near = False
        notes.append(
            f"{len(clips)} clips were compared by their bytes, not by their sound, which takes "
            f"long for more than {NEAR_MOST}; --group {COPIES} does it."
        )
    found = copies_together(clips, near=near, workers=workers, cache=cache)
    return Together(found.clips, found.n_pairs, (*found.notes, *notes, *unnamed_note(clips, group)))


def copies_together(
    clips: Clips, *, near: bool = True, workers: int | None = None, cache: Path | None = None
) -> Together:
    """Clips that are the same sound as one recording, which no split then parts.

    Where some clips have labels, only those are compared. Parameters are those of
    :func:`known_recordings`.
    """
    labelled = clips.is_labelled
    if labelled.any() and not labelled.all():
        found = copies_together(clips[labelled], near=near, workers=workers, cache=cache)
        renamed = dict(zip(clips.group[labelled].tolist(), found.clips.group.tolist(), strict=True))
        group = [renamed.get(name, name) for name in clips.group.tolist()]
        return replace(found, clips=clips.with_columns(group=np.array(group, np.str_)))
    stamps = [(int(size), int(changed)) for size, changed in file_stamps(clips)]
    rows = zip(clip_keys(clips), stamps, clips.group.tolist(), strict=True)
    name = digest(_VERSION, near, clips.root.resolve(), *map(repr, rows))
    file = cache / "copies" / f"{name}.json" if cache is not None else None
    if file is not None and file.is_file():
        said = read_json(file)
        merged, n_pairs = clips.with_columns(group=np.array(said["group"], np.str_)), said["pairs"]
    else:
        pairs = search(clips, near=near, workers=workers).duplicates
        n_pairs = sum(clips.group[p.first_row] != clips.group[p.second_row] for p in pairs)
        merged = group_duplicates(clips, pairs)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {"pairs": int(n_pairs), "group": merged.group.tolist()})
    if not n_pairs:
        return Together(merged)
    what = "near-identical" if near else "identical"
    note = (
        f"1 pair of {what} clips is kept together: no split parts it."
        if n_pairs == 1
        else f"{n_pairs} pairs of {what} clips are kept together: no split parts them."
    )
    return Together(merged, int(n_pairs), (note,))
