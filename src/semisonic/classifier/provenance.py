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
from semisonic.data.cache import file_facts
from semisonic.data.clips import Clips
from semisonic.models.model_file import published_in

_log = logging.getLogger(__name__)
HASH_DIGITS = 12
"""Hex digits kept of a SHA-256. Packed, a quarter of a million recordings take 2 MB; that one
of 2 000 others looks like one of them by chance has a probability of 2 in a million."""

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
        Hashes of the names of the groups (original recordings, sites) in that data set.
    """

    data: str
    n_clips: int
    hashes: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, clips: Clips, hash_of: Mapping[str, str]) -> DataPart:
        """The part that these clips are."""
        hashes = {hash_of[file] for file in clips.file.tolist() if file in hash_of}
        names = set(clips.group.tolist())
        # Where every file is a recording of its own, its bytes tell all.
        are_files = names == set(clips.file.tolist())
        groups = set() if are_files else {digest(name)[:HASH_DIGITS] for name in names}
        return cls(clips.name, len(clips), frozenset(hashes), frozenset(groups))

    def joined(self, other: DataPart) -> DataPart:
        """Both parts as one; groups of another data set are dropped, their recordings kept."""
        groups = other.groups if other.data == self.data else frozenset[str]()
        return DataPart(
            self.data,
            self.n_clips + other.n_clips,
            self.hashes | other.hashes,
            self.groups | groups,
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
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> DataPart:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            str(table.get("data", "")),
            int(table.get("clips", 0)),
            _unpacked(str(table.get("hashes", ""))),
            _unpacked(str(table.get("groups", ""))),
        )


class Overlap(NamedTuple):
    """What some clips share with the recordings of one role of a model.

    ``files`` are byte-identical to recordings of that part; ``groups`` are groups of clips
    of the same data set of which that part had clips, too (the files themselves apart).
    """

    role: str
    files: tuple[str, ...]
    groups: tuple[str, ...]

    def text(self) -> str:
        """One line of text."""
        what = [
            f"{before}{count_text(len(names), 'recording')} ({first_few(names, 3)})"
            for before, names in (("", self.files), ("other clips of ", self.groups))
            if names
        ]
        return f"the model was {ROLES[self.role]} {' and '.join(what)}"


def overlaps(clips: Clips, hash_of: Mapping[str, str], about: Mapping[str, Any]) -> list[Overlap]:
    """What the clips share with the recordings that a model was made from, by role.

    Parameters
    ----------
    clips : Clips
    hash_of : mapping
        From :func:`recording_hashes`.
    about : mapping
        The provenance in the model file; parts are looked up by the names in ``ROLES``.
    """
    result = []
    file_of = clips.file.astype(str)
    for role, part in _parts_of(about, ROLES):
        seen = np.array([hash_of.get(file) in part.hashes for file in file_of.tolist()], np.bool_)
        groups = []
        if part.data == clips.name:
            others = np.unique(clips.group[~seen]).tolist()
            groups = [group for group in others if digest(group)[:HASH_DIGITS] in part.groups]
        if seen.any() or groups:
            files = tuple(np.unique(file_of[seen]).tolist())
            result.append(Overlap(role, files, tuple(groups)))
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
    worthless = [one for one in seen if one.files and one.role in WITH_LABELS]
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
