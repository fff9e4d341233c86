"""The verbs that train and measure: pretrain, train, find-rate, evaluate, calibrate, suspects."""

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
    """What the function behind a verb returns."""

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Files that could not be used, with reasons."""

    def summary(self) -> str:
        """The result in a few lines of text."""


def begin(options: T, session: Session) -> T:
    """Name the run's log in errors, check the paths, and replace 'synth' by the path of the set.

    In a dry run, print how each path would be read.
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
    """The options with the word 'synth' replaced by the set, made beside the run folder."""
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
    """Print the method, its steps, the time and the disk space; write nothing."""
    if SYNTH in map(str, (options.data, options.unlabelled)):
        session.note("the synthetic data set would be made first; the plan depends on it")
        return Status.OK
    from semisonic.classifier.train import plan_training

    for line in plan_training(options):
        session.say(f"# {line}")
    return Status.OK


def finish(result: VerbResult, output: Path, session: Session, then: str = "") -> Status:
    """Print the summary and the next command; the exit status tells whether files failed."""
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

    With --objective, an auto-encoder learns to rebuild spectrograms from an embedding or to remove
    noise, or an encoder learns to recognise two views of one clip. The encoder is saved, and
    'semisonic train --encoder' starts from it.
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

    With --encoder, training starts from an encoder of 'semisonic pretrain' or from a classifier.
    With --unlabelled, it also learns from these recordings. With --freeze-epochs, only a new class
    layer learns at first, then the whole network.
    """
    options = begin(options, session)
    if session.dry_run:
        return say_plan(options, session)
    from semisonic.classifier.train import train as work

    then = (
        f"semisonic evaluate {options.output} LABELLED with clips that it was not trained on, "
        f"or semisonic predict {options.output} RECORDINGS"
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

    The learning rate rises at each step of a short training, whose weights are not kept. The
    result does not change 'semisonic train'. With --freeze-epochs, the encoder is frozen.
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
    """Measure a classifier on labelled recordings that it was not trained on; write a report."""
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
    """Calibrate a classifier's scores on clips that it was not trained on.

    Writes a new model into the run folder: its scores are calibrated, each class has a threshold,
    and it can answer '(unknown)' for sounds of none of its classes. The report shows the results,
    and the classes with too few clips. The original model is not changed.
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
    """Find labels that look wrong, to check by listening.

    Models that were trained on other recordings judge each label. The list, most suspicious first,
    is written as a table and as a page with players. No label is changed.
    """
    options = begin(options, session)
    if session.dry_run:
        return Status.OK
    from semisonic.classifier.suspects import suspects as work

    return finish(work(options), options.output, session)
