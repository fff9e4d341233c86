"""Leaks in a data set: recordings and copies of sounds that stand on two sides of a split."""

from semisonic.data.checks.duplicates import find_duplicates, group_duplicates
from semisonic.data.checks.pair import Duplicate
from semisonic.data.checks.pool import CleanPool, clean_pool
from semisonic.data.checks.recordings import (
    COPIES,
    Together,
    copies_together,
    known_recordings,
    unnamed_note,
)
from semisonic.data.checks.report import CheckReport, check

__all__ = [
    "COPIES",
    "CheckReport",
    "CleanPool",
    "Duplicate",
    "Together",
    "check",
    "clean_pool",
    "copies_together",
    "find_duplicates",
    "group_duplicates",
    "known_recordings",
    "unnamed_note",
]
