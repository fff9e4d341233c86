"""Two tables as one, and a pool without the clips of another table."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from semisonic.base.files import content_hash
from semisonic.base.members import is_there, size_of
from semisonic.data.clips import Clips


def join(first: Clips, second: Clips, name: str | None = None) -> Clips:
    """The rows of ``first``, then those of ``second``, below the folder both have in common.

    Classes are those of ``first``, then the new ones of ``second``. Groups and folds stay as
    they are: two tables that call different recordings by one name should not be joined.
    """
    root = Path(os.path.commonpath([first.root.resolve(), second.root.resolve()]))
    tables = (first, second)
    files = [(table.root / file).resolve() for table in tables for file in table.file.tolist()]
    return Clips(
        root=root,
        file=np.array([_below(file, root) for file in files], dtype=np.str_),
        start_time=np.concatenate([table.start_time for table in tables]),
        end_time=np.concatenate([table.end_time for table in tables]),
        labels=first.labels + second.labels,
        group=np.concatenate([table.group for table in tables]),
        fold=np.concatenate([table.fold for table in tables]),
        classes=tuple(dict.fromkeys(first.classes + second.classes)),
        name=name or f"{first.name} + {second.name}",
        label_type=np.concatenate([table.label_type for table in tables]),
    )


def without_copies(pool: Clips, of: Clips) -> tuple[Clips, list[str]]:
    """The pool without files that have the same bytes as a file of another table.

    Such a file would bring test audio into pre-training by the back door. Only files of the
    same size are hashed.

    Returns
    -------
    pool : Clips
    dropped : list of str
        Files that were left out.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(of.paths):
        if is_there(path):
            by_size[size_of(path)].append(path)
    hashes: dict[int, set[str]] = {}
    dropped = []
    for file in dict.fromkeys(pool.file.tolist()):
        path = pool.root / file
        size = size_of(path) if is_there(path) else -1
        if size not in by_size:
            continue
        if size not in hashes:
            hashes[size] = {content_hash(known) for known in by_size[size]}
        if content_hash(path) in hashes[size]:
            dropped.append(file)
    return pool[~np.isin(pool.file, dropped)] if dropped else pool, dropped


def _below(file: Path, root: Path) -> str:
    """A path as text below a folder; links are followed, so it may lie elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
