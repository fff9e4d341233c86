"""What is wrong with a data set before anybody trains on it: leaks between its folds."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.data.checks.duplicates import MAX_OFFSET, THRESHOLD, Found, search
from semisonic.data.checks.pair import Duplicate
from semisonic.data.clips import Clips
from semisonic.data.straddling import straddling_groups


@dataclass(frozen=True)
class CheckReport:
    """The result of :func:`check`.

    Attributes
    ----------
    name : str
        The data set.
    n_folds : int
        Official folds; 0 for none.
    straddling : tuple of str
        Recordings that stand in several official folds.
    duplicates : tuple of Duplicate
        All pairs found; those across splits first.
    failures : tuple of (str, str)
        Clips that could not be read, with the reason.
    """

    name: str
    n_folds: int
    straddling: tuple[str, ...]
    duplicates: tuple[Duplicate, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def leaks(self) -> tuple[Duplicate, ...]:
        """The pairs that a split may part."""
        return tuple(pair for pair in self.duplicates if pair.across)

    @property
    def contradictions(self) -> tuple[Duplicate, ...]:
        """The pairs that carry different labels."""
        return tuple(pair for pair in self.duplicates if not pair.same_labels)

    @property
    def ok(self) -> bool:
        """Whether nothing stands on two sides of a split and everything could be read."""
        return not (self.straddling or self.leaks or self.failures)


def check(
    clips: Clips,
    pool: Clips | None = None,
    *,
    audio: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
) -> CheckReport:
    """Look for recordings and sounds that stand on two sides of a split.

    Parameters
    ----------
    clips : Clips
    pool : Clips, optional
        An unlabelled pool that must not hold the clips.
    audio : bool
        Look at the files themselves; otherwise at the table only, as when no audio is there.
    threshold, max_offset, workers
        As for ``find_duplicates``.
    """
    found = Found((), ())
    if audio:
        found = search(clips, pool, threshold=threshold, max_offset=max_offset, workers=workers)
    return CheckReport(
        clips.name,
        len(clips.folds),
        tuple(straddling_groups(clips)),
        found.duplicates,
        found.failures,
    )
