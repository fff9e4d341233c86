"""Generated patches: a small generator learns from the labelled clips, then more are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import VAE, GeneratedOptions
from semisonic.classifier.pretraining import feature_parts
from semisonic.core.errors import OptionError
from semisonic.core.seeds import derive
from semisonic.data.batches import Stream
from semisonic.features.augment.chain import augmenter
from semisonic.features.frontend import Standardize
from semisonic.features.options import WAVE, MelOptions, preset
from semisonic.learning.generated import ConditionalGan, ConditionalVae, Generative
from semisonic.models.generator import PatchCritic, PatchEncoder, PatchGenerator
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions
from semisonic.training.state import FitResult

Rows = NDArray[np.int64]

BETA = 10.0
"""Weight of the divergence of the variational auto-encoder."""

LONGEST_SHIFT = 0.1
"""Share of a clip that it is shifted by at most before a generator hears it, around its end."""

_FIT = FitOptions(
    epoch_steps=50,
    batch_size=16,
    schedule="cosine",
    ema_decay=0.99,
    clip_norm=5.0,
    precision="fp32",
    channels_last="off",
    restore_best=False,
    learning_rate=2e-3,
)
_LABELLED_SHARE = 0.5
"""Of a batch where the generator hears a pool."""


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
    pool: Rows | None = None,
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
    pool : ndarray of int64, optional
        Rows that are heard without a label where the options ask for it.

    Raises
    ------
    OptionError
        For several labels per clip, or a front end other than one map of a spectrogram.
    """
    _check(target, mel, options, pool)
    heard = pool if options.generator_pool else None
    seed = derive(seed, "generated") % (1 << 31)
    size = (mel.shape[1], int(np.shape(features)[3]))
    objective = make_generative(options, size, n_classes, mel, seed, with_pool=heard is not None)
    known = rows if heard is None else np.union1d(rows, heard)
    objective.standardize.fit(feature_parts(features, known))
    result = fit(
        objective,
        _streams(features, target, rows, heard, seed, torch.device(device)),
        replace(
            _FIT,
            steps=options.generator_steps,
            epoch_steps=min(_FIT.epoch_steps, options.generator_steps),
        ),
        seed=seed,
        device=device,
        folder=folder,
        label=f"generator ({options.generator})",
    )
    classes = np.unique(target[rows])
    wanted = np.repeat(classes, options.generated_per_class).astype(np.int64)
    patches = objective.sample(
        torch.from_numpy(wanted),
        torch.from_numpy(np.asarray(features[rows], np.float32)),
        torch.from_numpy(target[rows]),
        floor_db=mel.quietest_db,
        seed=seed,
    )
    return Generated(patches.numpy().astype(np.float16), wanted, result)


def make_generative(
    options: GeneratedOptions,
    size: tuple[int, int],
    n_classes: int,
    mel: MelOptions,
    seed: int,
    *,
    with_pool: bool = False,
) -> Generative:
    """The objective of a generator with first weights; its standardisation is still to be fitted.

    Parameters
    ----------
    size : (int, int)
        Bands and frames of a patch.
    """
    standardize = Standardize("mel", 1, size[0])
    changes = replace(preset("weak", mel), time_shift=LONGEST_SHIFT * mel.duration)
    shared: dict[str, Any] = {"view": augmenter(changes, mel), "with_pool": with_pool}
    if options.generator == VAE:
        generator = PatchGenerator(size, n_classes, n_maps=2, seed=seed)
        encoder = PatchEncoder(size, n_classes, seed=seed)
        return ConditionalVae(generator, encoder, standardize, beta=BETA, **shared)
    generator = PatchGenerator(size, n_classes, seed=seed)
    critic = PatchCritic(size, n_classes, seed=seed)
    return ConditionalGan(generator, critic, standardize, **shared)


def _streams(
    features: Any,
    target: NDArray[Any],
    rows: Rows,
    pool: Rows | None,
    seed: int,
    device: torch.device,
) -> Mapping[str, Stream]:
    """What the generator reads: labelled rows, and those of a pool."""
    n_labelled = _FIT.batch_size if pool is None else round(_LABELLED_SHARE * _FIT.batch_size)
    streams = {
        "labelled": Stream(
            features,
            rows,
            batch_size=n_labelled,
            seed=seed,
            target=target,
            device=device,
            name="generator, labelled",
        )
    }
    if pool is not None:
        streams["unlabelled"] = Stream(
            features,
            pool,
            batch_size=_FIT.batch_size - n_labelled,
            seed=seed,
            device=device,
            name="generator, unlabelled",
        )
    return streams


def _check(
    target: NDArray[Any], mel: MelOptions, options: GeneratedOptions, pool: Rows | None
) -> None:
    found = ""
    if target.ndim != 1:
        found = "found clips with several labels, expected one per clip: a patch is of one class"
    elif mel.input == WAVE:
        found = "found waves, expected spectrograms; choose another network"
    elif mel.n_channels != 1:
        found = f"found {mel.n_channels} maps a clip, expected one; leave out the deltas"
    if found:
        raise OptionError(f"option 'generator': {found}")
    if options.generator_pool and (pool is None or not len(pool)):
        raise OptionError("option 'generator_pool': found no unlabelled clips; give some")
