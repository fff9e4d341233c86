"""The verbs that learn and measure: pretrain, train, find-rate, evaluate, calibrate,
suspects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol, TypeVar

from semisonic.classifier.options import (
    CalibrateOptions,
    EvaluateOptions,
    FindRateOptions,
    PretrainOptions,
    SuspectsOptions,
    TrainOptions,
)
from semisonic.cli.parser import Session, Status, verb
from semisonic.core.options import changed

T = TypeVar("T")
SYNTH = "synth"


class VerbResult(Protocol):
    """What a function behind a verb gives back."""

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Files that could not be used, with reasons."""

    def summary(self) -> str:
        """What a person wants to know."""


def begin(options: T, session: Session) -> T:
    """Point errors to the run's log, look at the paths, and put that of the set for 'synth'.

    In a dry run it is said how each path would be read.
    """
    from semisonic.audio.remote import url_of
    from semisonic.data.datasets.load import describe_layout

    output: Path = getattr(options, "output")  # noqa: B009
    session.log = output / "log.txt"
    for name in ("data", "unlabelled"):
        path = getattr(options, name, None)
        if path is None or str(path) == SYNTH:
            continue
        if session.dry_run:
            session.note(describe_layout(path, pool=name == "unlabelled"))
        elif not path.exists() and url_of(path) is None:
            describe_layout(path)  # which says what is wrong, before torch is loaded
    if session.dry_run:
        return options
    made = with_synth(options)
    if made is not options:
        session.note(f"the synthetic sounds are in {output.parent / SYNTH}")
    return made


def with_synth(options: T) -> T:
    """The options with the synthetic sounds, made beside the run folder, for the word 'synth'."""
    folder = Path(getattr(options, "output")).parent / SYNTH  # noqa: B009
    is_pool = isinstance(options, PretrainOptions)
    parts = {"data": "pool" if is_pool else "labels.csv", "unlabelled": "pool"}
    paths = {
        name: folder / part
        for name, part in parts.items()
        if str(getattr(options, name, None)) == SYNTH
    }
    if not paths:
        return options
    from semisonic.data.synth.dataset import make_synth

    make_synth(folder)
    return changed(options, **paths)


def say_plan(options: TrainOptions, session: Session) -> Status:
    """Say the method, its steps, the time and the disk; nothing is written."""
    if SYNTH in map(str, (options.data, options.unlabelled)):
        session.note("the synthetic data set would be made first; what is learned depends on it")
        return Status.OK
    from semisonic.classifier.train import plan_training

    for line in plan_training(options):
        session.say(f"# {line}")
    return Status.OK


def finish(result: VerbResult, output: Path, session: Session, then: str = "") -> Status:
    """Print the summary and what comes next; the exit status tells whether files failed."""
    session.say(result.summary())
    session.note(f"run folder: {output}")
    if then:
        session.note(f"next: {then}")
    return Status.SOME_FAILED if result.failures else Status.OK


@verb(
    PretrainOptions,
    arguments=("data",),
    basic="output model encoder objective epochs sample_rate duration limit seed device",
    examples=[
        "semisonic pretrain path/to/recordings -o runs/encoder",
        'semisonic pretrain path/to/recordings --model "(32)5c-2p-64fc" --epochs 20',
        "semisonic pretrain path/to/recordings --objective simclr --epochs 60",
        "semisonic pretrain synth -o runs/encoder",
    ],
    resumes=True,
    plans=True,
)
def pretrain(options: PretrainOptions, session: Session) -> Status:
    """Learn an encoder from recordings without labels.

    An auto-encoder learns to draw spectrograms again from a narrow code, or to clean or complete
    them; or an encoder learns to know two views of a clip as one (--objective). The encoder is
    saved, and 'semisonic train --encoder' starts from it.
    """
    options = begin(options, session)
    if session.dry_run:
        return Status.OK
    from semisonic.classifier.pretrain import pretrain as work

    then = f"semisonic train LABELLED --encoder {options.output}"
    return finish(work(options), options.output, session, then)


@verb(
    TrainOptions,
    arguments=("data",),
    basic="output unlabelled method model encoder epochs labels_per_class test_fold device",
    examples=[
        "semisonic train path/to/labelled -o runs/model",
        "semisonic train path/to/labelled --encoder runs/encoder --labels-per-class 4",
        "semisonic train path/to/labelled --unlabelled path/to/pool --epochs 50",
    ],
    resumes=True,
    plans=True,
)
def train(options: TrainOptions, session: Session) -> Status:
    """Train a classifier from labelled recordings.

    With --encoder it starts from what 'semisonic pretrain' learned; with --unlabelled it learns
    an encoder from those recordings first. With --encoder of a classifier and --freeze-epochs a
    new class layer learns alone for a while, then all of the network.
    """
    options = begin(options, session)
    if session.dry_run:
        return say_plan(options, session)
    from semisonic.classifier.train import train as work

    then = (
        f"semisonic evaluate {options.output} LABELLED for clips that it was not trained on, or "
        f"semisonic predict {options.output} RECORDINGS"
    )
    return finish(work(options), options.output, session, then)


@verb(
    FindRateOptions,
    arguments=("data",),
    basic="output unlabelled method model encoder lowest_rate highest_rate sweep_steps device",
    examples=[
        "semisonic find-rate path/to/labelled --method supervised -o runs/rate",
        "semisonic find-rate path/to/labelled --method supervised --encoder runs/other "
        "--freeze-epochs 5",
    ],
    resumes=True,
    plans=True,
)
def find_rate(options: FindRateOptions, session: Session) -> Status:
    """Find a learning rate for a training with the same options.

    The rate rises from step to step of a short training that is not kept; 'semisonic train' is
    not changed by it. With --freeze-epochs the encoder is frozen meanwhile.
    """
    options = begin(options, session)
    if session.dry_run:
        return say_plan(options, session)
    from semisonic.classifier.find_rate import find_rate as work

    return finish(work(options), options.output, session)


@verb(
    EvaluateOptions,
    arguments=("data",),
    basic="output labels group fold by allow_seen allow_unknown json device",
    examples=[
        "semisonic evaluate runs/model path/to/test -o runs/test",
        "semisonic evaluate runs/model path/to/esc10 --fold 5 --json",
    ],
    resumes=True,
    plans=True,
)
def evaluate(options: EvaluateOptions, session: Session) -> Status:
    """Measure a classifier on labelled recordings it was not trained on, and write a report."""
    options = begin(options, session)
    if session.dry_run:
        return Status.OK
    from semisonic.classifier.evaluate import evaluate as work

    result = work(options)
    if not options.json:
        return finish(result, options.output, session)
    for remark in (*result.warnings, *result.notes):
        session.note(remark)
    session.say(json.dumps(result.numbers, indent=2, ensure_ascii=False))
    return session.failed(result.failures, options.output / "bad_files.csv", "clip")


@verb(
    CalibrateOptions,
    arguments=("data",),
    basic="output labels fold method precision unknown allow_seen allow_unknown device",
    examples=[
        "semisonic calibrate runs/model path/to/validation -o runs/calibrated",
        "semisonic calibrate runs/model path/to/esc10 --fold 4 --precision 0.95",
        "semisonic calibrate runs/model labels.csv --method temperature --no-unknown",
    ],
    resumes=True,
    plans=True,
)
def calibrate(options: CalibrateOptions, session: Session) -> Status:
    """Calibrate a classifier's scores by clips that it was not trained on.

    The run folder gets a new model: its scores are calibrated, each class has a threshold, and
    sounds that are like nothing it has learned can be called unknown. The page shows what was
    reached, and for which classes there were too few clips. The model given stays as it is.
    """
    options = begin(options, session)
    if session.dry_run:
        return Status.OK
    from semisonic.classifier.calibrate import calibrate as work

    then = f"semisonic predict {options.output} RECORDINGS --unknown"
    return finish(work(options), options.output, session, then)


@verb(
    SuspectsOptions,
    arguments=("data",),
    basic="output labels group folds repeats most players",
    examples=[
        "semisonic suspects path/to/labelled -o runs/suspects",
        "semisonic suspects path/to/esc10 --repeats 3 --most 40",
        "semisonic suspects labels.csv --group site",
    ],
    resumes=True,
    plans=True,
)
def suspects(options: SuspectsOptions, session: Session) -> Status:
    """Find labels that look wrong, to be listened to.

    Each label is judged by models that learned from other recordings only. The list, the most
    suspicious first, is written as a table and as a page with players. No label is changed.
    """
    options = begin(options, session)
    if session.dry_run:
        return Status.OK
    from semisonic.classifier.suspects import suspects as work

    return finish(work(options), options.output, session)
