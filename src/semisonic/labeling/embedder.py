"""The network that embeds, and clips of any length as embedded windows."""

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
from semisonic.classifier.scoring import audible_windows, evaluating
from semisonic.classifier.windows import Windows, stream_windows
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import digest
from semisonic.core.options import to_dict
from semisonic.data.clips import Clips
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.sound_model import SoundModel
from semisonic.models.weights import weights_digest
from semisonic.training.devices import choose_device

Vectors = NDArray[np.float32]
_KEPT = ("created", "command", "commit", "seed", "published")


class Embedding(nn.Module):
    """An encoder with what makes one vector of its map.

    The embedding of a classifier is what its class layer sees. An encoder without a neck of its
    own gives mean plus maximum over the frames of its map.
    """

    def __init__(self, source: SoundModel | PretrainedEncoder) -> None:
        super().__init__()
        if source.frontend is None:
            raise ModelError("an encoder without a front end cannot embed recordings")
        self.frontend: Frontend = source.frontend
        self.encoder = source.encoder
        neck = source.neck or GlobalPoolNeck(source.encoder.out_channels)
        self.neck, self.name = neck, source.name

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (batch, dim) of features in dB."""
        vectors: Tensor = self.neck(self.encoder(self.frontend.standardize(x)), None)
        return vectors


@dataclass(frozen=True)
class Embedder:
    """A model ready to embed.

    Attributes
    ----------
    network : Embedding
    classifier : SoundModel or None
        What scores the vectors; None for an encoder.
    hash : str
        Of everything vectors and scores depend on: network, front end, weights, calibration. A
        file written anew from the same has the same.
    file : Path or None
        Where it was read from.
    about : mapping
        What the file says of its making, without lists of recordings.
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

    def __call__(
        self, features: NDArray[np.float32], device: str | torch.device = "cpu"
    ) -> tuple[Vectors, NDArray[np.float64]]:
        """Embed features (n, channel, mel, frame) in dB, all at once.

        Returns
        -------
        vectors : ndarray of float32, shape (n, dim)
        scores : ndarray of float64, shape (n, n_classes)
            As ``predict`` gives them; of no class for an encoder.

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
        vectors: Vectors = embedded.float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise ModelError(f"the model '{self.network.name}' gave a vector that is not finite")
        return vectors, scores

    def describe(self) -> dict[str, Any]:
        """What an index keeps of its model."""
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
    """The embedder of a model, which is left as it is.

    Parameters
    ----------
    model : path, SoundClassifier, SoundModel or PretrainedEncoder
        A classifier, a pre-trained encoder or a converted published one, or the file of one.

    Raises
    ------
    ModelError
        When the file is missing, damaged or of another kind.
    OptionError
        When it is no model.
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


@dataclass(frozen=True)
class EmbeddedClip:
    """A clip and what its windows were embedded to.

    Attributes
    ----------
    row : int
        Of the clip table.
    times : ndarray of float64, shape (n, 2)
        Start and end of each window in the recording, seconds.
    silent : ndarray of bool, shape (n,)
        Windows of digital silence.
    vectors : ndarray of float32, shape (n, dim)
    scores : ndarray of float64, shape (n, n_classes)
    reason : str
        Why the clip could not be read; empty if it could. There are no windows then.
    """

    row: int
    times: NDArray[np.float64]
    silent: NDArray[np.bool_]
    vectors: Vectors
    scores: NDArray[np.float64]
    reason: str = ""

    def mean(self) -> EmbeddedClip:
        """The clip as one window: the means over its windows that are not silent, if any are."""
        rows = audible_windows(self.silent)
        return EmbeddedClip(
            self.row,
            np.array([[self.times[0, 0], self.times[:, 1].max()]]),
            np.array([self.silent.all()]),
            self.vectors[rows].mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32),
            self.scores[rows].mean(axis=0, keepdims=True),
        )


def embed_windows(
    embedder: Embedder,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    workers: int | None = None,
) -> Iterator[EmbeddedClip]:
    """Embed the windows of clips; recordings are read block by block.

    Every batch but the last has ``batch_size`` windows, whatever clips they are of, so the same
    clips give the same vectors to the last bit.

    Parameters
    ----------
    embedder : Embedder
    clips : Clips
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    batch_size : int
        Windows embedded at once.
    device : str or torch.device
    workers : int, optional
        Threads that decode.

    Yields
    ------
    EmbeddedClip
        One for each row, in order.
    """
    waiting: list[Windows] = []
    done: list[EmbeddedClip] = []  # parts of clips that have not ended
    ended: list[tuple[int, str]] = []
    for item in stream_windows(clips, embedder.mel, hop=hop, workers=workers):
        if not isinstance(item, Windows):
            ended.append((item.row, item.reason))
        else:
            waiting.append(item)
        while sum(len(one.times) for one in waiting) >= batch_size:
            batch, waiting = _split(waiting, batch_size)
            done += _embed_batch(embedder, batch, device)
        while ended and not any(one.row == ended[0][0] for one in waiting):
            yield _joined(embedder, done, *ended.pop(0))
    done += _embed_batch(embedder, waiting, device)
    for row, reason in ended:
        yield _joined(embedder, done, row, reason)


def _embed_batch(
    embedder: Embedder, batch: list[Windows], device: str | torch.device
) -> list[EmbeddedClip]:
    if not batch:
        return []
    vectors, scores = embedder(np.concatenate([one.features for one in batch]), device)
    ends = np.cumsum([len(one.times) for one in batch])[:-1]
    parts = zip(batch, np.split(vectors, ends), np.split(scores, ends), strict=True)
    return [EmbeddedClip(one.row, one.times, one.is_silent, x, y) for one, x, y in parts]


def _joined(embedder: Embedder, done: list[EmbeddedClip], row: int, reason: str) -> EmbeddedClip:
    """One clip of its parts, which are taken away."""
    own = [one for one in done if one.row == row]
    done[:] = [one for one in done if one.row != row]
    if reason or not own:
        dim, n_classes = embedder.dim, len(embedder.classes)
        nothing = np.zeros((0, 2)), np.zeros(0, np.bool_), np.zeros((0, dim), np.float32)
        return EmbeddedClip(row, *nothing, np.zeros((0, n_classes)), reason or "holds no sound")
    return EmbeddedClip(
        row,
        np.concatenate([one.times for one in own]),
        np.concatenate([one.silent for one in own]),
        np.concatenate([one.vectors for one in own]),
        np.concatenate([one.scores for one in own]),
    )


def _split(windows: list[Windows], n: int) -> tuple[list[Windows], list[Windows]]:
    """The first ``n`` windows, and the others; one item may be cut in two."""
    first: list[Windows] = []
    for i, item in enumerate(windows):
        if len(item.times) > n:
            return [*first, *([item[:n]] if n else [])], [item[n:], *windows[i + 1 :]]
        first.append(item)
        n -= len(item.times)
    return first, []
