"""Recordings packed into shards, to be copied, stored and read as a few large files."""

from semisonic.data.shards.options import ShardOptions
from semisonic.data.shards.packing import Packed, pack

__all__ = ["Packed", "ShardOptions", "pack"]
