"""``semisonic evaluate``: measure a classifier on labelled recordings."""

from __future__ import annotations

import json

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import begin, finish
from semisonic.inference import EvaluateOptions


def evaluate(options: EvaluateOptions, session: Session) -> Status:
    """Measure a classifier on labelled recordings that it has not heard, and write a report."""
    options = begin(options, session, labelled="data")
    if session.dry_run:
        return Status.OK
    from semisonic.inference import evaluate as work

    result = work(options)
    if not options.json:
        return finish(result, options.output, session)
    for remark in result.remarks():
        session.note(remark)
    session.say(json.dumps(result.numbers, indent=2, ensure_ascii=False))
    return session.failed(result.failures, options.output / "bad_files.csv", "clip")


command = command_from(
    EvaluateOptions,
    evaluate,
    name="evaluate",
    arguments=("data",),
    examples=[
        "semisonic evaluate runs/model path/to/test -o runs/test",
        "semisonic evaluate runs/model path/to/esc10 --fold 5 --json",
    ],
    resumes=True,
    plans=True,
)
