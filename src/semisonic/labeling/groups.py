"""Embedding one group of clips, here or on a cluster.

What a group gives depends on its clips alone: not on what was embedded before it, nor where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from semisonic.data.clips import Clips
from semisonic.data.store_decode import Key
from semisonic.data.store_index import Stamp
from semisonic.inference.pipeline import Done
from semisonic.labeling.batching import embedded_windows
from semisonic.labeling.collecting import Collected
from semisonic.labeling.embed_options import CLIP
from semisonic.labeling.embedder import Embedder, Vectors
from semisonic.labeling.rows import Entry, described


@dataclass(frozen=True)
class Work:
    """How clips are embedded: see :class:`EmbedOptions`."""

    per: str
    hop: float | None
    batch_size: int
    device: str
    workers: int | None


@dataclass(frozen=True)
class Group:
    """Some clips that are neighbours, with what they are known by."""

    clips: Clips
    keys: list[Key]
    stamps: list[Stamp]


Write = Callable[[Vectors, int], None]
"""Takes vectors, shape (n, dim), and the row of the first."""


def embed_group(
    embedder: Embedder, work: Work, group: Group, write: Write, end: int
) -> Iterator[Entry]:
    """The entries of some clips, in order, their vectors written from row ``end`` on."""
    clip = Collected(work.per == CLIP)
    found = embedded_windows(
        embedder, group.clips, hop=work.hop, batch_size=work.batch_size, device=work.device,
        workers=work.workers,
    )  # fmt: skip
    for item, vectors, scores in found:
        if not isinstance(item, Done):
            if not clip.is_mean:
                write(vectors, end + clip.n_windows)
            clip.add(item, vectors, scores)
            continue
        reason = item.reason or ("" if clip.n_windows else "holds no sound")
        n_rows, told = (0, "") if reason else (clip.n_rows, clip.packed())
        if clip.is_mean and n_rows:
            write(clip.mean, end)
        yield Entry(
            group.keys[item.row],
            group.stamps[item.row],
            end,
            n_rows,
            told,
            reason,
            **described(group.clips, item.row),
        )
        end += n_rows
        clip = Collected(clip.is_mean)


Given = tuple[list[Entry], Vectors]


def group_maker(embedder: Embedder, work: Work) -> Callable[[Group], Given]:
    """A function that gives the entries and the vectors of a group, rows counted from 0."""
    return partial(_given, embedder, work)


def _given(embedder: Embedder, work: Work, group: Group) -> Given:
    pieces: list[tuple[int, Vectors]] = []
    entries = list(
        embed_group(embedder, work, group, lambda rows, at: pieces.append((at, rows)), 0)
    )
    vectors = np.zeros((sum(entry.n for entry in entries), embedder.dim), np.float32)
    for at, rows in pieces:  # rows of a clip that broke off are written over, as in a file
        vectors[at : at + len(rows)] = rows[: max(0, len(vectors) - at)]
    return entries, vectors
