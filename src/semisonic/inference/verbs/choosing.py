"""From the options of ``train`` to a concrete way of learning; ``auto`` becomes a choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from semisonic.base.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.inference.methods.advice import AUTO, FEW, Situation, advise, followed
from semisonic.inference.methods.options import MethodOptions
from semisonic.inference.options import TRAIN_FIT, TrainOptions
from semisonic.inference.pretext import RECONSTRUCTION
from semisonic.inference.selection import Selection, select
from semisonic.inference.synthetic import SYNTH

DEFAULT = TrainOptions()


def starts_from_synth(options: TrainOptions) -> bool:
    """Whether training starts from an encoder of made-up sounds."""
    return str(options.encoder) == SYNTH


def select_for(options: TrainOptions, clips: Clips) -> Selection:
    """The labels to learn from and to validate on.

    ``auto`` trains for a fixed time, so a validation part only measures; where labels are few
    they are all learned from, unless a part was asked for.
    """
    found = _select(options, clips, options.validation)
    measuring = options.method == AUTO and options.validation == DEFAULT.validation
    if measuring and _per_class(clips, found) <= FEW:
        return _select(options, clips, 0.0)
    return found


def choose(
    options: TrainOptions, clips: Clips, chosen: Selection, n_pool: int
) -> tuple[TrainOptions, str]:
    """The options with a method and an objective instead of ``auto``, and why.

    Raises
    ------
    OptionError
        When something is asked for that would do nothing: an encoder to start from and
        pre-training, or a pool that the method does not hear.
    """
    because = ""
    if options.method == AUTO:
        choice = advise(
            Situation(
                _per_class(clips, chosen), n_pool, clips.is_multi_label,
                options.encoder is not None or options.objective not in (AUTO, "none"),
                options.device,
            )
        )  # fmt: skip
        options = replace(
            options,
            method=choice.method,
            encoder=Path(SYNTH) if choice.synthetic_start else options.encoder,
            objective="none" if options.objective == AUTO else options.objective,
            dropout=options.dropout if options.dropout != DEFAULT.dropout else choice.dropout,
            how=followed(choice.how, options.how, MethodOptions()),
            fit=followed(choice.fit, options.fit, TRAIN_FIT),
        )
        return options, choice.because
    if options.objective == AUTO:
        pretrains = options.method == "supervised" and n_pool and options.encoder is None
        options = replace(options, objective=RECONSTRUCTION if pretrains else "none")
    if options.objective != "none" and options.encoder is not None:
        raise OptionError(
            f"options 'encoder', 'objective': found both an encoder to start from and "
            f"'{options.objective}' to pre-train one; give one of them"
        )
    if n_pool and options.method == "supervised" and options.objective == "none":
        raise OptionError(
            "option 'unlabelled': the method 'supervised' without pre-training does not hear "
            "these recordings; choose another method, an objective for pre-training, or leave "
            "them out"
        )
    return options, because


def _select(options: TrainOptions, clips: Clips, validation: float) -> Selection:
    return select(
        clips,
        labels_per_class=options.labels_per_class,
        validation=validation,
        test_fold=options.test_fold,
        seed=options.seed,
    )


def _per_class(clips: Clips, chosen: Selection) -> float:
    """Mean number of labels a class, those of the validation part as well."""
    return sum(len(clips.labels[row]) for row in chosen.used.tolist()) / len(clips.classes)
