"""``SoundClassifier``: from recordings to answers, with the interface of scikit-learn."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from torch import nn

from semisonic.classifier.calibration import calibrate_model
from semisonic.classifier.config import (
    AUTO,
    DEFAULT_MODEL,
    PRETRAIN_FIT,
    TRAIN_FIT,
    MethodOptions,
    PretextOptions,
    TrainConfig,
)
from semisonic.classifier.detection.detect import detect
from semisonic.classifier.detection.results import DetectResult
from semisonic.classifier.finish import finish_training
from semisonic.classifier.model_file import MODEL, find_file, open_encoder, open_model
from semisonic.classifier.predict import UNKNOWN, answer_limits, unknown_reasons
from semisonic.classifier.provenance import recording_hashes, recording_prints
from semisonic.classifier.scoring import ScoredRows
from semisonic.classifier.sounds import Sounds, as_labels, as_sounds, score_sounds
from semisonic.classifier.start import SYNTH
from semisonic.classifier.train import select_job
from semisonic.classifier.training import train_model
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import from_mapping, given, nearest
from semisonic.core.plugins import OwnParts
from semisonic.core.temporary import temporary_folder
from semisonic.evaluation.metrics import lwlrap
from semisonic.features.options import OWN_AUGMENTATIONS, MelOptions
from semisonic.learning.options import OWN_LOSSES
from semisonic.models.model_file import PUBLISHED_WEIGHTS, read_about, save
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import register_instance
from semisonic.models.sound_model import SoundModel
from semisonic.training.options import FitOptions

if TYPE_CHECKING:
    from semisonic.classifier.export import ExportResult

_log = logging.getLogger(__name__)

C = TypeVar("C", bound="SoundClassifier")


def _given_values(group: Any, default: Any) -> dict[str, Any]:
    """The names of the options of a group that were set; ``auto`` chooses the others."""
    if isinstance(group, Mapping):
        return dict(group)
    return {name: getattr(group, name) for name in given(group, default)}


def _own(option_name: str) -> OwnParts:
    """The attributes that keep parts of options given as objects."""
    return OWN_LOSSES if option_name == "loss" else OWN_AUGMENTATIONS


LABEL_VALUES = "label_values"
"""The entry of a model file with the labels that were no text, by the name of their class."""


def _with_values(classes: Sequence[str], values: Mapping[str, Any]) -> NDArray[Any]:
    """Classes as they were given: whole numbers and booleans as such."""
    return np.array([values.get(name, name) for name in classes])


class SoundClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Learn to name sounds from a few labels and, optionally, many unlabelled recordings.

    Parameters
    ----------
    model : str or nn.Module
        Registered name, architecture notation, or your own network: see
        :func:`semisonic.register`. An object is copied with its weights.
    mel : MelOptions or dict
        Front end: sample rate, clip length (s), mel bands. Shorter sounds are padded, longer
        ones cut into windows whose scores are averaged.
    training : FitOptions or dict
        Training loop.
    pretraining : FitOptions or dict
        Training loop of the pre-training on unlabelled sounds.
    encoder : path or PretrainedEncoder, optional
        Pre-trained encoder to start from, with its network and front end.
    method : {"auto", "supervised", "probe", "joint", "pi-model", "fixmatch", "noisy-student"}
        How to learn from labels and unlabelled sounds; "auto" chooses by their number. Options
        that you set take precedence over the choices of "auto".
    method_params : MethodOptions or dict
        Options of the method, and the loss of labelled sounds. ``augment``, ``pool_augment`` and
        ``loss`` may be your own module or function: see :func:`semisonic.register_augmentation`
        and :func:`semisonic.register_loss`.
    objective : {"auto", "none", "reconstruction", "denoising", "layer-wise", "simclr"}
        Objective of pre-training.
    pretext : PretextOptions or dict
        Options of the objective; ``views`` may be your own module or function.
    decoder : {"auto", "unpool", "upsample", "subpixel", "unet"}
        Decoder of the pre-training.
    standardize : {"global", "mel", "none"}
    dropout, label_smoothing : float
        Shares, 0 to below 1.
    validation : float
        Share of the labels held out, by recording, to choose the epoch; 0: run all epochs.
    calibration : {"auto", "none"}
        "auto": calibrate the scores on the held-out share if it has 20 clips; see
        :meth:`calibrate` for other clips and for thresholds.
    near_copies : bool
        Find copies of sounds in files that were cut or encoded again, not only identical files.
        Copies of labelled sounds among the unlabelled ones are left out; copies among labelled
        sounds stay on one side of the split, unless their recordings are known.
    sample_rate : int, optional
        Sample rate of sounds given as arrays, in Hz. The methods take another one for a call.
    seed : int
    device : str
    in_batch : {"auto", "yes", "no"}
        Compute the spectrograms of sounds in files in each batch, on the device, instead of once
        before training. Auto: yes on a GPU.
    workers : int, optional
        Threads that decode.
    folder : path, optional
        Folder for decoded clips and checkpoints, so that ``fit`` continues after an interruption;
        without it, they are in a temporary folder that is removed.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    history_ : list of dict
        A row per epoch.
    best_epoch_ : int
    pretraining_history_ : list of dict
        Empty without pre-training.
    failures_ : tuple of (str, str)
        Clips given to ``fit`` that could not be read.
    model_ : SoundModel

    Notes
    -----
    ``mel``, ``method_params``, ``training``, ``pretraining`` and ``pretext`` are groups of
    options: a dict gives those that differ from the default, as in ``training={"epochs": 20}``.
    Options inside can be searched over by name, as in ``set_params(mel__n_mels=40)``. ``fit``
    checks all parameters, as in scikit-learn.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = [rng.normal(0, 0.1, 4000) for _ in range(6)]
    >>> tones = [np.sin(0.3 * np.arange(4000) + i) for i in range(6)]
    >>> mel = dict(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    >>> clf = SoundClassifier("(4)3c-2p", mel=mel, training={"epochs": 3}, method="supervised",
    ...                       sample_rate=8000)
    >>> clf = clf.fit(noise + tones, ["noise"] * 6 + ["tone"] * 6)
    >>> clf.predict_proba(noise[:1]).shape
    (1, 2)
    """

    def __init__(
        self,
        model: str | nn.Module = DEFAULT_MODEL,
        *,
        mel: MelOptions | Mapping[str, Any] = MelOptions(),
        training: FitOptions | Mapping[str, Any] = TRAIN_FIT,
        pretraining: FitOptions | Mapping[str, Any] = PRETRAIN_FIT,
        encoder: str | PathLike[str] | PretrainedEncoder | None = None,
        method: Literal[
            "auto", "supervised", "probe", "joint", "pi-model", "fixmatch", "noisy-student"
        ] = "auto",
        method_params: MethodOptions | Mapping[str, Any] = MethodOptions(),  # noqa: B008
        objective: Literal[
            "auto", "none", "reconstruction", "denoising", "layer-wise", "simclr"
        ] = "auto",
        pretext: PretextOptions | Mapping[str, Any] = PretextOptions(),  # noqa: B008
        decoder: Literal["auto", "unpool", "upsample", "subpixel", "unet"] = "auto",
        standardize: Literal["global", "mel", "none"] = "global",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        validation: float = 0.15,
        calibration: Literal["auto", "none"] = "auto",
        near_copies: bool = True,
        sample_rate: int | None = None,
        seed: int = 0,
        device: str = "auto",
        in_batch: Literal["auto", "yes", "no"] = "auto",
        workers: int | None = None,
        folder: str | PathLike[str] | None = None,
    ) -> None:
        self.model = model
        self.mel = mel
        self.training = training
        self.pretraining = pretraining
        self.encoder = encoder
        self.method = method
        self.method_params = method_params
        self.objective = objective
        self.pretext = pretext
        self.decoder = decoder
        self.standardize = standardize
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.validation = validation
        self.calibration = calibration
        self.near_copies = near_copies
        self.sample_rate = sample_rate
        self.seed = seed
        self.device = device
        self.in_batch = in_batch
        self.workers = workers
        self.folder = folder

    @classmethod
    def _groups(cls) -> dict[str, Any]:
        """The parameters that are groups of options, with their defaults."""
        return {
            parameter.name: parameter.default
            for parameter in inspect.signature(cls).parameters.values()
            if dataclasses.is_dataclass(parameter.default)
        }

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep``, also those inside groups, as ``mel__n_mels``."""
        params: dict[str, Any] = super().get_params(deep=False)
        for name in self._groups() if deep else ():
            default, group = self._groups()[name], params[name]
            if isinstance(group, Mapping | type(default)):  # another value is refused by ``fit``
                inner = {
                    field.name: getattr(default, field.name)
                    for field in dataclasses.fields(default)
                }
                inner |= _given_values(group, default)
                params |= {f"{name}__{field}": value for field, value in inner.items()}
        return params

    def set_params(self: C, **params: Any) -> C:
        """Set parameters by name; those inside groups as ``mel__n_mels``.

        Raises
        ------
        OptionError
            For an unknown name.
        """
        known = self.get_params()
        for name in params.keys() - known.keys():
            raise OptionError(
                f"{type(self).__name__}: unknown parameter '{name}': {nearest(name, known)}"
            )
        for name in sorted(params, key=lambda name: "__" in name):  # whole groups first
            outer, _, inner = name.partition("__")
            value = params[name]
            if inner:
                group = _given_values(getattr(self, outer), self._groups()[outer])
                value = {**group, inner: value}
            setattr(self, outer, value)
        return self

    def _group(self, name: str) -> Any:
        """The options of a group; a part given as an object is replaced by its name."""
        default, group = self._groups()[name], getattr(self, name)
        if not isinstance(group, Mapping | type(default)):
            raise OptionError(
                f"{type(self).__name__}, parameter '{name}': found {group!r}, expected a dict of "
                f"options or {type(default).__name__}(...)"
            )
        named = {
            key: _own(key).name_of(value) if callable(value) else value
            for key, value in _given_values(group, default).items()
        }
        return from_mapping(type(default), named, f"{name}.", default)

    def fit(
        self: C,
        clips: Any,
        y: Iterable[Any] | None = None,
        *,
        unlabelled: Any = None,
        validation: Any = None,
        sample_rate: int | None = None,
        groups: ArrayLike | None = None,
    ) -> C:
        """Learn from labelled sounds.

        Parameters
        ----------
        clips : Clips, path of a data set, paths, pandas frame, arrays or tensors
            See :func:`semisonic.classifier.sounds.as_sounds` for the columns of a frame and the
            shapes of arrays.
        y : sequence, optional
            Labels, if ``clips`` has none. With a sequence of labels for each sound, the classifier
            gives several labels.
        unlabelled : as ``clips``, optional
            Sounds to pre-train the encoder on, together with those of ``clips``.
        validation : as ``clips``, optional
            Labelled sounds to choose the epoch by, instead of a share of ``clips``. For paths and
            arrays, a pair (sounds, labels).
        sample_rate : int, optional
            Sample rate of arrays, in Hz.
        groups : array of str, optional
            The recording of each sound; held-out sounds share no recording with the others.

        Returns
        -------
        SoundClassifier
            The classifier itself.

        Raises
        ------
        DataError
            If sounds have no labels, classes are too few, or no sound can be read.
        """
        y = None if y is None else as_labels(y)
        rate = self.sample_rate if sample_rate is None else sample_rate
        labelled = as_sounds(clips, y, sample_rate=rate, groups=groups)
        pool = held = None
        if unlabelled is not None:
            pool = as_sounds(unlabelled, sample_rate=rate, labels="none", name="pool")
        if validation is not None:
            held_x, held_y = validation if isinstance(validation, tuple) else (validation, None)
            held = as_sounds(held_x, held_y, sample_rate=rate, name="validation")
        start = self.encoder
        if start is not None and not isinstance(start, PretrainedEncoder) and start != SYNTH:
            start = open_encoder(start)
        model = self.model
        config = TrainConfig(
            model if isinstance(model, str) else register_instance(model),
            method=self.method,
            objective=self.objective,
            decoder=self.decoder,
            standardize=self.standardize,
            dropout=self.dropout,
            label_smoothing=self.label_smoothing,
            mel=self._group("mel"),
            method_params=self._group("method_params"),
            fit=self._group("training"),
            pretrain=self._group("pretraining"),
            pretext=self._group("pretext"),
        )
        job = select_job(
            config,
            labelled,
            pool,
            held,
            start,
            seed=self.seed,
            share=self.validation,
            near_copies=self.near_copies,
            workers=self.workers,
        )
        with self._place() as place:
            folder = None if self.folder is None else place
            job.prepare(
                place / "cache",
                device=self.device,
                workers=self.workers,
                in_batch=self.in_batch,
                folder=folder,
            )
            for note in job.notes:
                warnings.warn(note, stacklevel=2)
            for note in filter(None, (job.because, *job.advice)):
                _log.info("%s", note)
            outcome = train_model(
                job.config,
                job.data,
                seed=self.seed,
                device=self.device,
                folder=None if folder is None else folder / "training",
                start=job.start,
            )
            for note in finish_training(
                outcome,
                job.prepared,
                job.data,
                job.labelled.clips,
                job.config,
                seed=self.seed,
                device=self.device,
                calibrate=self.calibration == AUTO,
            ):
                _log.info("%s", note)
        about: dict[str, Any] = {
            "command": "SoundClassifier.fit",
            "seed": self.seed,
            "method": job.config.method,
            "start": job.begins,
        }
        if isinstance(job.start, PretrainedEncoder) and job.start.published:
            about[PUBLISHED_WEIGHTS] = dict(job.start.published)
        if labelled.waves is None:
            about |= job.parts(
                lambda clips, _: recording_hashes(clips, workers=self.workers),
                lambda clips: (
                    recording_prints(clips, workers=self.workers) if self.near_copies else {}
                ),
            )
        self.model_: SoundModel = outcome.model
        self.history_ = outcome.history
        self.best_epoch_ = outcome.best_epoch
        self.pretraining_history_ = [] if job.pretrained is None else job.pretrained.history
        self.failures_, self.about_ = job.prepared.failures, about
        self.classes_ = _with_values(self.model_.classes, labelled.values)
        if labelled.values:
            about[LABEL_VALUES] = dict(labelled.values)
        return self

    def predict_proba(self, clips: Any, *, sample_rate: int | None = None) -> NDArray[np.float64]:
        """The score of each class, 0 to 1, shape (n, n_classes).

        The scores of a sound sum to one unless sounds can have several labels. A sound longer than
        the model's clip length has the mean of the scores of its windows. Scores are calibrated if
        the model is.

        Raises
        ------
        DataError
            If a sound cannot be read; ``semisonic predict`` continues with the others.
        """
        return self._say(clips, sample_rate).scores

    def predict(
        self, clips: Any, *, sample_rate: int | None = None, unknown: bool = False
    ) -> NDArray[Any]:
        """The class of each sound, shape (n,).

        With ``unknown``, a sound that is silent, or only noise by the model's rules, is
        "(unknown)", too (the array then has objects; for several labels, the row is 0).

        With several labels for a sound: 0 or 1 for each class, shape (n, n_classes), 1 if the
        score is at least the threshold of the class, or 0.5 without thresholds.

        Parameters
        ----------
        unknown : bool
            Answer "(unknown)" (for several labels, a row of 0) for sounds of none of the classes,
            or whose score is below the threshold of the class, if there are thresholds.

        Raises
        ------
        ModelError
            If ``unknown`` is set and the model has no rule for unknown sounds.
        """
        said = self._say(clips, sample_rate)
        model = self.model_
        several, limits = model.multi_label, self.thresholds_
        asked = answer_limits(
            model, unknown=unknown, threshold="auto" if unknown and limits else None
        )
        reasons = unknown_reasons(
            said.scores, said.known, asked, unknown=unknown, multi_label=several
        )
        strange = ((reasons != "") | (said.known == 0.0)) & unknown
        if several:
            least = model.decision.limits(model.classes, None if limits else 0.5)
            return np.asarray((said.scores >= least) & ~strange[:, None], np.int64)
        found = np.asarray(self.classes_[said.scores.argmax(axis=1)])
        if unknown:
            found = np.where(strange, UNKNOWN, found.astype(object))
        return found

    def calibrate(
        self: C,
        clips: Any,
        y: Iterable[Any] | None = None,
        *,
        sample_rate: int | None = None,
        groups: ArrayLike | None = None,
        method: str = AUTO,
        precision: float = 0.9,
        unknown: bool = True,
    ) -> C:
        """Calibrate scores on labelled sounds that the model was not trained on.

        Parameters
        ----------
        clips, y, sample_rate, groups
            As for :meth:`fit`.
        method : {"auto", "temperature", "vector", "none"}
            Auto chooses by log loss on recordings left out in turn.
        precision : float
            Share of right answers that the threshold of each class must give; 0: the best F1
            instead.
        unknown : bool
            Whether to fit rules for unknown sounds.

        Returns
        -------
        SoundClassifier
            The classifier itself, with ``thresholds_``.

        Raises
        ------
        DataError
            For sounds without labels, with unknown labels or of training files, or fewer than two
            recordings.
        """
        self._check_fitted()
        rate = self.sample_rate if sample_rate is None else sample_rate
        sounds = as_sounds(clips, y, sample_rate=rate, groups=groups)
        with self._place() as place:
            calibrate_model(
                self.model_,
                sounds,
                self.about_,
                cache=place / "cache",
                method=method,
                precision=precision,
                unknown=unknown,
                seed=self.seed,
                workers=self.workers,
            )
        return self

    @property
    def thresholds_(self) -> dict[str, float]:
        """The threshold of each class; empty before :meth:`calibrate`."""
        self._check_fitted()
        return dict(self.model_.decision.thresholds)

    def detect(
        self, files: Iterable[str | PathLike[str]] | str | PathLike[str], **settings: Any
    ) -> DetectResult:
        """Find when the classes begin and end, in recordings of any length.

        See :func:`semisonic.classifier.detection.detect.detect` for recordings and settings.
        """
        self._check_fitted()
        own = {"device": self.device, "workers": self.workers}
        return detect(self.model_, files, **{**own, **settings})

    def embed(self, clips: Any, *, sample_rate: int | None = None) -> NDArray[np.float64]:
        """The embedding of each sound, shape (n, dim); the mean over windows."""
        self._check_fitted()
        sounds = self._unlabelled(clips, sample_rate)
        own: dict[str, Any] = {"device": self.device, "workers": self.workers}
        return score_sounds(self.model_, sounds, embed=True, **own).scores

    def score(
        self,
        clips: Any,
        y: Iterable[Any] | None = None,
        sample_weight: NDArray[np.float64] | None = None,
        *,
        sample_rate: int | None = None,
    ) -> float:
        """Accuracy on labelled sounds, or lwlrap with several labels for a sound; 0 to 1.

        Raises
        ------
        DataError
            If a label is not in ``classes_``, or a sound has no label.
        """
        self._check_fitted()
        rate = self.sample_rate if sample_rate is None else sample_rate
        sounds = as_sounds(clips, y, sample_rate=rate)
        names = list(self.model_.classes)
        for row, labels in enumerate(sounds.clips.labels):
            if not labels or set(labels) - set(names):
                found = ", ".join(labels) or "no label"
                raise DataError(
                    f"{sounds.clips.ids[row]}: found {found}, expected a class of the model"
                )
        scores = self.predict_proba(sounds)
        clips = sounds.clips.with_columns(classes=tuple(names))
        if self.model_.multi_label:
            return lwlrap(clips.targets(), scores)
        right = clips.target() == scores.argmax(axis=1)
        return float(np.average(right, weights=sample_weight))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one file, as ``semisonic train`` does."""
        self._check_fitted()
        save(path, self.model_, about=self.about_)

    def export(self, path: str | PathLike[str], **options: Any) -> ExportResult:
        """Write the fitted model to a file that runs without Semisonic, as ONNX or a torch
        program.

        See :func:`semisonic.export` for options, comparison and errors.
        """
        from semisonic.classifier.export import export

        self._check_fitted()
        return export(self, path, **options)

    @classmethod
    def load(cls: type[C], path: str | PathLike[str], model: nn.Module | None = None) -> C:
        """A fitted classifier from a model file or a run folder of ``semisonic train``.

        Parameters
        ----------
        path : path
        model : nn.Module, optional
            The network, if ``fit`` was given one as an object: with the same layers; its weights
            come from the file.

        Raises
        ------
        ModelError
            If the file is missing or damaged, or its network is not known here.
        """
        file = find_file(path, MODEL)
        about = read_about(file)
        if model is not None:
            register_instance(model, about["model"])
        found = open_model(file)
        fitted = cls(
            found.name if model is None else model, mel=found.mel, dropout=found.dropout
        ).set_params(standardize=found.frontend.standardize.kind)
        fitted.model_ = found
        fitted.classes_ = _with_values(found.classes, about["about"].get(LABEL_VALUES, {}))
        fitted.history_, fitted.pretraining_history_ = [], []
        fitted.best_epoch_, fitted.failures_, fitted.about_ = 0, (), about["about"]
        return fitted

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.three_d_array = True  # files; channels
        tags.classifier_tags.multi_label = True
        return tags

    def _repr_html_(self) -> str:
        from semisonic.classifier.show import classifier_html

        return classifier_html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Replaces scikit-learn's, which shows only the parameters."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _say(self, x: Any, sample_rate: int | None) -> ScoredRows:
        self._check_fitted()
        sounds = self._unlabelled(x, sample_rate)
        return score_sounds(self.model_, sounds, device=self.device, workers=self.workers)

    def _unlabelled(self, x: Any, sample_rate: int | None) -> Sounds:
        """Sounds to score; their labels are not used."""
        rate = self.sample_rate if sample_rate is None else sample_rate
        return as_sounds(x, sample_rate=rate, labels="none")

    @contextmanager
    def _place(self) -> Iterator[Path]:
        if self.folder is not None:
            yield Path(self.folder)
            return
        with temporary_folder() as place:
            yield place

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError("this SoundClassifier is not fitted yet; call fit() first")
