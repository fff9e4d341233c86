"""The recordings that a model was made from, by hashes of their content, to detect leaks later."""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semisonic.core.errors import DataError
from semisonic.core.files import content_hash, digest
from semisonic.core.text import count_text, first_few
from semisonic.data.cache import Key, clip_keys, file_facts
from semisonic.data.clips import Clips
from semisonic.data.fingerprints import Fingerprint, clip_fingerprints
from semisonic.data.recording_names import lasting_names
from semisonic.data.sound_index import SoundIndex
from semisonic.models.model_file import published_in

_log = logging.getLogger(__name__)
HASH_DIGITS = 12
"""Hex digits kept of a SHA-256. Packed, a quarter of a million recordings take 2 MB; that one
of 2 000 others looks like one of them by chance has a probability of 2 in a million."""

MOST_PEAKS = 1 << 21
"""Peaks of spectrograms kept for one role: 5 MB. With more sound, each clip keeps stretches of a
second, the shorter part of them the more clips there are, and at least 64 peaks (160 bytes)."""
PUBLISHED_FOLDS = ("ESC-", "UrbanSound8K")
"""Beginnings of the names of sets whose authors made the folds. Results on them are compared,
though some folds share a sound; such copies are a warning. In other sets they are an error."""

ROLES = {
    "training": "trained on",
    "validation": "chosen by (validation)",
    "calibration": "calibrated on",
    "pretraining": "pre-trained without labels on",
    "pool": "given as a pool without labels",
    "encoder_training": "trained on, by the encoder it started from",
    "encoder_validation": "chosen by, for the encoder it started from",
    "encoder_pretraining": "pre-trained without labels on, by the encoder it started from",
}

WITH_LABELS = (
    "training",
    "validation",
    "calibration",
    "encoder_training",
    "encoder_validation",
)
"""Roles in which labels were used: recordings with these roles cannot be a test."""


def recording_hashes(
    clips: Clips, *, workers: int | None = None, cache: Path | None = None
) -> dict[str, str]:
    """The content hash of each recording that occurs in a table, by its relative file name.

    Recordings that cannot be opened are left out; they take part in nothing. With a ``cache``
    folder, files that have not changed are not read again.
    """
    files = list(dict.fromkeys(clips.file.tolist()))

    def hash_of(path: Path) -> str | None:
        try:
            return content_hash(path)[:HASH_DIGITS]
        except OSError:
            return None

    found = file_facts(clips, files, hash_of, "hash", workers=workers, cache=cache)
    return {file: str(value) for file, value in zip(files, found, strict=True) if value}


def recording_prints(
    clips: Clips, *, workers: int | None = None, cache: Path | None = None
) -> dict[Key, Fingerprint]:
    """The fingerprint of each clip that can be read, by its file, start and end."""
    keys = clip_keys(clips)
    found = clip_fingerprints(clips, workers=workers, cache=cache)
    return {keys[row]: one for row, one in found if isinstance(one, Fingerprint)}


def data_hash(hashes: Iterable[str]) -> str:
    """One hash for a set of recordings, whatever their names and order."""
    return digest(*sorted(set(hashes)))


@dataclass(frozen=True)
class DataPart:
    """The recordings that had one role in the making of a model.

    Attributes
    ----------
    data : str
        Name of the data set.
    n_clips : int
    hashes : frozenset of str
        Of the recordings' bytes.
    groups : frozenset of str
        Hashes of the names of the original recordings, sites or nights; see
        :func:`semisonic.data.recording_names.lasting_names`.
    folds : frozenset of int
        Official folds of the clips.
    prints : tuple of Fingerprint
        Of the clips, by which copies are known that were cut or encoded again; none for recordings
        that were used without labels.
    """

    data: str
    n_clips: int
    hashes: frozenset[str]
    groups: frozenset[str]
    folds: frozenset[int] = frozenset()
    prints: tuple[Fingerprint, ...] = ()

    @classmethod
    def of(
        cls,
        clips: Clips,
        hash_of: Mapping[str, str],
        print_of: Mapping[Key, Fingerprint] | None = None,
    ) -> DataPart:
        """The part that these clips are.

        Parameters
        ----------
        clips : Clips
        hash_of : mapping
            From :func:`recording_hashes`.
        print_of : mapping, optional
            From :func:`recording_prints`.
        """
        hashes = {hash_of[file] for file in clips.file.tolist() if file in hash_of}
        names = {name for several in lasting_names(clips) for name in several}
        groups = {_name_hash(name) for name in names}
        found = print_of or {}
        prints = [found[key] for key in clip_keys(clips) if len(found.get(key, ()))]
        return cls(
            clips.name,
            len(clips),
            frozenset(hashes),
            frozenset(groups),
            frozenset(clips.folds),
            _bounded(prints),
        )

    def joined(self, other: DataPart) -> DataPart:
        """Both parts as one; folds of another data set are dropped."""
        return DataPart(
            self.data,
            self.n_clips + other.n_clips,
            self.hashes | other.hashes,
            self.groups | other.groups,
            self.folds | (other.folds if other.data == self.data else frozenset[int]()),
            _bounded([*self.prints, *other.prints]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model file."""
        return {
            "data": self.data,
            "clips": self.n_clips,
            "recordings": len(self.hashes),
            "hash": data_hash(self.hashes),
            "hashes": _packed(self.hashes),
            "groups": _packed(self.groups),
            "folds": sorted(self.folds),
            "prints": " ".join(one.packed() for one in self.prints),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> DataPart:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            str(table.get("data", "")),
            int(table.get("clips", 0)),
            _unpacked(str(table.get("hashes", ""))),
            _unpacked(str(table.get("groups", ""))),
            frozenset(map(int, table.get("folds", ()))),
            tuple(Fingerprint.unpacked(text) for text in str(table.get("prints", "")).split()),
        )


class Overlap(NamedTuple):
    """What some clips share with the recordings of one role of a model.

    ``files`` are byte-identical to recordings of that part; ``copies`` are clips of the same sound,
    cut, encoded again or at another level, and ``published`` are such copies in a fold of a
    published data set that the model was kept from. ``groups`` are recordings, sites or nights of
    which that part had clips, too, and ``n_clips`` is how many of these clips are from there (the
    files and copies themselves apart).
    """

    role: str
    files: tuple[str, ...]
    groups: tuple[str, ...]
    copies: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    n_clips: int = 0

    def text(self) -> str:
        """One line of text."""
        here = f", which {count_text(self.n_clips, 'clip')} of these are from"
        what = [
            f"{before}{count_text(len(names), noun)} ({first_few(names, 3)}){after}"
            for before, names, noun, after in (
                ("", self.files, "recording", ""),
                ("the same sound, cut or encoded again, as ", self.copies, "clip", ""),
                ("the same sound, in another fold, as ", self.published, "clip", ""),
                ("other clips of ", self.groups, "recording", here),
            )
            if names
        ]
        return f"the model was {ROLES[self.role]} {' and '.join(what)}"


def overlaps(
    clips: Clips,
    hash_of: Mapping[str, str],
    about: Mapping[str, Any],
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> list[Overlap]:
    """What the clips share with the recordings that a model was made from, by role.

    Parameters
    ----------
    clips : Clips
    hash_of : mapping
        From :func:`recording_hashes`.
    about : mapping
        The provenance in the model file; parts are looked up by the names in ``ROLES``.
    near : bool
        Also find copies by their sound, if the model knows that of its recordings.
    workers : int, optional
        Threads that decode.
    cache : Path, optional
        Folder that keeps fingerprints.
    """
    result = []
    parts = list(_parts_of(about, ROLES))
    file_of = clips.file.astype(str)
    ids = np.array(clips.ids, object)
    names_of = lasting_names(clips)
    prints: dict[int, Fingerprint] = {}
    if near and any(part.prints for _, part in parts):
        found = clip_fingerprints(clips, workers=workers, cache=cache)
        prints = {row: one for row, one in found if isinstance(one, Fingerprint)}
    for role, part in parts:
        seen = np.array([hash_of.get(file) in part.hashes for file in file_of.tolist()], np.bool_)
        near_seen = np.zeros(len(clips), np.bool_)
        if part.prints and prints:
            index = SoundIndex(part.prints)
            rest = [row for row in np.flatnonzero(~seen).tolist() if row in prints]
            near_seen[[row for row in rest if index.find(prints[row])]] = True
        kept_out = (clips.fold > 0) & ~np.isin(clips.fold, list(part.folds))
        kept_out &= part.data == clips.name and clips.name.startswith(PUBLISHED_FOLDS)
        groups: dict[str, None] = {}
        n_clips = 0
        for row in np.flatnonzero(~seen & ~near_seen).tolist():
            known = [name for name in names_of[row] if _name_hash(name) in part.groups]
            groups |= dict.fromkeys(known[:1])
            n_clips += bool(known)
        one = Overlap(
            role,
            tuple(np.unique(file_of[seen]).tolist()),
            tuple(sorted(groups)),
            tuple(ids[near_seen & ~kept_out].tolist()),
            tuple(ids[near_seen & kept_out].tolist()),
            n_clips,
        )
        if any(one[1:]):
            result.append(one)
    return result


def _parts_of(about: Mapping[str, Any], roles: Iterable[str]) -> Iterator[tuple[str, DataPart]]:
    """The parts of a provenance, with their roles."""
    for role in roles:
        if isinstance(about.get(role), Mapping):
            yield role, DataPart.from_dict(about[role])


def refuse_seen(seen: Sequence[Overlap], because: str, *, allowed: bool = False) -> None:
    """Raise an error before a worthless result; warn about what is only suspicious.

    Parameters
    ----------
    seen : sequence of Overlap
        What the clips share with those that the model was made from.
    because : str
        The text of the error, with a placeholder for the overlap.
    allowed : bool
        Only warn.

    Raises
    ------
    DataError
        If this model or the one it started from was trained on recordings or chose its epoch by
        them, with labels, unless allowed.
    """
    worthless = [one for one in seen if (one.files or one.copies) and one.role in WITH_LABELS]
    for overlap in seen:
        if allowed or overlap not in worthless:
            _log.warning(overlap.text())
    if worthless and not allowed:
        raise DataError(because.format("; ".join(one.text() for one in worthless)))


def chained(parts: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a making and those of the encoder's that it started from.

    Recordings that the encoder used without labels count as pre-training if there is no other.
    """
    found = dict(parts)
    for role in ("pretraining", "training", "validation"):
        name = role if role == "pretraining" and role not in parts else f"encoder_{role}"
        told = [part for _, part in _parts_of(earlier, (role, f"encoder_{role}"))]
        if told:
            found[name] = reduce(DataPart.joined, told).to_dict()
    return found


# What a model that starts from published weights must say of itself, wherever it is shown.
#
# Such a network has learned from other people's labels, often millions. Its results are never
# "from scratch", nor "from a few labels" alone, and stand apart from those that are.


@dataclass(frozen=True)
class PublishedOrigin:
    """Published weights that a model starts from, as its file tells."""

    name: str = ""
    title: str = ""
    trained_on: str = ""
    source: str = ""
    licence: str = ""

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> PublishedOrigin | None:
        """The published weights in a provenance; None if there are none."""
        found = published_in(about)
        return cls.told(found) if found else None

    @classmethod
    def told(cls, table: Mapping[str, Any]) -> PublishedOrigin:
        """Read what an encoder or its file tells."""
        return cls(**{field.name: str(table.get(field.name, "")) for field in fields(cls)})

    def text(self) -> str:
        """One sentence of text."""
        return (
            f"starts from the published weights of {self.title}, trained on {self.trained_on}: "
            "not from scratch, so report results separately"
        )

    def facts(self) -> list[str]:
        """A line each: training data, source, licence."""
        return [
            f"trained on: {self.trained_on}",
            f"source: {self.source}",
            f"licence: {self.licence}",
            (
                "models that start from it are not from scratch, and their files say so: report "
                "their results separately"
            ),
        ]


def _name_hash(name: str) -> str:
    return digest(name)[:HASH_DIGITS]


def _bounded(prints: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """The fingerprints; with many peaks, a part of each."""
    if sum(map(len, prints)) <= MOST_PEAKS:
        return tuple(prints)
    return tuple(one.thinned(MOST_PEAKS // len(prints)) for one in prints)


def _packed(hashes: Iterable[str]) -> str:
    """Hashes in hex as one text: sorted, six bytes each, in base64."""
    return b64encode(bytes.fromhex("".join(sorted(hashes)))).decode("ascii")


def _unpacked(text: str) -> frozenset[str]:
    """The hashes in this text; none if it is damaged."""
    try:
        digits = b64decode(text, validate=True).hex()
    except ValueError:
        return frozenset()
    starts = range(0, len(digits), HASH_DIGITS)
    return frozenset(digits[start : start + HASH_DIGITS] for start in starts)
