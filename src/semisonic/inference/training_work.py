"""All that the fits of one training share: the model at first, its streams, its objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from semisonic.base.errors import DataError, OptionError
from semisonic.data.streams import Stream
from semisonic.features import MelOptions, Standardize
from semisonic.inference.generating import Generated, generate
from semisonic.inference.methods import leaving_out, linear_probe, prototypes
from semisonic.inference.methods.noisy_student import one_hot
from semisonic.inference.methods.objective import make_objective, reads_pool
from semisonic.inference.methods.options import (
    FITTED,
    LEFT_OUT,
    PROTOTYPE,
    WITHOUT_POOL,
    check_noisy,
)
from semisonic.inference.methods.pseudo_labels import PseudoLabels
from semisonic.inference.methods.way import check_freezing
from semisonic.inference.pretext_objectives import frontend_of
from semisonic.inference.pretraining import feature_parts, without_validation
from semisonic.inference.scoring import embed_rows, score_rows
from semisonic.inference.simple.training import fit_simple
from semisonic.inference.training_checks import (
    check_rows,
    check_same,
    shares_of_batch,
    take_statistics,
)
from semisonic.inference.training_settings import TrainOutcome, TrainSettings
from semisonic.inference.validation import validation_metrics
from semisonic.learning import Objective
from semisonic.learning.losses import LossOptions, create_loss
from semisonic.models import PretrainedEncoder, SoundModel, build, transfer
from semisonic.training import (
    FitOptions,
    choose_device,
    fit,
)

Rows = NDArray[np.int64]

GENERATOR = "generator"
"""Folder of the generator's checkpoint, in that of the training."""


@dataclass(frozen=True)
class TrainingWork:
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
    groups: NDArray[np.str_]
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
        groups: Sequence[str] | NDArray[np.str_] | None = None,
        label: str = "train",
    ) -> TrainingWork:
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
            np.arange(len(target)).astype(str) if groups is None else np.asarray(groups, str),
        )  # fmt: skip

    def with_patches(self, seed: int, folder: Path | None) -> TrainingWork:
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
                steps_per_epoch=options.steps_an_epoch(streams["labelled"].steps_per_epoch),
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

        result = fit(
            objective,
            streams,
            options,
            seed=seed,
            device=self.device,
            validate=self.validation_of(model),
            folder=folder,
            label=self.label,
        )
        model.cpu().eval()
        return TrainOutcome(model, result, self.settings.method, generated=self.patches)

    def solve(self, seed: int) -> TrainOutcome:
        """Find the class layer alone."""
        if self.settings.method == FITTED:
            return replace(self, device=torch.device("cpu"))._fitted(seed)
        model = self.fresh_model(seed).to(self.device)
        method, said = self.settings.method, ""
        if method == LEFT_OUT:
            hot = one_hot(self.target, len(self.classes))[self.labelled]
            x = embed_rows(model, self.features, self.labelled, device=self.device)
            found = leaving_out.compare(x, hot, self.groups[self.labelled])
            method, said = found.method, found.text()
        check = self.validation_of(model)
        guesses: Sequence[PseudoLabels] = ()
        if method == PROTOTYPE:
            result = prototypes.fit_prototypes(
                model, self.features, self.target, self.labelled, device=self.device, validate=check
            )
        else:
            result, guesses = linear_probe.fit_probe(
                model, self.features, self.target, self.labelled, self.pool, self.settings.how,
                device=self.device, truth=self.truth, validate=check,
            )  # fmt: skip
        model.cpu().eval()
        return TrainOutcome(model, result, method, guesses=guesses, because=said)

    def _fitted(self, seed: int) -> TrainOutcome:
        """A simple classifier; it is fitted on the processor, in double precision."""
        model = self.fresh_model(seed).eval()
        check = self.validation_of(model)
        result = fit_simple(model, self.features, self.target, self.labelled, seed, check)
        return TrainOutcome(model, result, FITTED)

    def validation_of(self, model: SoundModel) -> Callable[[], Mapping[str, float]] | None:
        """What measures a model on the held-out rows; None without any."""

        def validate() -> Mapping[str, float]:
            scores = score_rows(model, self.features, self.held_out, device=self.device)
            return validation_metrics(self.target[self.held_out], scores)

        return validate if len(self.held_out) else None

    def fresh_model(self, seed: int) -> SoundModel:
        """A model with first weights and statistics, ready to train."""
        settings, known = self.settings, self.standardize
        kind = settings.standardize if known is None else known.kind
        model = build(
            settings.model,
            self.mel,
            self.classes,
            standardize="none" if settings.method == FITTED else kind,
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
