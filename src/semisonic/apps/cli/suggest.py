"""``semisonic suggest``: what to listen to next."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.labeling import SuggestOptions


def suggest(options: SuggestOptions, session: Session) -> Status:
    """Say which stretches of recordings to listen to and to label next.

    Writes a table: recording, times, why it is asked, the classifier's guesses, and an empty
    column 'label'. Fill that in and train from the table, or answer in the page.
    """
    from semisonic.labeling import run_suggest

    result = run_suggest(options)
    session.say(result.summary())
    session.note(
        f"next: fill in the column 'label' of {options.output}, then "
        f"semisonic train {options.output}"
    )
    return session.failed(result.failures)


command = command_from(
    SuggestOptions,
    suggest,
    name="suggest",
    arguments=("model", "data"),
    examples=[
        "semisonic suggest synth path/to/recordings -n 20 -o queue.csv",
        "semisonic suggest runs/model path/to/recordings --log labels.jsonl -o queue.csv",
        "semisonic suggest runs/model runs/index --strategy uncertain",
    ],
    resumes=True,
)
