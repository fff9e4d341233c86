"""``semisonic curve``: accuracy against the number of labels."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import SYNTH
from semisonic.data import describe_layout
from semisonic.experiments import CurveOptions


def curve(options: CurveOptions, session: Session) -> Status:
    """Answer two questions: how many labels do I need, and do my unlabelled recordings help?

    Classifiers are trained with several numbers of labels per class, with and without the pool,
    on all folds and several draws of labels.
    """
    session.log = options.output / "log.txt"
    if session.dry_run:
        for path in (options.data, options.unlabelled):
            if path is not None and str(path) != SYNTH:
                session.note(describe_layout(path))
        return Status.OK
    from semisonic.experiments import learning_curve

    result = learning_curve(options)
    session.say(result.summary())
    return session.failed(result.failures, options.output / "bad_files.csv")


command = command_from(
    CurveOptions,
    curve,
    name="curve",
    arguments=("data",),
    examples=[
        "semisonic curve path/to/labelled --unlabelled path/to/pool -o runs/curve",
        "semisonic curve path/to/labelled --labels 2,4,8 --draws 5",
    ],
    resumes=True,
    plans=True,
)
