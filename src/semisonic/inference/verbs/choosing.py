"""From the options of ``train`` to a concrete way of learning; ``auto`` becomes a choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from semisonic.base.options import given
from semisonic.data.clips import Clips
from semisonic.inference.methods.advice import (
    DRAWN,
    FRESH,
    GENERAL,
    GIVEN,
    NO_OBJECTIVE,
    SYNTHETIC,
    Situation,
)
from semisonic.inference.methods.way import (
    Way,
    asked_method,
    asks_training,
    check_freezing,
    check_read,
    settle,
    validation_share,
)
from semisonic.inference.modelfile import encoder_file
from semisonic.inference.options import FindRateOptions, TrainOptions
from semisonic.inference.published import Origin
from semisonic.inference.selection import Selection, select
from semisonic.inference.synthetic import SYNTH
from semisonic.inference.verbs.starting import is_synth
from semisonic.models import read_about
from semisonic.models.saving import AUTOENCODER


def select_for(options: TrainOptions, clips: Clips) -> Selection:
    """The labels to learn from and to validate on."""
    found = _select(options, clips, options.validation)
    share = validation_share(
        asked_way(options), options.validation, TrainOptions().validation, per_class(clips, found)
    )
    return found if share == options.validation else _select(options, clips, share)


def choose(
    options: TrainOptions, clips: Clips, chosen: Selection, n_pool: int
) -> tuple[TrainOptions, str]:
    """The options with a method and an objective instead of ``auto``, and why.

    Raises
    ------
    OptionError
        When something is asked for that would do nothing; see :func:`settle`.
    """
    n_labelled = len(chosen.train)
    situation = Situation(per_class(clips, chosen), n_labelled, n_pool, clips.is_multi_label)
    way = settle(asked_way(options), situation)
    check_read(way.method, options.fit, options.loss, options.dropout, options.label_smoothing)
    check_freezing(way.fit, way.start != FRESH or way.objective != NO_OBJECTIVE)
    settled = replace(
        options,
        method=way.method,
        objective=way.objective,
        encoder=Path(SYNTH) if way.start == SYNTHETIC else options.encoder,
        dropout=way.dropout or 0.0,
        how=way.how,
        fit=way.fit,
        pretrain=way.pretrain,
    )
    return settled, way.because


def asked_way(options: TrainOptions) -> Way:
    """The way to learn that the options ask for."""
    start = FRESH
    if is_synth(options.encoder):
        start = SYNTHETIC
    elif options.encoder is not None:
        said = read_about(encoder_file(options.encoder))
        start = DRAWN if said["kind"] == AUTOENCODER else GIVEN
        if Origin.of(said["about"]) is not None:
            start = GENERAL
    trains = asks_training(options.fit, options.loss, options.dropout, options.label_smoothing)
    if isinstance(options, FindRateOptions):
        trains = "find-rate"
    return Way(
        asked_method(options.model, options.method), options.objective, start, options.how,
        options.fit, options.pretrain, _dropout_given(options), trains=trains,
    )  # fmt: skip


def _dropout_given(options: TrainOptions) -> float | None:
    return options.dropout if "dropout" in given(options, type(options)()) else None


def per_class(clips: Clips, chosen: Selection) -> float:
    """Mean number of labels per class, those of the validation part as well."""
    return sum(len(clips.labels[row]) for row in chosen.used.tolist()) / len(clips.classes)


def _select(options: TrainOptions, clips: Clips, validation: float) -> Selection:
    return select(
        clips,
        labels_per_class=options.labels_per_class,
        validation=validation,
        test_fold=options.test_fold,
        seed=options.seed,
    )
