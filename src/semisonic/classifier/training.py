"""The one training: a configuration and features in, a trained classifier out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semisonic.classifier import probe as leaving_out
from semisonic.classifier import probe as linear_probe
from semisonic.classifier import probe as prototypes
from semisonic.classifier.config import (
    FITTED,
    LEFT_OUT,
    METHODS,
    PROTOTYPE,
    SOLVED,
    WITHOUT_POOL,
    MethodOptions,
    TrainConfig,
    check_noisy,
)
from semisonic.classifier.pretraining import (
    choose_decoder,
    feature_parts,
    frontend_of,
    without_validation,
)
from semisonic.classifier.pseudo_labels import PseudoLabels, StudentRound, one_hot, train_in_rounds
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.simple_heads import fit_simple
from semisonic.classifier.strategy import check_freezing
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.options import nearest
from semisonic.data.batches import Stream
from semisonic.evaluation.metrics import accuracy as evaluation_accuracy
from semisonic.evaluation.metrics import log_loss, mean_average_precision
from semisonic.evaluation.metrics import lwlrap as evaluation_lwlrap
from semisonic.features.augment.base import OneOf
from semisonic.features.augment.chain import RegisteredAugmentation, augmenter, wave_view
from semisonic.features.augment.mixing import Mixup
from semisonic.features.frontend import Standardize
from semisonic.features.options import REGISTERED, WAVE, MelOptions, preset
from semisonic.learning.consistency import MeanTeacher, PiModel
from semisonic.learning.fixmatch import FixMatch
from semisonic.learning.losses import create_loss
from semisonic.learning.objective import Objective
from semisonic.learning.options import LossOptions
from semisonic.learning.reconstruction import Reconstruction
from semisonic.learning.supervised import Joint, Supervised
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder, transfer
from semisonic.models.registry import create
from semisonic.models.sound_model import SoundModel, build
from semisonic.training.devices import choose_device
from semisonic.training.loop import FitResult, fit
from semisonic.training.options import FitOptions
from semisonic.training.rate_sweep import RateSweep, sweep_rate

Rows = NDArray[np.int64]
NO_ROWS: Rows = np.zeros(0, np.int64)


def view(name: str, mel: MelOptions) -> nn.Module:
    """A view by name: none, weak, strong, mixed (each clip draws weak or strong), or one's own."""
    if name in REGISTERED:
        return RegisteredAugmentation(name)
    if mel.input == WAVE:
        return wave_view(name, mel)
    if name == "mixed":
        return OneOf(view("weak", mel), view("strong", mel))
    return augmenter(preset(name, mel), mel)


def mixing(alpha: float, mel: MelOptions) -> nn.Module | None:
    """Mixup of pairs of clips; None with alpha 0.

    A clip stays the greater part of its mixture, as losses of labelled and of guessed clips
    are told apart by their place in the batch.
    """
    return Mixup(mel, alpha, keep_larger=True) if alpha else None


CLASSIFYING = ("supervised", "noisy-student")
"""Methods whose objective reads labelled clips only; the second adds labels between rounds."""


def reads_pool(method: str, options: MethodOptions) -> bool:
    """Whether a method's objective reads unlabelled clips."""
    return method not in CLASSIFYING and (method != "joint" or options.weight_for(method) > 0)


def make_objective(
    method: str,
    model: SoundModel,
    options: MethodOptions,
    loss: nn.Module,
    seed: int = 0,
    *,
    noisy_loss: nn.Module | None = None,
    noisy_weight: float = 1.0,
) -> Objective:
    """The objective of a method, around a model whose standardisation is fitted.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    model : SoundModel
    options : MethodOptions
    loss : nn.Module
        Logits and targets to the loss of each row.
    seed : int
        Of what the objective adds to the model: the decoder of "joint".
    noisy_loss, noisy_weight
        Of clips whose labels nobody checked, if there is a stream of them; see
        :class:`~semisonic.learning.supervised.Supervised`.

    Raises
    ------
    OptionError
        For an unknown method or an option that cannot work with the model.
    """
    mel = model.mel
    shared: dict[str, Any] = {
        "loss": loss,
        "augment": None if options.augment == "none" else view(options.augment, mel),
        "mix": mixing(options.mixup, mel),
    }
    if noisy_loss is not None:
        check_noisy(method)
        shared |= {"noisy_loss": noisy_loss, "noisy_weight": noisy_weight}
    views = {"weak": view("weak", mel), "strong": view(options.pool_augment, mel)}
    weight, decay = options.weight_for(method), options.decay_for(method)
    ramp = options.ramp_steps
    if method in CLASSIFYING:
        return Supervised(model, **shared)
    if method == "joint":
        decoder = choose_decoder("auto", model.name, mel)
        autoencoder = AutoEncoder(model.encoder, decoder, seed=seed)
        task = Reconstruction(autoencoder, model.frontend.standardize)
        return Joint(Supervised(model, **shared), task, weight)
    if method == "pi-model":
        return PiModel(model, **views, weight=weight, ramp_steps=ramp, **shared)
    if method == "mean-teacher":
        return MeanTeacher(model, decay=decay, **views, weight=weight, ramp_steps=ramp, **shared)
    if method == "fixmatch":
        return FixMatch(
            model,
            **views,
            threshold=options.threshold,
            threshold_kind=options.threshold_kind,
            alignment=options.alignment,
            weight=weight,
            temperature=options.temperature,
            teacher_decay=decay,
            **shared,
        )
    raise OptionError(f"option 'method': found {method!r}; {nearest(method, METHODS)}")


def validation_metrics(target: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float]:
    """What the history holds of validation clips.

    ``accuracy`` and ``loss`` (nats), or for clips with several labels ``lwlrap``, ``map`` and
    ``loss`` (binary cross-entropy, mean over classes, nats). ``choice`` is what tells the best
    epoch by default: the accuracy, and of epochs with the same one, which are common when few
    clips validate, the one with the lower loss; for several labels the lwlrap.
    """
    if target.ndim == 1:
        accuracy = evaluation_accuracy(target, scores.argmax(axis=1))
        loss = log_loss(target, scores)
        # Accuracies differ by 1/n at least, so this term only ever decides between equal ones.
        choice = accuracy + 0.5 / len(target) / (1.0 + loss)
        return {"accuracy": accuracy, "loss": loss, "choice": choice}
    sure = np.clip(scores, 1e-7, 1.0 - 1e-7)
    loss = -float(np.mean(target * np.log(sure) + (1.0 - target) * np.log1p(-sure)))
    lwlrap = evaluation_lwlrap(target, scores)
    average = mean_average_precision(target, scores)
    return {"lwlrap": lwlrap, "map": average, "loss": loss, "choice": lwlrap}


def check_rows(target: NDArray[Any], train: Any, held_out: Any, n_classes: int) -> None:
    """See that there are rows to learn from, that they have targets, and that none is in both.

    Raises
    ------
    DataError
    """
    if not len(train):
        raise DataError("training: found no labelled clips to learn from")
    rows = np.concatenate([train, held_out])
    shape = (n_classes,) if target.ndim == 2 else ()
    if target.shape[1:] != shape:
        raise DataError(
            f"training: found targets of shape {target.shape}, expected (n,) or (n, {n_classes})"
        )
    if target.ndim == 1 and len(rows):
        low, high = int(target[rows].min()), int(target[rows].max())
        if low < 0 or high >= n_classes:
            raise DataError(
                f"training: found class numbers {low} to {high}, expected 0 to {n_classes - 1}; "
                "rows without a label belong in pre-training"
            )
    if np.intersect1d(train, held_out).size:
        raise DataError("training: some rows are both learnt from and validated on")


def shares_of_batch(size: int, n_certain: int, n_noisy: int) -> tuple[int, int]:
    """How many rows of a batch are of each part, at least two where there are any.

    Parts are drawn as often as they occur, so both come to the end of a pass together.
    """
    if not n_noisy:
        return size, 0
    if size < 4:
        raise OptionError(
            f"option 'batch_size': found {size}, expected at least 4 where clips with checked and "
            "with unchecked labels share a batch"
        )
    noisy = min(max(2, round(size * n_noisy / (n_certain + n_noisy))), size - 2)
    return size - noisy, noisy


def check_same(
    start: SoundModel, network: str, mel: MelOptions, classes: Sequence[str], multi_label: bool
) -> None:
    """See that a classifier can be trained further.

    Raises
    ------
    ModelError
        When it is of another network, front end or other classes.
    """
    pairs = (
        ("network", start.name, create(network, mel.shape, len(classes)).name),
        ("front end", start.mel, mel),
        ("classes", start.classes, tuple(classes)),
        ("several labels", start.multi_label, multi_label),
    )
    for what, found, expected in pairs:
        if found != expected:
            raise ModelError(
                f"training further: found a classifier with {what} {found}, expected {expected}; "
                "start from its encoder alone"
            )


def take_statistics(model: SoundModel, standardize: Standardize) -> None:
    """Give a model the statistics that its features are standardised by.

    Raises
    ------
    ModelError
        When they were never fitted.
    """
    if not standardize.is_fitted:
        raise ModelError("the standardisation to use was never fitted; call its fit() first")
    model.frontend.standardize.load_state_dict(standardize.state_dict())


@dataclass(frozen=True)
class TrainingData:
    """Rows of features, and what a training does with each.

    Attributes
    ----------
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        Of all rows: class numbers, int64 (n,), or, when a clip can carry several labels, float32
        (n, n_classes).
    classes : tuple of str
    labelled : ndarray of int64
        Rows to learn from with their labels.
    validation : ndarray of int64
        Rows that choose the epoch. Without any, all epochs are run and the last weights kept.
    pool : ndarray of int64
        Rows to learn from without labels. Rows of labelled clips may be among them.
    noisy : ndarray of int64
        Rows with unverified labels, to learn from beside ``labelled``: by a loss and a weight of
        their own (``config.noisy_weight``), a share of each batch as large as theirs of all rows.
        An epoch is one pass over both.
    groups : ndarray of str, optional
        The recording of each row, for a method that leaves recordings out; each row its own if
        not given.
    truth : ndarray of int64, shape (n,), optional
        Class numbers of all rows, -1 where unknown, to record how often guesses about the pool
        are right. For measuring: training does not depend on it.
    """

    features: Any
    target: NDArray[Any]
    classes: tuple[str, ...]
    labelled: Rows
    validation: Rows = field(default_factory=lambda: NO_ROWS)
    pool: Rows = field(default_factory=lambda: NO_ROWS)
    noisy: Rows = field(default_factory=lambda: NO_ROWS)
    groups: NDArray[np.str_] | None = None
    truth: NDArray[np.int64] | None = None

    @property
    def multi_label(self) -> bool:
        """Whether a clip can carry several labels."""
        return self.target.ndim == 2


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and how it came about.

    Attributes
    ----------
    model : SoundModel
        On the CPU, in evaluation mode; with the weights of the best epoch when there were
        rows to validate on, else with the last ones.
    fit : FitResult
    method : str
        How it learned, where several were compared: the one that was taken.
    teachers : tuple of FitResult
        Of the rounds before the last one, for the method noisy-student.
    guesses : list of PseudoLabels
        What each student of the method noisy-student, or each round of the method probe,
        learned beside the labels.
    because : str
        How compared methods did; empty where none were compared.
    """

    model: SoundModel
    fit: FitResult
    method: str
    teachers: tuple[FitResult, ...] = ()
    guesses: Sequence[PseudoLabels] = ()
    because: str = ""

    @property
    def history(self) -> list[dict[str, float]]:
        """A row per epoch."""
        return self.fit.history

    @property
    def best_epoch(self) -> int:
        """The epoch that the weights are from."""
        return self.fit.best_epoch

    @property
    def seconds(self) -> float:
        """Time in epochs, validation and earlier rounds included."""
        return self.fit.seconds + sum(teacher.seconds for teacher in self.teachers)


def train_model(
    config: TrainConfig,
    data: TrainingData,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | SoundModel | None = None,
    standardize: Standardize | None = None,
    label: str = "train",
) -> TrainedModel:
    """Train a classifier on features: the one training behind every verb.

    Where the standardisation comes from: it is fitted on the labelled rows only. With ``start`` it
    is the pre-trained encoder's, since its weights were learned behind those statistics. So an arm
    with and an arm without pre-training that get the same data, configuration and seed differ in
    the encoder's first weights and in these statistics, and in nothing else. Give ``standardize``
    to have the very same statistics in both.

    Parameters
    ----------
    config : TrainConfig
        With nothing left to ``auto``; its pre-training is :func:`pretrain_encoder`'s.
    data : TrainingData
    seed : int
        Of first weights, order of clips and dropout.
    device : str or torch.device
    folder : Path, optional
        Keeps the checkpoint; an interrupted training goes on, a finished one returns at once.
    start : PretrainedEncoder or SoundModel, optional
        What was trained before. An encoder gives the encoder's first weights and the
        standardisation; a classifier of the same network and classes is trained further as a
        whole, with its class layer and the running statistics of its norms.
    standardize : Standardize, optional
        Statistics to use instead.
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
    training = ClassifierTraining.of(
        config,
        data,
        seed=seed,
        device=device,
        folder=folder,
        start=start,
        standardize=standardize,
        label=label,
    )
    if config.method in SOLVED:
        return training.solve(seed)
    if config.method != "noisy-student":
        return training.fit(data.target, data.labelled, seed, folder)
    outcomes: list[TrainedModel] = []

    def train_round(one: StudentRound) -> SoundModel:
        outcomes.append(training.fit(one.target, one.rows, one.seed, one.folder))
        return outcomes[-1].model

    guesses = train_in_rounds(
        data.features,
        data.target,
        data.labelled,
        data.pool,
        len(data.classes),
        config.method_params,
        train_round,
        seed=seed,
        folder=folder,
        device=training.device,
    )
    return replace(outcomes[-1], teachers=tuple(o.fit for o in outcomes[:-1]), guesses=guesses)


def check_has_rate(method: str) -> None:
    """Refuse a method that has no learning rate.

    Raises
    ------
    OptionError
    """
    if method in SOLVED:
        raise OptionError(
            f"option 'method': '{method}' solves for its linear layer and has no learning rate; "
            "choose a method that trains, such as 'supervised'"
        )


def sweep_model(
    config: TrainConfig,
    data: TrainingData,
    *,
    lowest: float,
    highest: float,
    steps: int,
    seed: int,
    device: str | torch.device = "cpu",
    start: PretrainedEncoder | SoundModel | None = None,
) -> RateSweep:
    """Try learning rates; see :func:`semisonic.training.rate_sweep.sweep_rate`.

    Nothing is left behind: a training afterwards is the same as one without.

    Raises
    ------
    OptionError
        For a method that has no learning rate, such as probe.
    """
    check_has_rate(config.method)
    data = replace(data, validation=NO_ROWS)
    training = ClassifierTraining.of(config, data, seed=seed, device=device, start=start)
    model = training.fresh_model(seed)
    objective, streams, options = training.parts(model, data.target, data.labelled, seed)
    return sweep_rate(
        objective,
        streams,
        options,
        lowest=lowest,
        highest=highest,
        steps=steps,
        seed=seed,
        device=training.device,
    )


@dataclass(frozen=True)
class ClassifierTraining:
    """All that the fits of one training share: the data, the model at first, its streams."""

    config: TrainConfig
    data: TrainingData
    device: torch.device
    start: PretrainedEncoder | SoundModel | None
    standardize: Standardize | None
    label: str

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        data: TrainingData,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        folder: Path | None = None,
        start: PretrainedEncoder | SoundModel | None = None,
        standardize: Standardize | None = None,
        label: str = "train",
    ) -> ClassifierTraining:
        """The training, if it can be done."""
        target, n_classes = data.target, len(data.classes)
        check_rows(target, data.labelled, data.validation, n_classes)
        check_freezing(config.fit, start is not None)
        if len(data.noisy):
            check_noisy(config.method)
            both = np.concatenate([data.labelled, data.noisy])
            check_rows(target, both, data.validation, n_classes)
        if config.method not in WITHOUT_POOL and not len(data.pool):
            raise DataError(
                f"method '{config.method}': found no unlabelled clips to learn from; give a "
                "pool, or use the method 'supervised'"
            )
        if isinstance(start, SoundModel):
            check_same(start, config.model, config.mel, data.classes, data.multi_label)
        if standardize is None and start is not None:
            frontend = start.frontend if isinstance(start, SoundModel) else frontend_of(start)
            standardize = frontend.standardize
        return cls(config, data, choose_device(device), start, standardize, label)

    def parts(
        self, model: SoundModel, target: NDArray[Any], rows: Rows, seed: int
    ) -> tuple[Objective, dict[str, Stream], FitOptions]:
        """What :func:`fit` takes: the method's objective around a model, streams, options."""
        data = self.data
        config = self.config
        options = config.fit
        if not len(data.validation):
            options = without_validation(options)
        if model.multi_label and options.monitor == "val_accuracy":
            options = replace(options, monitor="val_lwlrap")
        streams = self.streams(target, rows, seed)

        def loss_of(chosen: LossOptions) -> nn.Module:
            return create_loss(
                chosen,
                multi_label=model.multi_label,
                label_smoothing=config.label_smoothing,
                steps_per_epoch=options.steps_an_epoch(streams["labelled"].steps_per_epoch),
            )

        beside, weight = config.loss_of_noisy, config.noisy_weight
        objective = make_objective(
            config.method,
            model,
            config.method_params,
            loss_of(config.loss),
            seed,
            noisy_loss=loss_of(beside) if "noisy" in streams else None,
            noisy_weight=weight,
        )
        return objective, streams, options

    def fit(self, target: NDArray[Any], rows: Rows, seed: int, folder: Path | None) -> TrainedModel:
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
        return TrainedModel(model, result, self.config.method)

    def solve(self, seed: int) -> TrainedModel:
        """Find the class layer alone."""
        data = self.data
        if self.config.method == FITTED:
            return replace(self, device=torch.device("cpu"))._fitted(seed)
        model = self.fresh_model(seed).to(self.device)
        method, said = self.config.method, ""
        if method == LEFT_OUT:
            hot = one_hot(data.target, len(data.classes))[data.labelled]
            x = embed_rows(model, data.features, data.labelled, device=self.device)
            groups = data.groups
            if groups is None:
                groups = np.arange(len(data.target)).astype(str)
            chosen = leaving_out.compare(x, hot, groups[data.labelled])
            method, said = chosen.method, chosen.text()
        check = self.validation_of(model)
        guesses: Sequence[PseudoLabels] = ()
        if method == PROTOTYPE:
            result = prototypes.fit_prototypes(
                model, data.features, data.target, data.labelled, device=self.device, validate=check
            )
        else:
            result, guesses = linear_probe.fit_probe(
                model,
                data.features,
                data.target,
                data.labelled,
                data.pool,
                self.config.method_params,
                device=self.device,
                truth=data.truth,
                validate=check,
            )
        model.cpu().eval()
        return TrainedModel(model, result, method, guesses=guesses, because=said)

    def _fitted(self, seed: int) -> TrainedModel:
        """A simple classifier; it is fitted on the processor, in double precision."""
        data = self.data
        model = self.fresh_model(seed).eval()
        check = self.validation_of(model)
        result = fit_simple(model, data.features, data.target, data.labelled, seed, check)
        return TrainedModel(model, result, FITTED)

    def validation_of(self, model: SoundModel) -> Callable[[], Mapping[str, float]] | None:
        """What measures a model on the held-out rows; None without any."""
        data = self.data

        def validate() -> Mapping[str, float]:
            scores = score_rows(model, data.features, data.validation, device=self.device)
            return validation_metrics(data.target[data.validation], scores)

        return validate if len(data.validation) else None

    def fresh_model(self, seed: int) -> SoundModel:
        """A model with first weights and statistics, ready to train."""
        data = self.data
        config, known = self.config, self.standardize
        kind = config.standardize if known is None else known.kind
        model = build(
            config.model,
            self.config.mel,
            data.classes,
            standardize="none" if config.method == FITTED else kind,
            multi_label=data.multi_label,
            dropout=config.dropout,
            seed=seed,
        )
        if isinstance(self.start, SoundModel):
            model.load_state_dict(self.start.state_dict())
        elif self.start is not None:
            transfer(self.start, model, statistics="own")
        if known is not None:
            take_statistics(model, known)
        else:
            rows = np.concatenate([data.labelled, data.noisy])
            model.frontend.standardize.fit(feature_parts(data.features, rows))
        return model

    def streams(self, target: NDArray[Any], rows: Rows, seed: int) -> dict[str, Stream]:
        """The streams that the method reads."""
        data, size = self.data, self.config.fit.batch_size
        params = self.config.method_params
        n_certain, n_noisy = shares_of_batch(size, len(rows), len(data.noisy))
        streams = {
            name: Stream(
                data.features,
                used,
                batch_size=n,
                seed=seed,
                target=target,
                device=self.device,
                name=name,
            )
            for name, used, n in (("labelled", rows, n_certain), ("noisy", data.noisy, n_noisy))
            if len(used)
        }
        if reads_pool(self.config.method, params):
            # A batch of the pool goes with a batch of labels, which may be a small one.
            n_pool = max(2, round(params.pool_ratio * min(size, len(rows) + len(data.noisy))))
            streams["unlabelled"] = Stream(
                data.features,
                data.pool,
                batch_size=n_pool,
                seed=seed,
                target=data.truth,
                device=self.device,
                name="unlabelled",
                missing_ok=True,
            )
        return streams
