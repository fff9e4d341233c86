"""The numbers of a scan, as plain values and for tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from semisonic.data.scan.recording import REMARKS, Recording
from semisonic.data.scan.scanning import Scan

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Share:
    """Recordings that have something in common.

    Attributes
    ----------
    n_files, n_groups : int
    duration : float
        Seconds.
    first, last : datetime or None
        The earliest and the latest start that is known, by the recorders' clocks.
    remarks : Counter
        How many have each remark.
    n_damaged : int
    """

    n_files: int
    n_groups: int
    duration: float
    first: datetime | None
    last: datetime | None
    remarks: Counter[str]
    n_damaged: int


def share_of(recordings: Iterable[Recording]) -> Share:
    """Count some recordings."""
    found = list(recordings)
    times = [one.recorded_at.replace(tzinfo=None) for one in found if one.recorded_at]
    return Share(
        n_files=len(found),
        n_groups=len({one.group for one in found}),
        duration=math.fsum(one.measured.duration for one in found),
        first=min(times, default=None),
        last=max(times, default=None),
        remarks=Counter(keyword for one in found for keyword in one.remarks),
        n_damaged=sum(bool(one.measured.damage) for one in found),
    )


def shares_by(
    recordings: Iterable[Recording], keys: Callable[[Recording], Iterable[Key]]
) -> dict[Key, Share]:
    """Counts for each key; a recording with several keys counts for each."""
    found: dict[Key, list[Recording]] = {}
    for one in recordings:
        for key in keys(one):
            found.setdefault(key, []).append(one)
    return {key: share_of(some) for key, some in found.items()}


def by_label(scan: Scan) -> dict[str, Share]:
    """Counts for each class, in class order."""
    found = shares_by(scan.recordings, lambda one: one.labels)
    return {name: found[name] for name in scan.summary.classes}


def by_group(scan: Scan) -> dict[str, Share]:
    """Counts for each group, by name."""
    return dict(sorted(shares_by(scan.recordings, lambda one: (one.group,)).items()))


def counts(scan: Scan) -> dict[str, Any]:
    """What ``scan.json`` holds: plain values."""
    whole = share_of(scan.recordings)
    kinds = Counter(pair.kind for pair in scan.duplicates)
    silent = math.fsum(one.measured.silent_share * one.measured.duration for one in scan.recordings)
    zones = Counter("told" if one.recorded_at.tzinfo else "not told"
                    for one in scan.recordings if one.recorded_at)  # fmt: skip
    return {
        **scan.summary.to_dict(),
        "n_bad_files": len(scan.bad_files),
        "n_damaged": whole.n_damaged,
        "total_duration": whole.duration,
        "silent_duration": silent,
        "remarks": {keyword: whole.remarks[keyword] for keyword in REMARKS},
        "n_identical_pairs": kinds["identical"],
        "n_near_identical_pairs": kinds["near-identical"],
        "n_compared_by_sound": scan.near_compared,
        "n_different_labels": sum(not pair.same_labels for pair in scan.duplicates),
        "n_with_time": sum(zones.values()),
        "n_with_zone": zones["told"],
        "first_recorded_at": whole.first.isoformat() if whole.first else None,
        "last_recorded_at": whole.last.isoformat() if whole.last else None,
        "sites": sorted({one.site for one in scan.recordings} - {""}),
        "devices": sorted({one.device for one in scan.recordings} - {""}),
        "n_decoded_now": scan.n_decoded,
        "n_known_before": scan.n_reused,
        "decoded_duration": scan.decoded_duration,
        "seconds": scan.seconds,
        "notes": list(scan.notes),
    }
