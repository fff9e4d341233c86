"""Train a classifier from a configuration and features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import (
    DEFAULT_MODEL,
    METHODS,
    SAME,
    SOLVED,
    WITHOUT_POOL,
    MethodOptions,
    TrainConfig,
    check_freezing,
    check_noisy,
    check_trainable,
)
from semisonic.classifier.probe import (
    PseudoLabels,
    Rows,
    fit_probe,
    one_hot,
    pseudo_labels,
)
from semisonic.classifier.scoring import score_rows
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.options import nearest
from semisonic.core.seeds import derive
from semisonic.data.batches import Stream
from semisonic.evaluation.metrics import accuracy as accuracy_of
from semisonic.evaluation.metrics import log_loss, mean_average_precision
from semisonic.evaluation.metrics import lwlrap as lwlrap_of
from semisonic.features.augmentation import Mixup, augmenter
from semisonic.features.options import MelOptions
from semisonic.learning.consistency import Consistency, FixMatch
from semisonic.learning.losses import create_loss
from semisonic.learning.objective import Objective
from semisonic.learning.reconstruction import Reconstruction
from semisonic.learning.supervised import Joint, Supervised
from semisonic.models.notation import looks_like_notation
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder, transfer
from semisonic.models.registry import create
from semisonic.models.sound_model import SoundModel, build
from semisonic.training.devices import choose_device
from semisonic.training.loop import FitResult, fit
from semisonic.training.options import FitOptions

NO_ROWS: Rows = np.zeros(0, np.int64)


def network_of(
    model: str, mel: MelOptions, start: PretrainedEncoder | None
) -> tuple[str, MelOptions]:
    """Network and front end: those of the encoder, if there is one, else those of the options.

    Options left at their defaults come from the encoder. The duration of clips may differ, as
    encoders take any length. A notation may have the encoder's convolutions and pools, and other
    dense layers.

    Raises
    ------
    OptionError
        If an option asks for something other than the encoder has.
    """
    if start is None:
        return model, mel
    theirs = start.frontend.options
    for own in dataclasses.fields(MelOptions):
        asked, given = getattr(mel, own.name), getattr(theirs, own.name)
        if own.name != "duration" and asked not in (given, own.default):
            raise OptionError(
                f"option '{own.name}': found {asked}, but the encoder was pre-trained with "
                f"{given}; leave the option out, or pre-train another encoder"
            )
    if model not in (DEFAULT_MODEL, start.name) and not (
        looks_like_notation(model)
        and create(model, theirs.shape).encoder.plan == start.encoder.plan
    ):
        raise OptionError(
            f"option 'model': found '{model}', but the encoder is '{start.name}'; leave the "
            "option out, or give an architecture that starts with the encoder's"
        )
    if mel.duration != MelOptions().duration:
        theirs = replace(theirs, duration=mel.duration)
    create(start.name, theirs.shape)  # refuses clips that are too short
    return start.name if model == DEFAULT_MODEL else model, theirs


def choose_decoder(decoder: str, model: str, mel: MelOptions) -> str:
    """The decoder of the option; ``auto`` is un-pooling if the encoder can, else up-sampling."""
    if decoder != "auto":
        return decoder
    return "unpool" if create(model, mel.shape).encoder.has_switches else "upsample"


def feature_parts(features: Any, rows: Rows, size: int = 256) -> Iterator[NDArray[np.float32]]:
    """The rows in pieces, so that no large pool is in memory at once."""
    for start in range(0, len(rows), size):
        yield np.asarray(features[rows[start : start + size]], np.float32)


def without_validation(options: FitOptions) -> FitOptions:
    """The same training without held-out clips: all epochs, the last weights."""
    return replace(options, patience=0, restore_best=False)


def reads_pool(method: str, options: MethodOptions) -> bool:
    """Whether a method's objective reads unlabelled clips.

    Noisy students read pseudo-labels of them, as labels, from the second round on.
    """
    if method == "joint":
        return options.weight_for(method) > 0
    return method not in ("supervised", "noisy-student")


def make_objective(
    config: TrainConfig,
    model: SoundModel,
    *,
    steps_per_epoch: int,
    has_noisy: bool = False,
    seed: int = 0,
) -> Objective:
    """The objective of a configuration's method, around a model whose standardisation is fitted.

    Parameters
    ----------
    config : TrainConfig
        Its method, the options of it and those of losses are read.
    model : SoundModel
    steps_per_epoch : int
    has_noisy : bool
        Whether there is a stream of clips with unverified labels.
    seed : int
        Of what the objective adds to the model: the decoder of "joint".

    Raises
    ------
    OptionError
        For an unknown method or an option that cannot work with the model.
    """

    method, options, mel = config.method, config.method_params, model.mel
    loss_of = partial(
        create_loss,
        beta=options.bootstrap_beta,
        power=options.lq_power,
        noise_rate=options.noise_rate,
        n_warmup=round(options.selection_epochs * steps_per_epoch),
        multi_label=model.multi_label,
        label_smoothing=config.label_smoothing,
    )
    # A clip stays the greater part of its mixture, as losses of clips with labels and with
    # pseudo-labels are told by their place in the batch.
    shared: dict[str, Any] = {
        "loss": loss_of(options.loss),
        "augment": None if options.augment == "none" else augmenter(options.augment, mel),
        "mix": Mixup(options.mixup) if options.mixup else None,
    }
    if has_noisy:
        shared |= {
            "noisy_loss": loss_of(options.loss if config.noisy_loss == SAME else config.noisy_loss),
            "noisy_weight": config.noisy_weight,
        }
    weight = options.weight_for(method)
    if method in ("supervised", "noisy-student"):
        return Supervised(model, **shared)
    if method == "joint":
        decoder = choose_decoder("auto", model.name, mel)
        autoencoder = AutoEncoder(
            model.encoder, model.frontend, model.name, decoder=decoder, seed=seed
        )
        task = Reconstruction(autoencoder, model.frontend.standardize)
        return Joint(Supervised(model, **shared), task, weight)
    views = {"weak": augmenter("weak", mel), "strong": augmenter(options.pool_augment, mel)}
    shared |= {**views, "weight": weight}
    if method == "pi-model":
        return Consistency(model, ramp_steps=options.ramp_steps, **shared)
    if method == "fixmatch":
        return FixMatch(
            model, threshold=options.threshold, alignment=options.alignment_strength, **shared
        )
    raise OptionError(f"option 'method': found {method!r}; {nearest(method, METHODS)}")


def validation_metrics(target: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float]:
    """The validation columns of the history.

    ``accuracy`` and ``loss`` (nats), or for clips with several labels ``lwlrap``, ``map`` and
    ``loss`` (binary cross-entropy, mean over classes, nats). By default, ``choice`` decides the
    best epoch: the accuracy and, among epochs with equal accuracy, which are common with few
    validation clips, the lower loss; for several labels, the lwlrap.
    """
    if target.ndim == 1:
        accuracy = accuracy_of(target, scores.argmax(axis=1))
        loss = log_loss(target, scores)
        # Accuracies differ by 1/n at least, so this term only ever decides between equal ones.
        choice = accuracy + 0.5 / len(target) / (1.0 + loss)
        return {"accuracy": accuracy, "loss": loss, "choice": choice}
    sure = np.clip(scores, 1e-7, 1.0 - 1e-7)
    loss = -float(np.mean(target * np.log(sure) + (1.0 - target) * np.log1p(-sure)))
    lwlrap = lwlrap_of(target, scores)
    average = mean_average_precision(target, scores)
    return {"lwlrap": lwlrap, "map": average, "loss": loss, "choice": lwlrap}


def shares_of_batch(size: int, n_verified: int, n_noisy: int) -> tuple[int, int]:
    """The number of rows of each part in a batch, at least two if there are any.

    Parts are drawn as often as they occur, so both come to the end of a pass together.
    """
    if not n_noisy:
        return size, 0
    if size < 4:
        raise OptionError(
            f"option 'batch_size': found {size}, expected at least 4, as clips with verified "
            "and with unverified labels share a batch"
        )
    noisy = min(max(2, round(size * n_noisy / (n_verified + n_noisy))), size - 2)
    return size - noisy, noisy


@dataclass(frozen=True)
class TrainingData:
    """Rows of features, and their use in a training.

    Attributes
    ----------
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        Of all rows: class numbers, int64 (n,), or, if a clip can have several labels, float32 (n,
        n_classes).
    classes : tuple of str
    labelled : ndarray of int64
        Rows to learn from with their labels.
    validation : ndarray of int64
        Rows that choose the epoch. Without any, all epochs are run and the last weights kept.
    pool : ndarray of int64
        Rows to learn from without labels. Rows of labelled clips may be among them.
    noisy : ndarray of int64
        Rows with unverified labels to learn from too, with a separate loss and weight
        (``config.noisy_weight``). Their share of each batch is their share of all rows. An epoch
        is one pass over both.
    truth : ndarray of int64, shape (n,), optional
        Class numbers of all rows, -1 where unknown, to record how often pseudo-labels are right.
        For measuring: training does not depend on it.
    """

    features: Any
    target: NDArray[Any]
    classes: tuple[str, ...]
    labelled: Rows
    validation: Rows = field(default_factory=lambda: NO_ROWS)
    pool: Rows = field(default_factory=lambda: NO_ROWS)
    noisy: Rows = field(default_factory=lambda: NO_ROWS)
    truth: NDArray[np.int64] | None = None

    @property
    def multi_label(self) -> bool:
        """Whether a clip can have several labels."""
        return self.target.ndim == 2


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and its training.

    Attributes
    ----------
    model : SoundModel
        On the CPU, in evaluation mode; with the weights of the best epoch when there were
        rows to validate on, else with the last ones.
    fit : FitResult
        Result of the training; for noisy-student, that of the last student, with the time of all
        rounds.
    pseudo_labels : sequence of PseudoLabels
        What each student of the method noisy-student, or each round of the method probe, learned
        in addition to the labels.
    """

    model: SoundModel
    fit: FitResult
    pseudo_labels: Sequence[PseudoLabels] = ()

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
        """Time in epochs, validation included."""
        return self.fit.seconds


def train_model(
    config: TrainConfig,
    data: TrainingData,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | SoundModel | None = None,
    label: str = "train",
) -> TrainedModel:
    """Train a classifier on features: the training behind every verb.

    Features are standardised by the labelled rows. With ``start`` the statistics are those of the
    pre-trained encoder, since its weights were learned behind them. So an arm with and an arm
    without pre-training that get the same data, configuration and seed differ in the encoder's
    first weights and in these statistics, and in nothing else.

    Parameters
    ----------
    config : TrainConfig
        With nothing left to ``auto``; its pre-training is :func:`pretrain_encoder`'s.
    data : TrainingData
    seed : int
        Of first weights, order of clips and dropout.
    device : str or torch.device
    folder : Path, optional
        Keeps the checkpoint; an interrupted training continues, a finished one returns at once.
    start : PretrainedEncoder or SoundModel, optional
        The trained start. An encoder gives the encoder's first weights and the standardisation; a
        classifier of the same network and classes is trained further as a whole, with its class
        layer and the running statistics of its norms.
    label : str
        The name of the progress bar.

    Raises
    ------
    DataError
        If there are no training rows, or no pool for a method that needs one.
    ModelError
        If ``start`` was trained for another front end or network.
    """
    training = ClassifierTraining(config, data, choose_device(device), start, label)
    if config.method in SOLVED:
        return training.solve(seed)
    if config.method == "noisy-student":
        return training.fit_in_rounds(seed, folder)
    return training.fit(data.target, data.labelled, seed, folder)


@dataclass(frozen=True)
class ClassifierTraining:
    """All that the fits of one training share: the data, the model at first, its streams."""

    config: TrainConfig
    data: TrainingData
    device: torch.device
    start: PretrainedEncoder | SoundModel | None = None
    label: str = "train"

    def __post_init__(self) -> None:
        config, data, start = self.config, self.data, self.start
        if not len(data.labelled):
            raise DataError("training: found no labelled clips for training")
        check_freezing(config.fit, start is not None)
        if start is not None:
            trainable = start.encoder.trainable
            check_trainable(start.name, trainable, config.method, config.objective)
        if len(data.noisy):
            check_noisy(config.method)
        if config.method not in WITHOUT_POOL and not len(data.pool):
            raise DataError(
                f"method '{config.method}': found no unlabelled clips to learn from; give a "
                "pool, or use the method 'supervised'"
            )
        if isinstance(start, SoundModel):
            name = create(config.model, config.mel.shape, len(data.classes)).name
            for what, found, expected in (
                ("network", start.name, name),
                ("front end", start.mel, config.mel),
                ("classes", start.classes, data.classes),
                ("several labels", start.multi_label, data.multi_label),
            ):
                if found != expected:
                    raise ModelError(
                        f"training further: found a classifier with {what} {found}, expected "
                        f"{expected}; start from its encoder only"
                    )

    def fit(self, target: NDArray[Any], rows: Rows, seed: int, folder: Path | None) -> TrainedModel:
        """Train a fresh model on some rows, stop by the held-out ones."""
        model = self.fresh_model(seed)
        result = fit(
            *self.parts(model, target, rows, seed),
            seed=seed,
            device=self.device,
            validate=self.validation_of(model),
            folder=folder,
            label=self.label,
        )
        if self.config.method_params.solve_head:
            fit_probe(
                model,
                self.data.features,
                target,
                rows,
                NO_ROWS,
                self.config.method_params,
                device=self.device,
            )
        model.cpu().eval()
        return TrainedModel(model, result)

    def fit_in_rounds(self, seed: int, folder: Path | None) -> TrainedModel:
        """Noisy student: a teacher labels the pool, a new student learns that, and so on.

        Paper: Xie et al. 2020, "Self-training with noisy student improves ImageNet
        classification". Where we differ: students are as large as the teacher. Pseudo-labels are
        aligned to the classes' frequencies among the labels instead of being balanced by copies.
        Labelled clips keep their own labels, also when they are in the pool.
        """
        data, how, train = self.data, self.config.method_params, self.data.labelled
        pool = np.setdiff1d(data.pool, train)
        if not len(pool):
            raise DataError(
                "method 'noisy-student': every clip of the pool has a label; give other "
                "recordings as pool, or use the method 'supervised'"
            )
        several, n_classes = data.multi_label, len(data.classes)
        shares = data.target.astype(np.float32) if several else one_hot(data.target, n_classes)
        expected = shares[train].mean(axis=0).astype(np.float64)
        places = [folder and folder / f"round-{number}" for number in range(how.rounds + 1)]
        outcome = self.fit(data.target, train, seed, places[0])
        seconds, learned = outcome.seconds, list[PseudoLabels]()
        for number, place in enumerate(places[1:], start=1):
            teacher = outcome.model.to(self.device)
            found = pseudo_labels(
                pool,
                score_rows(teacher, data.features, pool, device=self.device),
                expected,
                threshold=how.threshold,
                alignment=how.alignment_strength,
                multi_label=several,
            )
            learned.append(found)
            shares[found.rows] = found.shares
            rows = np.union1d(train, found.rows)
            outcome = self.fit(shares, rows, derive(seed, "student", number) % (1 << 31), place)
            seconds += outcome.seconds
        return TrainedModel(outcome.model, replace(outcome.fit, seconds=seconds), learned)

    def solve(self, seed: int) -> TrainedModel:
        """Solve for the class layer only."""
        data, model = self.data, self.fresh_model(seed).to(self.device)
        result, learned = fit_probe(
            model,
            data.features,
            data.target,
            data.labelled,
            data.pool,
            self.config.method_params,
            device=self.device,
            truth=data.truth,
            validate=self.validation_of(model),
        )
        model.cpu().eval()
        return TrainedModel(model, result, learned)

    def parts(
        self, model: SoundModel, target: NDArray[Any], rows: Rows, seed: int
    ) -> tuple[Objective, dict[str, Stream], FitOptions]:
        """What :func:`fit` takes: the method's objective around a model, streams, options."""
        options = self.config.fit
        if not len(self.data.validation):
            options = without_validation(options)
        if model.multi_label and options.monitor == "val_accuracy":
            options = replace(options, monitor="val_lwlrap")
        streams = self.streams(target, rows, seed)
        objective = make_objective(
            self.config,
            model,
            steps_per_epoch=options.steps_an_epoch(streams["labelled"].steps_per_epoch),
            has_noisy="noisy" in streams,
            seed=seed,
        )
        return objective, streams, options

    def validation_of(self, model: SoundModel) -> Callable[[], Mapping[str, float]] | None:
        """A function that measures a model on the held-out rows; None without any."""
        data = self.data

        def validate() -> Mapping[str, float]:
            scores = score_rows(model, data.features, data.validation, device=self.device)
            return validation_metrics(data.target[data.validation], scores)

        return validate if len(data.validation) else None

    def fresh_model(self, seed: int) -> SoundModel:
        """A model with first weights and statistics, ready to train."""
        data, config, start = self.data, self.config, self.start
        known = None if start is None else start.frontend.standardize
        model = build(
            config.model,
            config.mel,
            data.classes,
            standardize=config.standardize if known is None else known.kind,
            multi_label=data.multi_label,
            dropout=config.dropout,
            seed=seed,
        )
        if isinstance(start, SoundModel):
            for part in ("encoder", "neck", "head", "frontend"):
                model.get_submodule(part).load_state_dict(start.get_submodule(part).state_dict())
        elif start is not None:
            transfer(start, model)
        else:
            rows = np.concatenate([data.labelled, data.noisy])
            model.frontend.standardize.fit(feature_parts(data.features, rows))
        return model

    def streams(self, target: NDArray[Any], rows: Rows, seed: int) -> dict[str, Stream]:
        """The streams that the method uses."""
        data, size, params = self.data, self.config.fit.batch_size, self.config.method_params
        n_verified, n_noisy = shares_of_batch(size, len(rows), len(data.noisy))

        def stream(name: str, used: Rows, n: int, known: NDArray[Any] | None) -> Stream:
            return Stream(
                data.features,
                used,
                batch_size=n,
                seed=seed,
                target=known,
                device=self.device,
                name=name,
                missing_ok=name == "unlabelled",
            )

        streams = {"labelled": stream("labelled", rows, n_verified, target)}
        if len(data.noisy):
            streams["noisy"] = stream("noisy", data.noisy, n_noisy, target)
        if reads_pool(self.config.method, params) and len(data.pool):
            # A batch of the pool goes with a batch of labels, which may be a small one.
            n_pool = max(2, round(params.pool_ratio * min(size, len(rows) + len(data.noisy))))
            streams["unlabelled"] = stream("unlabelled", data.pool, n_pool, data.truth)
        return streams
