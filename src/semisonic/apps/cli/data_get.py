"""``semisonic data get``: fetch a published data set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session
from semisonic.base.options import check, option
from semisonic.data.get import PARTS, SETS, fetch, make_plan


@dataclass(frozen=True)
class GetOptions:
    """Fetch a published data set."""

    name: str = option(dataclasses.MISSING, "the data set", choices=SETS)
    output: Path = option(Path("data"), "folder that it is unpacked into")
    parts: tuple[str, ...] = option(
        (), "fetch these parts only; the FSDKaggle sets have several", choices=PARTS
    )
    keep_archives: bool = option(False, "keep the archives after they were unpacked")


def get_data(options: GetOptions, session: Session) -> None:
    """Download a data set that its authors give to everybody, check it and unpack it.

    Says its licence and size first; --dry-run says no more than that and fetches nothing. An
    interrupted download goes on where it stopped.
    """
    remote = SETS[check(options).name]
    plan = make_plan(remote, options.output, options.parts)
    for line in plan.lines():
        session.say(line)
    if session.dry_run:
        return
    done = fetch(plan, keep_archives=options.keep_archives)
    for folder, n_files in done.folders.items():
        session.say(f"{options.output / folder}: {n_files} files")
    session.say(f"look at it with: semisonic data info {done.data}")


command = command_from(
    GetOptions,
    get_data,
    name="get",
    examples=[
        "semisonic data get esc50 -o sets --dry-run",
        "semisonic data get fsdkaggle2019 -o sets/fsd2019 --parts meta,curated,test",
    ],
    resumes=True,
    plans=True,
)
