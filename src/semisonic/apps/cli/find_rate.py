"""``semisonic find-rate``: which learning rate to train with."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import begin, finish, say_plan
from semisonic.inference import FindRateOptions


def find_rate(options: FindRateOptions, session: Session) -> Status:
    """Find a learning rate for a training with the same options.

    The rate rises from step to step of a short training that is not kept; 'semisonic train' is
    not changed by it. With --freeze-epochs the encoder is frozen meanwhile.
    """
    options = begin(options, session, labelled="data", pool="unlabelled")
    if session.dry_run:
        return say_plan(options, session)
    from semisonic.inference import find_rate as work

    return finish(work(options), options.output, session)


command = command_from(
    FindRateOptions,
    find_rate,
    name="find-rate",
    arguments=("data",),
    examples=[
        "semisonic find-rate path/to/labelled --method supervised -o runs/rate",
        "semisonic find-rate path/to/labelled --method supervised --encoder runs/other "
        "--freeze-epochs 5",
    ],
    resumes=True,
    plans=True,
)
