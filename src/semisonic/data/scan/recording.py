"""One recording of a scan: what was measured, what its name and its folder tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from semisonic.audio.levels import decibel
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.data.recorder_names import RecorderName
from semisonic.data.scan.measure import Measured

REMARKS = ("silent", "constant", "clipped", "over full scale", "dead channel")
"""The keywords that remarks begin with."""

COLUMNS = (
    "file", "duration", "sample_rate", "channels", "format", "subtype", "n_bytes",
    "peak_dbfs", "rms_dbfs", "clipped_share", "silent_share", "dc_offset", "bandwidth_hz",
    "remarks", "damage", "recorded_at", "time_source", "device", "model", "site",
    "latitude", "longitude", "group", "label",
)  # fmt: skip
"""Of ``recordings.csv``."""


@dataclass(frozen=True)
class Recording:
    """A file of which at least a part decodes.

    Attributes
    ----------
    file : str
        Relative to the folder that was scanned, with forward slashes.
    n_bytes : int
    measured : Measured
    recorded_at : datetime or None
        The start, by the recorder's clock; with a zone where one is told.
    time_source : str
        "guano", "comment" (both inside the file) or "name"; empty without a time.
    device, site : str
    latitude, longitude : float or None
    group : str
    labels : tuple of str
    """

    file: str
    n_bytes: int
    measured: Measured
    recorded_at: datetime | None
    time_source: str
    device: str
    site: str
    latitude: float | None
    longitude: float | None
    group: str
    labels: tuple[str, ...]

    @property
    def is_heard(self) -> bool:
        """Whether it holds anything but silence or an offset."""
        return self.remarks.isdisjoint(REMARKS[:2])

    @property
    def remarks(self) -> frozenset[str]:
        """The keywords of what is wrong with it (:data:`REMARKS`)."""
        return frozenset(text.partition(":")[0] for text in self.measured.remarks)

    def row(self) -> tuple[Any, ...]:
        """What stands in ``recordings.csv``, as :data:`COLUMNS`; None for what is not known."""
        m = self.measured
        return (
            self.file, round(m.duration, 4), m.sample_rate, m.n_channels, m.format, m.subtype,
            self.n_bytes, round(decibel(m.peak), 2), round(decibel(m.rms), 2),
            round(m.clipped_share, 6), round(m.silent_share, 4), round(m.dc_offset, 6),
            round(m.bandwidth_hz, 1), "; ".join(m.remarks), m.damage,
            self.recorded_at.isoformat() if self.recorded_at else "", self.time_source,
            self.device, m.model, self.site, self.latitude, self.longitude,
            self.group, LABEL_SEPARATOR.join(self.labels),
        )  # fmt: skip


def make_recording(
    file: str,
    n_bytes: int,
    measured: Measured,
    name: RecorderName,
    *,
    site: str,
    group: str,
    labels: tuple[str, ...],
) -> Recording:
    """Put together what is known; what stands inside the file wins over its name."""
    inside = datetime.fromisoformat(measured.recorded_at) if measured.recorded_at else None
    placed = measured if measured.latitude is not None else name
    return Recording(
        file=file,
        n_bytes=n_bytes,
        measured=measured,
        recorded_at=inside or name.recorded_at,
        time_source=measured.time_source if inside else "name" * bool(name.recorded_at),
        device=measured.device or name.device,
        site=site or measured.device,
        latitude=placed.latitude,
        longitude=placed.longitude,
        group=group,
        labels=labels,
    )
