"""Training a classifier from labelled features and a pool, from scratch or from an encoder.

Where the standardisation comes from: it is fitted on the training rows, that is on the
labelled training clips only. With ``start`` it is the pre-trained encoder's, since its weights
were learned behind those statistics. So an arm with and an arm without pre-training that get
the same rows, settings and seed differ in the encoder's first weights and in these statistics,
and in nothing else: the head's first weights, the order of clips and the dropout are the same.
Give ``standardize`` to have the very same statistics in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from semisonic.base.errors import DataError, OptionError
from semisonic.base.options import option
from semisonic.data.streams import Stream
from semisonic.features import MelOptions, Standardize
from semisonic.inference.generated_options import GeneratedOptions
from semisonic.inference.generating import Generated, generate
from semisonic.inference.methods import linear_probe, prototypes
from semisonic.inference.methods.noisy_student import Round, train_in_rounds
from semisonic.inference.methods.objective import make_objective, reads_pool
from semisonic.inference.methods.options import (
    PROTOTYPE,
    SOLVED,
    WITHOUT_POOL,
    MethodOptions,
    NoisyOptions,
    check_noisy,
)
from semisonic.inference.methods.pseudo_labels import PseudoLabels
from semisonic.inference.methods.way import check_freezing
from semisonic.inference.options import DEFAULT_MODEL, STANDARDIZE, TRAIN_FIT
from semisonic.inference.pretext_objectives import frontend_of
from semisonic.inference.pretraining import feature_parts, without_validation
from semisonic.inference.scoring import score_rows
from semisonic.inference.training_checks import (
    check_rows,
    check_same,
    shares_of_batch,
    take_statistics,
)
from semisonic.inference.validation import validation_metrics
from semisonic.learning import Objective
from semisonic.learning.losses import LossOptions, create_loss
from semisonic.models import PretrainedEncoder, SoundModel, build, transfer
from semisonic.training import (
    FitOptions,
    FitResult,
    RateSweep,
    SweepOptions,
    choose_device,
    fit,
    sweep_rate,
)

Rows = NDArray[np.int64]

GENERATOR = "generator"
"""Folder of the generator's checkpoint, in that of the training."""


@dataclass(frozen=True)
class TrainSettings:
    """What is trained, and how."""

    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    dropout: float = option(
        0.0, "share of the embedding dropped in training", minimum=0.0, maximum=0.95
    )
    label_smoothing: float = option(
        0.0, "share of each label spread over all classes", minimum=0.0, maximum=0.9
    )
    method: str = option("supervised", "how labels and the pool are learned from")
    how: MethodOptions = field(default_factory=MethodOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    fit: FitOptions = field(default_factory=lambda: TRAIN_FIT)
    noisy: NoisyOptions = field(default_factory=NoisyOptions)
    generated: GeneratedOptions = field(default_factory=GeneratedOptions)


@dataclass(frozen=True)
class TrainOutcome:
    """A trained model and how it came about.

    Attributes
    ----------
    model : SoundModel
        On the CPU, in evaluation mode; with the weights of the best epoch when there were
        rows to validate on, else with the last ones.
    fit : FitResult
    teachers : tuple of FitResult
        Of the rounds before the last one, for the method noisy-student.
    guesses : list of PseudoLabels
        What each student of the method noisy-student, or each round of the method probe,
        learned beside the labels.
    generated : Generated or None
        The patches that were learned from beside the labelled clips.
    """

    model: SoundModel
    fit: FitResult
    teachers: tuple[FitResult, ...] = ()
    guesses: Sequence[PseudoLabels] = ()
    generated: Generated | None = None

    @property
    def history(self) -> list[dict[str, float]]:
        """A row an epoch."""
        return self.fit.history

    @property
    def best_epoch(self) -> int:
        """The epoch that the weights are from."""
        return self.fit.best_epoch

    @property
    def seconds(self) -> float:
        """Time in epochs, validation, earlier rounds and the generator included."""
        before = self.generated.fit.seconds if self.generated else 0.0
        return before + self.fit.seconds + sum(teacher.seconds for teacher in self.teachers)


def train_model(
    features: Any,
    target: NDArray[Any],
    rows_train: ArrayLike,
    rows_validation: ArrayLike,
    settings: TrainSettings,
    *,
    mel: MelOptions,
    classes: Sequence[str],
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | SoundModel | None = None,
    standardize: Standardize | None = None,
    rows_pool: ArrayLike = (),
    rows_noisy: ArrayLike = (),
    truth: NDArray[np.int64] | None = None,
    label: str = "train",
) -> TrainOutcome:
    """Train a classifier on some rows of features.

    Parameters
    ----------
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        For all rows of ``features``: class numbers, int64 (n,), or, when a clip can carry
        several labels, float32 (n, n_classes).
    rows_train, rows_validation : array of int
        Rows to learn from and rows that choose the epoch. Without any of the latter, all
        epochs are run and the last weights kept.
    settings : TrainSettings
    mel : MelOptions
        The front end that made the features.
    classes : sequence of str
    seed : int
        Of first weights, order of clips and dropout.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training goes on, a finished one returns at once.
    start : PretrainedEncoder or SoundModel, optional
        What was trained before. An encoder gives the encoder's first weights and the
        standardisation; a classifier of the same network and classes is trained further as a
        whole, with its class layer and the running statistics of its norms.
    standardize : Standardize, optional
        Statistics to use instead (see the head of this module).
    rows_pool : array of int
        Rows that methods which read unlabelled clips learn from. Rows of labelled clips may
        be among them: their labels are not looked at there.
    rows_noisy : array of int
        Rows with labels that nobody checked, to learn from beside ``rows_train``: by a loss and a
        weight of their own (``settings.noisy``), a share of each batch as large as theirs of all
        rows. An epoch is one pass over both.
    truth : ndarray of int64, shape (n,), optional
        Class numbers of all rows, -1 where unknown, to record how often guesses about the pool
        are right. For measuring: training does not depend on it.
    label : str
        What the progress bar is called.

    Raises
    ------
    DataError
        Without rows to learn from, with rows that have no label, or without a pool for a
        method that needs one.
    ModelError
        When ``start`` was trained for another front end or network.
    """
    work = _Work.of(
        features, target, rows_train, rows_validation, settings, mel=mel, classes=classes,
        device=device, start=start, standardize=standardize, rows_pool=rows_pool,
        rows_noisy=rows_noisy, truth=truth, label=label,
    )  # fmt: skip
    work = work.with_patches(seed, folder)
    train, pool = work.labelled, work.pool
    if settings.method in SOLVED:
        return work.solve(seed)
    if settings.method != "noisy-student":
        return work.fit(target, train, seed, folder)
    outcomes: list[TrainOutcome] = []

    def train_round(one: Round) -> SoundModel:
        outcomes.append(work.fit(one.target, one.rows, one.seed, one.folder))
        return outcomes[-1].model

    guesses = train_in_rounds(
        features, target, train, pool, len(classes), settings.how, train_round,
        seed=seed, folder=folder, device=work.device,
    )  # fmt: skip
    return replace(outcomes[-1], teachers=tuple(o.fit for o in outcomes[:-1]), guesses=guesses)


def sweep_model(
    features: Any,
    target: NDArray[Any],
    rows_train: ArrayLike,
    settings: TrainSettings,
    sweep: SweepOptions,
    *,
    seed: int,
    **more: Any,
) -> RateSweep:
    """Try learning rates on some rows of features; see :func:`semisonic.training.sweep_rate`.

    ``more`` is what :func:`train_model` takes besides. Nothing is left behind: a training
    afterwards is the same as one without.

    Raises
    ------
    OptionError
        For a method that has no learning rate, such as probe.
    """
    if settings.method in SOLVED:
        raise OptionError(
            f"option 'method': '{settings.method}' solves for its linear layer and has no learning "
            "rate; choose a method that trains, such as 'supervised'"
        )
    work = _Work.of(features, target, rows_train, [], settings, **more)
    work = work.with_patches(seed, None)
    objective, streams, options = work.parts(work.fresh_model(seed), target, work.labelled, seed)
    return sweep_rate(objective, streams, options, sweep, seed=seed, device=work.device)


@dataclass(frozen=True)
class _Work:
    """All that the fits of one training share."""

    features: Any
    target: NDArray[Any]
    labelled: Rows
    held_out: Rows
    pool: Rows
    noisy: Rows
    settings: TrainSettings
    mel: MelOptions
    classes: tuple[str, ...]
    device: torch.device
    start: PretrainedEncoder | SoundModel | None
    standardize: Standardize | None
    truth: NDArray[np.int64] | None
    label: str
    patches: Generated | None = None

    @classmethod
    def of(
        cls,
        features: Any,
        target: NDArray[Any],
        rows_train: ArrayLike,
        rows_validation: ArrayLike,
        settings: TrainSettings,
        *,
        mel: MelOptions,
        classes: Sequence[str],
        device: str | torch.device = "cpu",
        start: PretrainedEncoder | SoundModel | None = None,
        standardize: Standardize | None = None,
        rows_pool: ArrayLike = (),
        rows_noisy: ArrayLike = (),
        truth: NDArray[np.int64] | None = None,
        label: str = "train",
    ) -> _Work:
        """The work that the arguments of :func:`train_model` ask for, if it can be done."""
        train = np.asarray(rows_train, np.int64)
        held_out = np.asarray(rows_validation, np.int64)
        check_rows(target, train, held_out, len(classes))
        check_freezing(settings.fit, start is not None)
        pool = np.asarray(rows_pool, np.int64)
        noisy = np.asarray(rows_noisy, np.int64)
        if len(noisy):
            check_noisy(settings.method)
            check_rows(target, np.concatenate([train, noisy]), held_out, len(classes))
        if settings.method not in WITHOUT_POOL and not len(pool):
            raise DataError(
                f"method '{settings.method}': found no unlabelled clips to learn from; give a "
                "pool, or use the method 'supervised'"
            )
        if isinstance(start, SoundModel):
            check_same(start, settings.model, mel, classes, target.ndim == 2)
        if standardize is None and start is not None:
            frontend = start.frontend if isinstance(start, SoundModel) else frontend_of(start)
            standardize = frontend.standardize
        return cls(
            features, target, train, held_out, pool, noisy, settings, mel, tuple(classes),
            choose_device(device), start, standardize, truth, label,
        )  # fmt: skip

    def with_patches(self, seed: int, folder: Path | None) -> _Work:
        """The same work with generated patches, where the settings ask for some."""
        options = self.settings.generated
        if not options.is_used:
            return self
        options.check_for(self.settings.method)
        if len(self.noisy):
            raise OptionError(
                "option 'generator': found clips whose labels nobody checked beside others; "
                "generated patches would take their place: leave out one of them"
            )
        patches = generate(
            self.features, self.target, self.labelled, options, mel=self.mel,
            n_classes=len(self.classes), seed=seed, device=self.device,
            folder=None if folder is None else folder / GENERATOR, pool=self.pool,
        )  # fmt: skip
        return replace(self, patches=patches)

    def parts(
        self, model: SoundModel, target: NDArray[Any], rows: Rows, seed: int
    ) -> tuple[Objective, dict[str, Stream], FitOptions]:
        """What :func:`fit` takes: the method's objective around a model, streams, options."""
        settings = self.settings
        options = settings.fit if len(self.held_out) else without_validation(settings.fit)
        if model.multi_label and options.monitor == "val_accuracy":
            options = replace(options, monitor="val_lwlrap")
        streams = self.streams(target, rows, seed)

        def loss_of(chosen: LossOptions) -> nn.Module:
            return create_loss(
                chosen, multi_label=model.multi_label, label_smoothing=settings.label_smoothing,
                steps_per_epoch=options.rounds(streams["labelled"].steps_per_epoch)[1],
            )  # fmt: skip

        beside, weight = settings.noisy.loss, settings.noisy.weight
        if self.patches is not None:
            # A patch is one more clip whose label nobody checked.
            beside, weight = settings.loss, settings.generated.generated_weight
        objective = make_objective(
            settings.method, model, settings.how, loss_of(settings.loss), seed,
            noisy_loss=loss_of(beside) if "noisy" in streams else None, noisy_weight=weight,
        )  # fmt: skip
        return objective, streams, options

    def fit(self, target: NDArray[Any], rows: Rows, seed: int, folder: Path | None) -> TrainOutcome:
        """Train a fresh model on some rows, stop by the held-out ones."""
        model = self.fresh_model(seed)
        objective, streams, options = self.parts(model, target, rows, seed)

        def validate() -> Mapping[str, float]:
            scores = score_rows(model, self.features, self.held_out, device=self.device)
            return validation_metrics(self.target[self.held_out], scores)

        result = fit(
            objective,
            streams,
            options,
            seed=seed,
            device=self.device,
            validate=validate if len(self.held_out) else None,
            folder=folder,
            label=self.label,
        )
        model.cpu().eval()
        return TrainOutcome(model, result, generated=self.patches)

    def solve(self, seed: int) -> TrainOutcome:
        """Find the class layer alone."""
        model = self.fresh_model(seed).to(self.device)

        def validate() -> Mapping[str, float]:
            scores = score_rows(model, self.features, self.held_out, device=self.device)
            return validation_metrics(self.target[self.held_out], scores)

        check = validate if len(self.held_out) else None
        guesses: Sequence[PseudoLabels] = ()
        if self.settings.method == PROTOTYPE:
            result = prototypes.fit_prototypes(
                model, self.features, self.target, self.labelled, device=self.device, validate=check
            )
        else:
            result, guesses = linear_probe.fit_probe(
                model, self.features, self.target, self.labelled, self.pool, self.settings.how,
                device=self.device, truth=self.truth, validate=check,
            )  # fmt: skip
        model.cpu().eval()
        return TrainOutcome(model, result, guesses=guesses)

    def fresh_model(self, seed: int) -> SoundModel:
        """A model with first weights and statistics, ready to train."""
        settings, known = self.settings, self.standardize
        model = build(
            settings.model,
            self.mel,
            self.classes,
            standardize=settings.standardize if known is None else known.kind,
            multi_label=self.target.ndim == 2,
            dropout=settings.dropout,
            seed=seed,
        )
        if isinstance(self.start, SoundModel):
            model.load_state_dict(self.start.state_dict())
        elif self.start is not None:
            transfer(self.start, model, statistics="own")
        if known is not None:
            take_statistics(model, known)
        else:
            rows = np.concatenate([self.labelled, self.noisy])
            model.frontend.standardize.fit(feature_parts(self.features, rows))
        return model

    def streams(self, target: NDArray[Any], rows: Rows, seed: int) -> dict[str, Stream]:
        """The streams that the method reads."""
        size, how = self.settings.fit.batch_size, self.settings.how
        n_certain, n_noisy = shares_of_batch(size, len(rows), len(self.noisy))
        streams = {
            name: Stream(
                self.features, used, batch_size=n, seed=seed, target=target,
                device=self.device, name=name,
            )
            for name, used, n in (("labelled", rows, n_certain), ("noisy", self.noisy, n_noisy))
            if len(used)
        }  # fmt: skip
        if self.patches is not None:
            ratio = self.settings.generated.generated_ratio
            streams["noisy"] = Stream(
                self.patches.features, np.arange(len(self.patches.target)),
                batch_size=max(2, round(ratio * min(size, len(rows)))), seed=seed,
                target=self.patches.target, device=self.device, name="generated",
            )  # fmt: skip
        if reads_pool(self.settings.method, how):
            # A batch of the pool goes with a batch of labels, which may be a small one.
            n_pool = max(2, round(how.pool_ratio * min(size, len(rows) + len(self.noisy))))
            streams["unlabelled"] = Stream(
                self.features, self.pool, batch_size=n_pool, seed=seed, target=self.truth,
                device=self.device, name="unlabelled", missing_ok=True,
            )  # fmt: skip
        return streams
