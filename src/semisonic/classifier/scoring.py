"""From features to scores, and from recordings to the scores of their windows.

``predict``, ``evaluate``, ``calibrate`` and the classifier in Python all score here. Scores come
from :meth:`semisonic.models.sound_model.SoundModel.score`, whose module is also what ``export``
writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from semisonic.classifier.windows import Windows, stream_windows, windows_of_waves
from semisonic.core.parallel import LOCAL_ENGINE, engine_for, in_order
from semisonic.data.batches import batches
from semisonic.data.clips import Clips
from semisonic.features.options import MOST_VALUES
from semisonic.models.sound_model import SoundModel
from semisonic.training.devices import choose_device

BATCH_SIZE = 64
"""Default number of clips scored in one batch."""

Table = NDArray[np.float64]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within the block the module is in evaluation mode and records no gradients."""
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)


def move_to_device(model: nn.Module, device: torch.device) -> None:
    """Move a model to its device; on a CPU, give its weights the fastest memory layout.

    Convolutions compute 1.1 to 2.7 times as fast with channels last, and the scores differ by
    the rounding of float32 only.
    """
    model.to(device)
    if device.type == "cpu":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ScoredRows(NamedTuple):
    """Scores of some rows.

    Attributes
    ----------
    scores : ndarray of float64, shape (n, n_classes)
        Calibrated probabilities; they sum to one unless multi-label.
    known : ndarray of float64, shape (n,)
        0 to 1: unknown below 0.5, 0 for noise. No probability. All 1 without a rule.
    """

    scores: Table
    known: Table


class NetworkOutputs(NamedTuple):
    """The outputs of a network for some rows, before they become scores.

    Attributes
    ----------
    logits : ndarray of float64, shape (n, n_classes)
    statistics : ndarray of float64, shape (n, n_statistics)
        Of the features, for the rule against noise.
    embeddings : ndarray of float64, shape (n, dim)
        For the rule of distance.
    """

    logits: Table
    statistics: Table
    embeddings: Table


def score_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> Table:
    """Scores of some rows of features, shape (len(rows), n_classes): see :func:`predict_rows`."""
    return predict_rows(model, features, rows, batch_size, device).scores


def predict_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> ScoredRows:
    """Scores of some rows of features, and how known each row is.

    Parameters
    ----------
    model : SoundModel
        On ``device``; its mode is kept.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB, not standardised.
    rows : array of int
    batch_size : int
        Rows scored at once.
    device : str or torch.device

    Returns
    -------
    ScoredRows
        In the order of ``rows``.
    """

    def both(x: Tensor) -> Tensor:
        scores, known = model.score(x)
        return torch.cat([scores, known[:, None]], dim=1)

    n = len(model.classes)
    table = _over_batches(model, both, features, rows, batch_size, device, n + 1)
    return ScoredRows(table[:, :n], table[:, n])


def network_outputs(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> NetworkOutputs:
    """The outputs of the network for some rows; the model's ``decide`` makes scores from them.

    Parameters
    ----------
    model, features, rows, batch_size, device
        As for :func:`predict_rows`.
    """

    def every(x: Tensor) -> Tensor:
        embedding = model.embed(x)
        return torch.cat([model.head(embedding), model.statistics(x), embedding], dim=1).float()

    n, m = len(model.classes), len(model.classes) + model.statistics.out_features
    width = m + model.neck.out_features
    table = _over_batches(model, every, features, rows, batch_size, device, width)
    return NetworkOutputs(table[:, :n], table[:, n:m], table[:, m:])


def embed_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """The embeddings of some rows of features, shape (len(rows), dim).

    Parameters
    ----------
    model, features, rows, batch_size, device
        As for :func:`predict_rows`.
    """
    width = model.neck.out_features
    return _over_batches(model, model.embed, features, rows, batch_size, device, width)


def audible_windows(silent: NDArray[np.bool_], owner: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Which windows count in the means of their clips: those that are not silent, if it has any.

    Parameters
    ----------
    silent : ndarray of bool, shape (n_windows,)
    owner : array of int, shape (n_windows,), optional
        The clip of each window; by default, all are of one.

    Examples
    --------
    >>> audible_windows(np.array([True, False])).tolist()
    [False, True]
    >>> audible_windows(np.array([True, True])).tolist()
    [True, True]
    >>> audible_windows(np.array([True, False, True]), [0, 0, 1]).tolist()
    [False, True, True]
    """
    of = np.zeros(len(silent), np.int64) if owner is None else np.asarray(owner, np.int64)
    return ~silent | ~np.isin(of, of[~silent])


def mean_by(
    owner: ArrayLike, scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The mean of the scores of each owner's rows, as of the windows of one clip.

    Parameters
    ----------
    owner : array of int, shape (n,)
    scores : ndarray, shape (n, n_classes)

    Returns
    -------
    owners : ndarray of int64, shape (n_owners,)
        Each once, in rising order.
    means : ndarray, shape (n_owners, n_classes)

    Examples
    --------
    >>> owners, means = mean_by([3, 7, 3], np.array([[0.2], [1.0], [0.4]]))
    >>> owners.tolist(), means.round(1).tolist()
    ([3, 7], [[0.3], [1.0]])
    """
    owners, inverse = np.unique(np.asarray(owner, np.int64), return_inverse=True)
    total = np.zeros((len(owners), scores.shape[1]))
    np.add.at(total, inverse, scores)
    return owners, total / np.bincount(inverse, minlength=len(owners))[:, None]


def _over_batches(
    model: nn.Module,
    function: Callable[[Tensor], Tensor],
    features: Any,
    rows: ArrayLike,
    batch_size: int,
    device: str | torch.device,
    width: int,
) -> NDArray[np.float64]:
    index = np.asarray(rows, dtype=np.int64)
    if not len(index):
        return np.zeros((0, width))
    size = max(1, min(batch_size, MOST_VALUES // prod(features.shape[1:])))
    with evaluating(model):
        parts = [
            function(batch.x).cpu().double().numpy()
            for batch in batches(features, index, size, device)
        ]
    return np.concatenate(parts)


WORTH_PROCESSES = 5000
"""Clips from which on processes score them sooner than threads."""

BLOCK_CLIPS, LONG_CLIP = 64, 64
"""A block of a table ends after this number of clips (also the amount for one process), or with a
clip of at least this number of windows.
"""


def ends_block(row: int, n_windows: int) -> bool:
    """Whether a block of a table ends with this clip, which has so many windows.

    No batch goes beyond the end of a block, so the scores of a block are the same, bit for bit,
    whether earlier blocks were scored by the same call, by another process, or before.
    """
    return (row + 1) % BLOCK_CLIPS == 0 or n_windows >= LONG_CLIP


@dataclass(frozen=True)
class ClipScores:
    """One clip of a table and the scores of its windows.

    Attributes
    ----------
    row : int
        Of the clip table.
    times : ndarray, shape (n_windows, 2)
        Start and end of each window in the recording, seconds.
    windows : ndarray, shape (n_windows, n_classes)
        Probabilities, or embeddings where those were asked for.
    known : ndarray, shape (n_windows,)
        How known each window is, 0 to 1: unknown below 0.5; all 1 if the model has no rule.
    silent : ndarray of bool, shape (n_windows,)
        Windows of digital silence; means leave them out if there are others.
    reason : str
        Why the clip could not be read, or not to its end; empty if it could.
    damage : str
        What the recording's header promises and the file does not hold.
    """

    row: int
    times: Table
    windows: Table
    known: Table
    silent: NDArray[np.bool_]
    reason: str = ""
    damage: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether every window is silent."""
        return bool(self.silent.all())

    @property
    def mean(self) -> Table:
        """Mean over the windows that are not silent, shape (n_classes,)."""
        mean: Table = self.windows[audible_windows(self.silent)].mean(axis=0)
        return mean

    @property
    def mean_known(self) -> float:
        """The same mean of ``known``: the clip is unknown below 0.5.

        It is 0 if there is nothing to name: each window is silent or seems to be noise.
        """
        return 0.0 if self.is_silent else float(self.known[~self.silent].mean())


def score_clips(
    model: SoundModel,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
    workers: int | None = None,
    first: int = 0,
    embed: bool = False,
) -> Iterator[ClipScores]:
    """Score every clip of a table, reading recordings block by block.

    Parameters
    ----------
    model : SoundModel
        Moved to ``device``.
    clips : Clips
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    batch_size : int
        Windows scored at once, of several clips together.
    device : str or torch.device
    workers : int, optional
        Threads that decode, or processes if there is much to score; by default one for each core.
    first : int
        The row to start with: 0, or the one after the end of a block.
    embed : bool
        Return embeddings instead of scores.

    Yields
    ------
    ClipScores
        One for each row, in order; a clip that cannot be read has a reason.
    """
    place, engine = choose_device(device), LOCAL_ENGINE
    if place.type == "cpu":
        engine = engine_for(engine, len(clips) - first, WORTH_PROCESSES, workers)
    if engine.in_threads:
        items = stream_windows(clips[first:], model.mel, hop=hop, workers=workers)
        yield from _scored(model, items, first, batch_size, place, embed)
        return
    starts = [first, *range(first - first % BLOCK_CLIPS + BLOCK_CLIPS, len(clips), BLOCK_CLIPS)]
    parts = ((clips[a:b], a) for a, b in pairwise([*starts, len(clips)]))
    make = partial(partial, _score_part, model, hop, batch_size, place, embed)
    with engine.calls(make, workers=workers) as calls:
        for found in in_order(calls, parts):
            yield from found


def score_waves(
    model: SoundModel,
    waves: Sequence[NDArray[np.float32]],
    *,
    device: str | torch.device = "cpu",
    embed: bool = False,
) -> Iterator[ClipScores]:
    """As :func:`score_clips` for samples in memory.

    Parameters
    ----------
    model : SoundModel
        Moved to ``device``.
    waves : sequence of ndarray of float32, each shape (n_samples,)
        At the model's sample rate, of any length.
    embed : bool
        Give embeddings for scores.
    """
    items = windows_of_waves(waves, model.mel)
    return _scored(model, items, 0, BATCH_SIZE, choose_device(device), embed)


def _score_part(
    model: SoundModel,
    hop: float | None,
    batch_size: int,
    device: torch.device,
    embed: bool,
    part: tuple[Clips, int],
) -> list[ClipScores]:
    """All scores of a part of a table from this row on, in one thread."""
    clips, first = part
    items = stream_windows(clips, model.mel, hop=hop, workers=1)
    return list(_scored(model, items, first, batch_size, device, embed))


def _scored(
    model: SoundModel,
    items: Iterable[Windows],
    first: int,
    batch_size: int,
    device: torch.device,
    embed: bool,
) -> Iterator[ClipScores]:
    """Scores of the clips of a table from row ``first`` on, in order."""
    move_to_device(model, device)

    def values(features: NDArray[np.float32]) -> Table:
        rows = features, np.arange(len(features)), batch_size, device
        if embed:
            return np.column_stack([embed_rows(model, *rows), np.ones(len(features))])
        return np.column_stack(predict_rows(model, *rows))

    for one in by_clip(items, values, batch_size, first):
        table, known = one.features[:, :-1], one.features[:, -1]
        row, why = first + one.row, one.reason or ""
        yield ClipScores(row, one.times, table, known, one.is_silent, why, one.damage)


def by_clip(
    items: Iterable[Windows],
    function: Callable[[NDArray[np.float32]], NDArray[Any]],
    batch_size: int = BATCH_SIZE,
    first: int = 0,
) -> Iterator[Windows]:
    """Clips with all their windows, and the values of a function of the windows' features.

    Parameters
    ----------
    items : iterable of Windows
        Of :func:`semisonic.classifier.windows.stream_windows`.
    function : callable
        From features (n, channel, mel, frame) of several clips to values (n, ...).
    batch_size : int
        Windows given to it at once, about.
    first : int
        Row in its table of the first clip, for the ends of blocks.

    Yields
    ------
    Windows
        One for each clip, with the values in place of the features.
    """
    parts: list[Windows] = []  # with values, of the clip that has not ended
    for batch in _batches(items, batch_size, first):
        values = function(np.concatenate([one.features for one in batch]))
        ends = np.cumsum([len(one.times) for one in batch])[:-1]
        for one, own in zip(batch, np.split(values, ends), strict=True):
            parts.append(replace(one, features=own))
            if one.reason is not None:
                yield Windows(
                    one.row,
                    np.concatenate([part.times for part in parts]),
                    np.concatenate([part.features for part in parts]),
                    np.concatenate([part.is_silent for part in parts]),
                    one.reason,
                    one.damage,
                )
                parts.clear()


def _batches(items: Iterable[Windows], n_windows: int, first: int) -> Iterator[list[Windows]]:
    """Items until there are so many windows or a block ends, again and again."""
    batch: list[Windows] = []
    n = n_of_clip = 0
    for item in items:
        batch.append(item)
        n, n_of_clip = n + len(item.times), n_of_clip + len(item.times)
        is_end = item.reason is not None
        if n >= n_windows or (is_end and ends_block(first + item.row, n_of_clip)):
            yield batch
            batch, n = [], 0
        n_of_clip = 0 if is_end else n_of_clip
    if batch:
        yield batch
