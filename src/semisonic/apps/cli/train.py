"""``semisonic train``: a classifier from labelled recordings."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import begin, finish, say_plan
from semisonic.inference import TrainOptions


def train(options: TrainOptions, session: Session) -> Status:
    """Train a classifier from labelled recordings.

    With --encoder it starts from what 'semisonic pretrain' learned; with --unlabelled it learns
    an encoder from those recordings first. With --encoder of a classifier and --freeze-epochs a
    new class layer learns alone for a while, then all of the network.
    """
    options = begin(options, session, labelled="data", pool="unlabelled")
    if session.dry_run:
        return say_plan(options, session)
    from semisonic.inference import train as work

    return finish(
        work(options),
        options.output,
        session,
        f"semisonic evaluate {options.output} LABELLED for clips it has not heard, or "
        f"semisonic predict {options.output} RECORDINGS",
    )


command = command_from(
    TrainOptions,
    train,
    name="train",
    arguments=("data",),
    examples=[
        "semisonic train path/to/labelled -o runs/model",
        "semisonic train path/to/labelled --encoder runs/encoder --labels-per-class 4",
        "semisonic train path/to/labelled --unlabelled path/to/pool --epochs 50",
    ],
    resumes=True,
    plans=True,
)
