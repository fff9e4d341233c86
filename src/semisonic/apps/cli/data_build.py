"""``semisonic data build``: decode and resample all clips into a sample store."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.source import PATH_HELP, SourceOptions, load
from semisonic.base.options import option
from semisonic.data.store import SampleStore
from semisonic.engines import EngineOptions, open_engine, workers_option

NOTES_SHOWN = 10


@dataclass(frozen=True)
class BuildOptions:
    """Decode and resample all clips of a data set."""

    data: str = option(dataclasses.MISSING, PATH_HELP)
    output: Path = option(Path("runs/store"), "folder of the store")
    sample_rate: int = option(22050, "rate of the stored samples", unit="Hz", minimum=1000)
    workers: int | None = workers_option()
    source: SourceOptions = field(default_factory=SourceOptions)
    where: EngineOptions = option(EngineOptions(), "engine")


def build_store(options: BuildOptions, session: Session) -> Status:
    """Decode and resample all clips once, into one file that later work reads from.

    Only what is new or changed is decoded. An interrupted build goes on where it stopped. The
    store is for programs of your own (semisonic.data.store.SampleStore); training and the other
    verbs keep such stores in their --cache.
    """
    clips = load(options.data, options.source, session)
    with open_engine(options.where) as engine:
        store = SampleStore.build(
            clips, options.output, sample_rate=options.sample_rate, workers=options.workers,
            engine=engine,
        )  # fmt: skip
    report = store.report
    rate = report.n_decoded / report.seconds if report.seconds > 0 else 0.0
    length = float(store.n_samples.sum()) / store.sample_rate
    speed = f", {rate:.0f} clips/s" if report.n_decoded else ""
    session.say(
        f"{options.output}: {len(store)} clips, {length / 60:.1f} min at {store.sample_rate} Hz "
        f"({report.n_decoded} decoded in {report.seconds:.1f} s{speed}; "
        f"{report.n_reused} were there already)"
    )
    session.note(
        "A store is for programs of your own: SampleStore.build(clips, folder, sample_rate=...) of "
        "semisonic.data.store opens it. Training and the other verbs keep theirs in --cache. "
        f"Next: semisonic data info {options.output}"
    )
    for clip, note in report.notes[:NOTES_SHOWN]:
        session.note(f"{clip}: {note}")
    if len(report.notes) > NOTES_SHOWN:
        session.note(f"and {len(report.notes) - NOTES_SHOWN} more clips with remarks")
    return session.failed(report.failures)


command = command_from(
    BuildOptions,
    build_store,
    name="build",
    arguments=("data",),
    examples=["semisonic data build path/to/recordings -o store --sample-rate 22050"],
    resumes=True,
)
