"""The pool that is asked from: rows of an index with vectors and, with a classifier, scores."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.inference.modelfile import encoder_file
from semisonic.inference.scoring import evaluating
from semisonic.labeling.embed_options import EmbedOptions
from semisonic.labeling.embedder import Embedder, embedder_of, open_embedder
from semisonic.labeling.index import ABOUT, EmbeddingIndex
from semisonic.labeling.making import make_index
from semisonic.labeling.naming import Failures
from semisonic.models import PretrainedEncoder, SoundModel, read_about

INDEX_OF = "embedding"
"""In what a model's file tells of its making: the hash of the model that made its vectors."""
_BLOCK = 8192


@dataclass(frozen=True)
class Pool:
    """What there is to ask about.

    Attributes
    ----------
    clips : Clips
        A row each; ends are known.
    vectors : ndarray of float32, shape (n, dim)
    scores : ndarray of float64, shape (n, n_classes), or None
        Calibrated if the model is.
    classes : tuple of str
        Empty without scores.
    multi_label : bool
    cluster : ndarray of int64, shape (n,)
        From 0; -1 where there is none.
    failures : tuple of (str, str)
        Recordings that could not be read.
    """

    clips: Clips
    vectors: NDArray[np.float32]
    scores: NDArray[np.float64] | None
    classes: tuple[str, ...]
    multi_label: bool
    cluster: NDArray[np.int64]
    failures: Failures = ()

    def __len__(self) -> int:
        return len(self.clips)


def pool_of(
    model: Any,
    where: EmbeddingIndex | Clips | str | PathLike[str],
    folder: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
) -> Pool:
    """Rows, vectors and scores of recordings.

    Parameters
    ----------
    model : path, SoundClassifier, SoundModel, PretrainedEncoder or None
        None takes the index as it is.
    where : EmbeddingIndex, Clips or path
        An index, its folder, a folder of recordings, a table of clips.
    folder : Path
        For vectors that have to be made: a folder in it for each model.
    """
    index = _index_at(where)
    if model is None:
        if index is None:
            raise DataError(
                f"{where}: no index, and no model to make one with; name a model or an encoder"
            )
        return _as_pool(index, None, None)
    embedder, base = _opened(model)
    classifier = embedder.classifier
    made_by = "" if index is None else index.about["model"]["hash"]
    if (
        index is not None
        and classifier is not None
        and made_by == base != embedder.hash
        and not classifier.decision.unknown.reads_statistics  # which are no part of an index
    ):
        return _as_pool(index, classifier, scores_of(classifier, index.vectors))
    failures: Failures = ()
    if index is None or made_by != embedder.hash:
        named = index.clips if index is not None else where
        made = make_index(
            embedder,
            named if isinstance(named, Clips) else [Path(named)],  # type: ignore[arg-type]
            EmbedOptions(
                Path(),
                (),
                folder / embedder.hash,
                labels="none",
                device=device,
                workers=workers,
                per="window" if index is None else "clip",
            ),
        )
        index, failures = made.index, made.failures
    scores = None if classifier is None else index.scores
    return _as_pool(index, classifier, scores, failures)


def scores_of(model: SoundModel, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a classifier says of vectors that its encoder made, shape (n, n_classes).

    Raises
    ------
    ModelError
        When the model has a rule against noise, which needs the features.
    """
    parts = [np.zeros((0, len(model.classes)))]
    with evaluating(model):
        for start in range(0, len(vectors), _BLOCK):
            block = torch.from_numpy(np.array(vectors[start : start + _BLOCK], np.float32))
            parts.append(model.decide(model.head(block), block)[0].numpy())
    return np.concatenate(parts)


def _as_pool(
    index: EmbeddingIndex,
    classifier: SoundModel | None,
    scores: NDArray[Any] | None,
    failures: Failures = (),
) -> Pool:
    classes = () if classifier is None else classifier.classes
    several = classifier is not None and classifier.multi_label
    table = None if scores is None else np.asarray(scores, np.float64)
    return Pool(index.clips, index.vectors, table, classes, several, index.cluster, failures)


def _opened(model: Any) -> tuple[Embedder, str]:
    """What embeds and classifies, and the hash of the model that made its vectors before."""
    if isinstance(model, (str, PathLike)):
        file = encoder_file(model)
        return open_embedder(file), str(read_about(file)["about"].get(INDEX_OF, ""))
    found = getattr(model, "model_", model)
    if not isinstance(found, (SoundModel, PretrainedEncoder)):
        raise DataError(f"model: found {type(model).__name__}, expected a classifier or an encoder")
    return embedder_of(found), ""


def _index_at(where: Any) -> EmbeddingIndex | None:
    if isinstance(where, EmbeddingIndex):
        return where
    if isinstance(where, (str, PathLike)) and (Path(where) / ABOUT).is_file():
        return EmbeddingIndex.open(where)
    return None
