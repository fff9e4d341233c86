"""``semisonic predict``: say what is heard in recordings."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.inference import PredictOptions


def predict(options: PredictOptions, session: Session) -> Status:
    """Say what is heard in recordings of any length."""
    from semisonic.inference import predict as work

    session.resumes = options.output is not None
    result = work(options)
    session.say(result.summary())
    if options.output is None:
        session.note("next: -o predictions.csv writes all rows into a table")
    return Status.SOME_FAILED if result.failures else Status.OK


command = command_from(
    PredictOptions,
    predict,
    name="predict",
    examples=[
        "semisonic predict runs/model a.wav b.ogg",
        "semisonic predict runs/model path/to/recordings --windows --hop 1 -o predictions.csv",
    ],
)
