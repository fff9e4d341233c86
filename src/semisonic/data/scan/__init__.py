"""A first look at a disk of recordings: each decoded once, measured, named and compared."""

from semisonic.data.scan.calendar import Calendar, calendar
from semisonic.data.scan.counts import Share, by_group, by_label, counts
from semisonic.data.scan.measure import Measured, measure
from semisonic.data.scan.recording import REMARKS, Recording
from semisonic.data.scan.scanning import Scan, scan
from semisonic.data.scan.tables import write_tables

__all__ = [
    "REMARKS",
    "Calendar",
    "Measured",
    "Recording",
    "Scan",
    "Share",
    "by_group",
    "by_label",
    "calendar",
    "counts",
    "measure",
    "scan",
    "write_tables",
]
