"""The contact sheet of a scan: a few recordings to look at and listen to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import read, resample
from semisonic.base.errors import AudioError
from semisonic.base.progress import track
from semisonic.base.wording import duration
from semisonic.data.scan import Recording
from semisonic.evaluation.report.blocks import Player

SHOWN = 10.0
"""Seconds of a recording that are shown: from its middle, which no hand has touched."""

HIGHEST_RATE = 32000
"""Hz up to which sounds are put into the page; the picture shows all there is."""


def choose(recordings: Sequence[Recording], n: int) -> list[Recording]:
    """At most ``n`` undamaged recordings, spread evenly over groups and times."""
    whole = [one for one in recordings if not one.measured.damage]
    whole.sort(key=lambda one: (one.group, _when(one), one.file))
    if len(whole) <= n:
        return whole
    places = np.linspace(0, len(whole), n, endpoint=False) + len(whole) / (2 * n)
    return [whole[int(place)] for place in places]


def players(root: Path, chosen: Sequence[Recording]) -> Iterator[Player]:
    """A card for each; recordings that have gone since are left out."""
    for one in track(chosen, "thumbnails", "file"):
        start = max(0.0, (one.measured.duration - SHOWN) / 2)
        try:
            x, rate = read(
                root / one.file, start_time=start,
                end_time=min(one.measured.duration, start + SHOWN),
            )  # fmt: skip
        except AudioError:
            continue
        yield Player(x, rate, one.file.rpartition("/")[2], _said(one), _meta(one), _heard(x, rate))


def _heard(x: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float32], int]:
    """The samples at a rate that players know and that keeps the page small."""
    if rate <= HIGHEST_RATE:
        return x, rate
    y = resample(x, rate, HIGHEST_RATE)
    return (y, HIGHEST_RATE) if len(y) else (x, rate)


def _said(one: Recording) -> str:
    group = one.group if one.group != one.file else ""
    return ", ".join(filter(None, [";".join(one.labels), group]))


def _meta(one: Recording) -> str:
    m = one.measured
    parts = [_when(one).replace("T", " "), duration(m.duration), f"{m.sample_rate} Hz"]
    return ", ".join(filter(None, [*parts, *sorted(one.remarks)]))


def _when(one: Recording) -> str:
    return one.recorded_at.replace(tzinfo=None).isoformat() if one.recorded_at else ""
