"""Embed windows of clips of any length with a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semisonic.classifier.model_file import encoder_file, model_key, open_encoder, open_model
from semisonic.classifier.scoring import audible_windows, by_clip, evaluating
from semisonic.classifier.windows import stream_windows
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import digest
from semisonic.core.options import to_dict
from semisonic.data.clips import Clips
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create
from semisonic.models.sound_model import SoundModel
from semisonic.models.weights import weights_digest
from semisonic.training.devices import choose_device

INDEX_OF = "embedding"
"""Key of a model's ``about``: the hash of the model that made its vectors."""
_KEPT = ("created", "command", "commit", "seed", "published", INDEX_OF)

Rows = NDArray[np.void]
"""Embedded windows: see :attr:`Embedder.dtype`."""


class Embedding(nn.Module):
    """An encoder with a layer that turns its map into one vector.

    The embedding is the input of the class layer. If that is not pooled over time, or comes from
    dense layers, which only a classifier or a published encoder has trained, an encoder gives mean
    plus maximum over the frames of its map.
    """

    def __init__(self, source: SoundModel | PretrainedEncoder) -> None:
        super().__init__()
        self.frontend: Frontend = source.frontend
        self.encoder = source.encoder
        neck = source.neck
        if neck is None:
            neck = create(source.name, source.frontend.options.shape).neck
            if not isinstance(neck, GlobalPoolNeck) or len(neck.dense):
                neck = GlobalPoolNeck(source.encoder.out_channels)
        self.neck, self.name = neck, source.name

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (batch, dim) of features in dB."""
        vectors: Tensor = self.neck(self.encoder(self.frontend.standardize(x)), None)
        return vectors


@dataclass(frozen=True)
class Embedder:
    """A model that is ready to embed.

    Attributes
    ----------
    network : Embedding
    classifier : SoundModel or None
        The classifier of the vectors; None for an encoder.
    hash : str
        Hash of everything that vectors and scores depend on: network, front end, weights,
        calibration.
    file : Path or None
        Its file.
    about : mapping
        The ``about`` of its file, without lists of recordings.
    """

    network: Embedding
    classifier: SoundModel | None
    hash: str
    file: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mel(self) -> MelOptions:
        """The front end."""
        return self.network.frontend.options

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none for an encoder."""
        return () if self.classifier is None else self.classifier.classes

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.network.neck.out_features)

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Type of an embedded window: seconds in its recording, silence, vector, scores."""
        return np.dtype(
            [
                ("start", "<f8"),
                ("end", "<f8"),
                ("silent", "?"),
                ("vector", "<f4", (self.dim,)),
                ("scores", "<f4", (len(self.classes),)),
            ]
        )

    def __call__(
        self, features: NDArray[np.float32], device: str | torch.device = "cpu"
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Embed features (n, channel, mel, frame) in dB, all at once.

        Returns
        -------
        vectors : ndarray of float32, shape (n, dim)
        scores : ndarray of float64, shape (n, n_classes)
            As of ``predict``; without classes for an encoder.

        Raises
        ------
        ModelError
            When a vector is not finite.
        """
        place = choose_device(device)
        whole: nn.Module = self.network if self.classifier is None else self.classifier
        whole.to(place)
        scores = np.zeros((len(features), 0))
        with evaluating(whole):
            x = torch.from_numpy(np.ascontiguousarray(features)).to(place)
            embedded = self.network(x)
            if self.classifier is not None:
                scores = self.classifier.score(x, embedded)[0].numpy()
        vectors: NDArray[np.float32] = embedded.float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise ModelError(f"the model '{self.network.name}' gave a vector that is not finite")
        return vectors, scores

    def describe(self) -> dict[str, Any]:
        """The description of the model in an index."""
        return {
            "hash": self.hash,
            "file": None if self.file is None else str(self.file.absolute()),
            "network": self.network.name,
            "dim": self.dim,
            "features": to_dict(self.mel),
            "standardize": self.network.frontend.standardize.kind,
            "classes": list(self.classes),
            "made": dict(self.about),
        }


def open_embedder(model: Any) -> Embedder:
    """The embedder of a model, which is not changed.

    Parameters
    ----------
    model : path, SoundClassifier, SoundModel or PretrainedEncoder
        A classifier, a pre-trained encoder or a converted published one, or its file.

    Raises
    ------
    ModelError
        When the file is missing, damaged or of another kind.
    OptionError
        When it is not a model.
    """
    file, about = None, {}
    source = getattr(model, "model_", model)
    if isinstance(model, (str, PathLike)):
        file = encoder_file(model)
        found = read_about(file)
        source = open_model(file) if found["kind"] == "classifier" else open_encoder(file)
        about = {name: found["about"][name] for name in _KEPT if name in found["about"]}
    if isinstance(source, SoundModel):
        return Embedder(Embedding(source).eval(), source.eval(), model_key(source), file, about)
    if isinstance(source, PretrainedEncoder):
        network = Embedding(source).eval()
        key = digest(network.name, network.frontend.options, weights_digest(network))
        return Embedder(network, None, key, file, about)
    raise OptionError(
        f"model: found {type(model).__name__}, expected the file of a model, a fitted "
        "SoundClassifier, or a model"
    )


def mean_row(rows: Rows) -> Rows:
    """One row for a clip: the means over its windows that are not silent, if there are any."""
    one, audible = rows[:1].copy(), audible_windows(rows["silent"])
    one["end"], one["silent"] = rows["end"].max(), rows["silent"].all()
    for name in ("vector", "scores"):
        one[name] = rows[name][audible].mean(axis=0, dtype=np.float64)
    return one


def embed_windows(
    embedder: Embedder,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    workers: int | None = None,
) -> Iterator[tuple[Rows, str]]:
    """Embed the windows of clips; recordings are read block by block.

    Batches are cut from the windows of all clips, so the same clips give identical vectors.

    Parameters
    ----------
    embedder : Embedder
    clips : Clips
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    batch_size : int
        Approximate number of windows embedded at once.
    device : str or torch.device
    workers : int, optional
        Threads that decode.

    Yields
    ------
    rows : structured array, shape (n_windows,)
        The windows of each clip, in order: see :attr:`Embedder.dtype`.
    reason : str
        Why the clip could not be read and has no rows; empty if it could.
    """

    def rows(features: NDArray[np.float32]) -> Rows:
        made = np.zeros(len(features), embedder.dtype)
        if len(features):
            made["vector"], made["scores"] = embedder(features, device)
        return made

    items = stream_windows(clips, embedder.mel, hop=hop, workers=workers)
    for clip in by_clip(items, rows, batch_size):
        found, reason = (
            clip.features,
            clip.reason or ("" if len(clip.times) else "contains no sound"),
        )
        found["start"], found["end"] = clip.times.T
        found["silent"] = clip.is_silent
        yield found[: 0 if reason else None], reason
