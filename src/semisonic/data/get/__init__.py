"""Fetch published data sets that may be downloaded anonymously. Nothing happens unasked."""

from semisonic.data.get.catalogue import PARTS, SETS, Archive, RemoteFile, RemoteSet
from semisonic.data.get.fetch import Fetched, Plan, fetch, make_plan

__all__ = [
    "PARTS",
    "SETS",
    "Archive",
    "Fetched",
    "Plan",
    "RemoteFile",
    "RemoteSet",
    "fetch",
    "make_plan",
]
