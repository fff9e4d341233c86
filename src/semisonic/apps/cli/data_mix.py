"""``semisonic data mix``: training windows for a detector, of clips and background."""

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
from semisonic.data.checks import known_recordings
from semisonic.data.mixing import MixOptions
from semisonic.data.mixing import mix as work


@dataclass(frozen=True)
class MixVerbOptions:
    """Mix labelled clips into background."""

    data: str = option(dataclasses.MISSING, f"labelled clips: {PATH_HELP}")
    output: Path = option(Path("windows"), "folder of the windows, new or empty")
    mix: MixOptions = field(default_factory=MixOptions)
    source: SourceOptions = field(default_factory=SourceOptions)


def mix(options: MixVerbOptions, session: Session) -> Status:
    """Mix labelled clips into background, as windows to train a detector on.

    The longest stretch of sound of each clip is heard in several windows, at random times and
    levels. Windows of nothing but background are a class of their own. The table labels.csv
    beside the windows says what is heard when, and which windows come from one recording. The
    exit status is 3 when recordings could not be read.
    """
    given, output = Path(options.data), options.output
    if given.is_dir() and output.resolve().is_relative_to(given.resolve()):
        raise OptionError(
            f"output: found '{output}', which lies in the folder of the clips and would be read "
            "as such the next time; expected another place"
        )
    clips = load(options.data, options.source, session)
    if options.mix.n_folds and not clips.folds:
        together = known_recordings(clips, options.source.group)
        clips = together.clips
        for note in together.notes:
            session.note(note)
    made = work(clips, output, options.mix)
    for note in made.notes:
        session.note(note)
    session.say(
        f"{output}: {counted(made.n_sounds, 'window')} of {options.mix.window:g} s with sounds of "
        f"{counted(made.n_clips, 'clip')}, and {made.n_background} of background"
    )
    session.note(f"next: semisonic train {output / 'labels.csv'}")
    return session.failed(made.failures, output / "bad_files.csv")


command = command_from(
    MixVerbOptions,
    mix,
    name="mix",
    arguments=("data",),
    examples=[
        "semisonic data mix path/to/labelled -o windows --background path/to/quiet",
        "semisonic data mix path/to/labelled -o windows --window 3 --copies 4 --snr-db 5,20",
        "semisonic data mix path/to/labelled -o train --n-folds 5 --fold 1,2,3,4",
    ],
    resumes=True,
)
