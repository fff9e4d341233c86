"""``semisonic scan``: a first look at a disk of recordings."""

from __future__ import annotations

import json

from semisonic.apps.cli.data_info import lines
from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.inference import ScanOptions


def scan(options: ScanOptions, session: Session) -> Status:
    """Decode every recording below a folder once: lengths, levels, times, sites, copies, damage.

    Writes recordings.csv, bad_files.csv, duplicates.csv, scan.json and scan.html. Another scan
    into the same run folder decodes only what is new or changed. The exit status is 3 when files
    cannot be used. No recording is changed.
    """
    session.log = options.output / "log.txt"
    from semisonic.inference import scan as work

    result = work(options)
    for note in (*result.scan.notes, *result.scan.summary.notes):
        session.note(note)
    if options.json:
        session.say(json.dumps(result.counts, indent=2, ensure_ascii=False))
    else:
        for line in lines(result.scan.summary):
            session.say(line)
        session.say()
        session.say(result.summary())
    return session.failed(result.failures, options.output / "bad_files.csv")


command = command_from(
    ScanOptions,
    scan,
    name="scan",
    arguments=("data",),
    examples=[
        "semisonic scan path/to/disk -o runs/scan",
        "semisonic scan path/to/disk --group day --thumbnails 48",
        "semisonic scan path/to/recordings --labels folders --silence-db -50 --json",
    ],
    resumes=True,
)
