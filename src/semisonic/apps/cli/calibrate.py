"""``semisonic calibrate``: scores that mean what they say."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import begin, finish
from semisonic.inference import CalibrateOptions


def calibrate(options: CalibrateOptions, session: Session) -> Status:
    """Make a classifier's scores mean what they say, by clips that it was not trained on.

    The run folder gets a new model: its scores are calibrated, each class has a threshold, and
    sounds that are like nothing it has learned can be called unknown. The page shows what was
    reached, and for which classes there were too few clips. The model given stays as it is.
    """
    options = begin(options, session, labelled="data")
    if session.dry_run:
        return Status.OK
    from semisonic.inference import calibrate as work

    return finish(
        work(options),
        options.output,
        session,
        f"semisonic predict {options.output} RECORDINGS --unknown",
    )


command = command_from(
    CalibrateOptions,
    calibrate,
    name="calibrate",
    arguments=("data",),
    examples=[
        "semisonic calibrate runs/model path/to/validation -o runs/calibrated",
        "semisonic calibrate runs/model path/to/esc10 --fold 4 --precision 0.95",
        "semisonic calibrate runs/model labels.csv --method temperature --unknown none",
    ],
    resumes=True,
    plans=True,
)
