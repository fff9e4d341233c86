"""``semisonic data labels``: label files of other tools, from one format to another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.base.errors import OptionError
from semisonic.base.options import option
from semisonic.data.labels import FORMATS, WindowRules
from semisonic.data.labels.convert import convert_labels

_RULES = WindowRules()
_ONLY = "only with --windows"


@dataclass(frozen=True)
class LabelsOptions:
    """Convert label files."""

    labels: Path = option(dataclasses.MISSING, "a label file, or a folder of them")
    output: Path | None = option(
        None, "file to write; a folder for audacity and raven, one file a recording"
    )
    format: str = option("csv", "format to write", choices=FORMATS)
    read_as: str = option(
        "auto", "format to read; auto looks at the content", choices=("auto", *FORMATS)
    )
    label_column: str | None = option(
        None, "column that holds the labels, where a selection table has several of its own"
    )
    recordings: Path | None = option(
        None, "folder of the recordings; that of the labels if not given"
    )
    windows: float | None = option(
        None, "cut the annotated recordings into windows of this length", unit="s", minimum=0.01
    )
    hop: float | None = option(
        None, f"from one window to the next; their length if not given; {_ONLY}",
        unit="s", minimum=0.001,
    )  # fmt: skip
    min_overlap: float = option(
        _RULES.min_overlap,
        f"a window has the label of an event that it shares so much with; {_ONLY}",
        unit="s", minimum=0,
    )  # fmt: skip
    min_share: float = option(
        _RULES.min_share, f"or so large a share of the event; {_ONLY}", minimum=0.01, maximum=1
    )
    background: str | None = option(
        _RULES.background, f"class of windows without any event; none leaves them out; {_ONLY}"
    )


def labels(options: LabelsOptions, session: Session) -> Status:
    """Convert label files of Audacity, Raven, BirdNET, Kaleidoscope and CSV tables.

    With --windows, annotated recordings are cut into labelled windows, as a table to train on.
    The exit status is 3 when rows could not be used; they are listed in OUTPUT.bad_rows.csv.
    """
    if options.output is None:
        raise OptionError("output is missing: where to write the labels (-o)")
    rules = None
    if options.windows is not None:
        rules = WindowRules(
            options.windows, options.hop, options.min_overlap, options.min_share, options.background
        )
    elif options.hop is not None:
        raise OptionError("hop: found one without windows, expected --windows too")
    done = convert_labels(
        options.labels,
        options.output,
        options.format,
        read_as=options.read_as,
        label_column=options.label_column,
        recordings=options.recordings,
        rules=rules,
    )
    for note in done.notes:
        session.note(note)
    session.say(done.summary)
    return session.failed(done.failures, done.bad_rows, "place")


command = command_from(
    LabelsOptions,
    labels,
    name="labels",
    examples=[
        "semisonic data labels night1.Table.1.selections.txt -o night1.csv",
        "semisonic data labels path/to/annotated -o labels.csv --windows 3",
        "semisonic data labels events.csv -o tracks --format audacity",
    ],
)
