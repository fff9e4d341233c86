"""How recordings are packed."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.options import option


@dataclass(frozen=True)
class ShardOptions:
    """Options of :func:`semisonic.data.shards.pack`."""

    per_shard: int = option(5000, "recordings in a shard", minimum=1)
    format: str = option(
        "tar", "tar (WebDataset) or parquet (a column of bytes and path, which needs pyarrow)",
        choices=("tar", "parquet"),
    )  # fmt: skip
