"""``semisonic data shards``: pack recordings into a few large files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.source import PATH_HELP, SourceOptions, load
from semisonic.base.errors import OptionError
from semisonic.base.options import option
from semisonic.base.wording import counted
from semisonic.data.shards import ShardOptions, pack


@dataclass(frozen=True)
class ShardsOptions:
    """Pack recordings into shards."""

    data: str = option(dataclasses.MISSING, PATH_HELP)
    output: Path = option(Path("shards"), "folder of the shards")
    shards: ShardOptions = field(default_factory=ShardOptions)
    source: SourceOptions = field(default_factory=SourceOptions)


def pack_shards(options: ShardsOptions, session: Session) -> Status:
    """Pack recordings and their labels into tar files or Parquet tables.

    All verbs read the folder of shards as they read the recordings, and compute the same from
    it. Recordings are copied as they are. An interrupted run goes on with the next shard. The
    exit status is 3 when recordings could not be read.
    """
    given, output = Path(options.data), options.output
    if given.is_dir() and output.resolve() == given.resolve():
        raise OptionError(
            f"output: found '{output}', the folder of the recordings; expected another place"
        )
    packed = pack(load(options.data, options.source, session), output, options.shards)
    kept = f", {packed.n_kept} of them were there already" if packed.n_kept else ""
    size = sum(shard.stat().st_size for shard in packed.shards)
    n_files = counted(packed.n_files, "recording")
    n_shards = counted(len(packed.shards), "shard")
    session.say(f"{output}: {n_files} in {n_shards}, {size / 1e6:.1f} MB{kept}")
    return session.failed(packed.failures)


command = command_from(
    ShardsOptions,
    pack_shards,
    name="shards",
    arguments=("data",),
    examples=[
        "semisonic data shards path/to/recordings -o shards --per-shard 5000",
        "semisonic data shards path/to/recordings -o shards --format parquet",
    ],
    resumes=True,
)
