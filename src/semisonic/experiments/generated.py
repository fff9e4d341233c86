"""Generated patches of an experiment: a generator learns from labelled clips, and the classifier
learns from its patches beside these clips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import WITH_NOISY, TrainConfig
from semisonic.classifier.selection import Rows
from semisonic.classifier.training import (
    ClassifierTraining,
    TrainedModel,
    TrainingData,
    feature_parts,
    train_model,
)
from semisonic.core.errors import OptionError
from semisonic.core.seeds import derive
from semisonic.data.batches import Stream
from semisonic.experiments.generators import (
    ConditionalGan,
    ConditionalVae,
    Generative,
    PatchCritic,
    PatchEncoder,
    PatchGenerator,
)
from semisonic.experiments.jobs import GENERATOR
from semisonic.experiments.recipe import VAE, GeneratedOptions
from semisonic.features.augment.sets import augmenter
from semisonic.features.frontend import Standardize
from semisonic.features.options import WAVE, MelOptions
from semisonic.learning.supervised import NOISY
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.training.devices import choose_device
from semisonic.training.loop import FitResult, fit
from semisonic.training.options import FitOptions

BETA = 10.0
"""Weight of the divergence of the variational auto-encoder."""

LONGEST_SHIFT = 0.1
"""Share of a clip that it is shifted by at most before a generator hears it, around its end."""

N_PATCHES = 2
"""Clips and generated patches of each class that are kept to be shown."""

METHODS_WITH_PATCHES = tuple(method for method in WITH_NOISY if method != "noisy-student")
"""Methods of one fit that take clips whose labels nobody checked; a patch enters as one."""

_FIT = FitOptions(
    epoch_steps=50,
    batch_size=16,
    schedule="cosine",
    ema_decay=0.99,
    clip_norm=5.0,
    precision="fp32",
    restore_best=False,
    learning_rate=2e-3,
)


@dataclass(frozen=True)
class Generated:
    """Patches that no recording holds.

    Attributes
    ----------
    features : ndarray of float16, shape (n, 1, mel, frame)
        In dB.
    target : ndarray of int64, shape (n,)
        The class that each was made for.
    fit : FitResult
        Of the generator.
    """

    features: NDArray[np.float16]
    target: NDArray[np.int64]
    fit: FitResult

    def summary(self) -> dict[str, Any]:
        """How many there are, what the generator took and how it ended."""
        last = self.fit.history[-1].items()
        terms = {name: value for name, value in last if name not in ("epoch", "lr", "seconds")}
        return {"n_patches": len(self.target), "seconds": self.fit.seconds, **terms}


def train_with_patches(
    config: TrainConfig,
    options: GeneratedOptions,
    data: TrainingData,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | None = None,
) -> tuple[TrainedModel, Generated | None]:
    """Train a classifier, beside generated patches where the options ask for them.

    A patch takes the place of a clip whose label nobody checked. The statistics of the features
    are those of the labelled clips, and nothing is validated or tested on a patch.

    Parameters
    ----------
    config, data, seed, device, folder, start
        As for :func:`semisonic.classifier.training.train_model`.
    options : GeneratedOptions

    Returns
    -------
    TrainedModel
    Generated or None
        The patches; None where the options have no generator.

    Raises
    ------
    OptionError
        For a method that has no place for patches, and as :func:`generate`.
    """
    if not options.is_used:
        trained = train_model(config, data, seed=seed, device=device, folder=folder, start=start)
        return trained, None
    if config.method not in METHODS_WITH_PATCHES:
        raise OptionError(
            f"option 'generator': the method '{config.method}' has no place for generated "
            f"patches; use one of {', '.join(METHODS_WITH_PATCHES)}, or leave them out"
        )
    if len(data.noisy):
        raise OptionError(
            "option 'generator': found clips whose labels nobody checked beside others; generated "
            "patches would take their place: leave out one of them"
        )
    place = choose_device(device)
    patches = generate(
        data.features,
        data.target,
        data.labelled,
        options,
        mel=config.mel,
        n_classes=len(data.classes),
        seed=seed,
        device=place,
        folder=None if folder is None else folder / GENERATOR,
    )
    beside = _TrainingWithPatches(
        config, data, place, start, patches=patches, ratio=options.generated_ratio
    )
    return beside.fit(data.target, data.labelled, seed, folder), patches


@dataclass(frozen=True, kw_only=True)
class _TrainingWithPatches(ClassifierTraining):
    """A training that reads patches where others read clips with unverified labels."""

    patches: Generated
    ratio: float

    def streams(self, target: NDArray[Any], rows: Rows, seed: int) -> dict[str, Stream]:
        """Those of the method, and the patches."""
        streams, patches = super().streams(target, rows, seed), self.patches
        n_labelled = min(self.config.fit.batch_size, len(rows))
        streams[NOISY] = Stream(
            patches.features,
            np.arange(len(patches.target)),
            batch_size=max(2, round(self.ratio * n_labelled)),
            seed=seed,
            target=patches.target,
            device=self.device,
            name="generated",
        )
        return streams


def generate(
    features: Any,
    target: NDArray[Any],
    rows: Rows,
    options: GeneratedOptions,
    *,
    mel: MelOptions,
    n_classes: int,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
) -> Generated:
    """Train a generator on labelled rows and draw patches of each class.

    Parameters
    ----------
    features : FeatureStore or ndarray, shape (n, 1, mel, frame)
        In dB.
    target : ndarray of int64, shape (n,)
        Class numbers; read at ``rows`` alone.
    rows : ndarray of int64
        Labelled rows to learn from.
    options : GeneratedOptions
        With a generator.
    mel : MelOptions
        The front end that made the features.
    n_classes : int
        A class without a row gets no patches.
    seed : int
        Of weights, order of clips, and patches.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training goes on.

    Raises
    ------
    OptionError
        For several labels per clip, or a front end other than one map of a spectrogram.
    """
    _check(target, mel)
    seed = derive(seed, "generated") % (1 << 31)
    size = (mel.shape[1], int(np.shape(features)[3]))
    objective = make_generative(options.generator, size, n_classes, mel, seed)
    objective.standardize.fit(feature_parts(features, rows))
    clips = Stream(
        features,
        rows,
        batch_size=_FIT.batch_size,
        seed=seed,
        target=target,
        device=torch.device(device),
        name="generator, labelled",
    )
    steps = options.generator_steps
    result = fit(
        objective,
        {"labelled": clips},
        replace(_FIT, steps=steps, epoch_steps=min(_FIT.epoch_steps, steps)),
        seed=seed,
        device=device,
        folder=folder,
        label=f"generator ({options.generator})",
    )
    wanted = np.repeat(np.unique(target[rows]), options.generated_per_class).astype(np.int64)
    patches = objective.sample(
        torch.from_numpy(wanted),
        torch.from_numpy(np.asarray(features[rows], np.float32)),
        torch.from_numpy(target[rows]),
        floor_db=mel.quietest_db,
        seed=seed,
    )
    return Generated(patches.numpy().astype(np.float16), wanted, result)


def make_generative(
    generator: str, size: tuple[int, int], n_classes: int, mel: MelOptions, seed: int
) -> Generative:
    """The objective of a generator with first weights; its standardisation is still to be fitted.

    Parameters
    ----------
    generator : str
        "vae" or "gan".
    size : (int, int)
        Bands and frames of a patch.
    """
    standardize = Standardize("mel", 1, size[0])
    view = augmenter("weak", mel, max_shift=LONGEST_SHIFT * mel.duration)
    if generator == VAE:
        network = PatchGenerator(size, n_classes, n_maps=2, seed=seed)
        encoder = PatchEncoder(size, n_classes, seed=seed)
        return ConditionalVae(network, encoder, standardize, view=view, beta=BETA)
    network = PatchGenerator(size, n_classes, seed=seed)
    critic = PatchCritic(size, n_classes, seed=seed)
    return ConditionalGan(network, critic, standardize, view=view)


def _check(target: NDArray[Any], mel: MelOptions) -> None:
    found = ""
    if target.ndim != 1:
        found = "found clips with several labels, expected one per clip: a patch is of one class"
    elif mel.input == WAVE:
        found = "found waves, expected spectrograms; choose another network"
    elif mel.n_channels != 1:
        found = f"found {mel.n_channels} maps a clip, expected one; leave out the deltas"
    if found:
        raise OptionError(f"option 'generator': {found}")


def shown(made: Generated, features: Any, target: Rows, rows: Rows) -> dict[str, NDArray[Any]]:
    """A few clips of each class that a generator heard, and a few patches that it made."""
    heard, first = _first_of_each(target[rows]), _first_of_each(made.target)
    return {
        "heard": np.asarray(features[rows[heard]], np.float16)[:, 0],
        "heard_class": target[rows[heard]],
        "made": made.features[first, 0],
        "made_class": made.target[first],
    }


def _first_of_each(target: Rows) -> Rows:
    """The first few rows of every class, classes in their order."""
    return np.concatenate([np.flatnonzero(target == one)[:N_PATCHES] for one in np.unique(target)])
