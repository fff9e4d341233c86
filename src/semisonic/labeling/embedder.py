"""The network that embeds, and recordings as batches of embedded windows."""

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
from semisonic.classifier.scoring import evaluating
from semisonic.classifier.windows import Item, Windows, stream_windows
from semisonic.core.errors import ModelError
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

# Features to vectors: one thing for classifiers, pre-trained encoders and published ones.


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
    made : mapping
        What the file says of its making, without lists of recordings.
    """

    network: Embedding
    classifier: SoundModel | None
    hash: str
    file: Path | None = None
    made: Mapping[str, Any] = field(default_factory=dict)

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
    ) -> tuple[Vectors, NDArray[np.float64] | None]:
        """Embed features (n, channel, mel, frame) in dB, all at once.

        Returns
        -------
        vectors : ndarray of float32, shape (n, dim)
        scores : ndarray of float64, shape (n, n_classes), or None for an encoder
            As ``predict`` gives them.

        Raises
        ------
        ModelError
            When a vector is not finite.
        """
        place = choose_device(device)
        whole: nn.Module = self.network if self.classifier is None else self.classifier
        whole.to(place)
        scores: NDArray[np.float64] | None = None
        with evaluating(whole):
            x = torch.from_numpy(np.ascontiguousarray(features)).to(place)
            vectors = self.network(x)
            if self.classifier is not None:
                scores = self.classifier.score(x, vectors)[0].numpy()
        found: Vectors = vectors.float().cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelError(f"the model '{self.network.name}' gave a vector that is not finite")
        return found, scores

    def told(self) -> dict[str, Any]:
        """What an index keeps of its model."""
        return {
            "hash": self.hash,
            "file": None if self.file is None else str(self.file.absolute()),
            "network": self.network.name,
            "dim": self.dim,
            "features": to_dict(self.mel),
            "standardize": self.network.frontend.standardize.kind,
            "classes": list(self.classes),
            "made": dict(self.made),
        }


def open_embedder(path: str | PathLike[str]) -> Embedder:
    """Open a classifier, a pre-trained encoder or a converted published one.

    Raises
    ------
    ModelError
        When the file is missing, damaged or of another kind.
    """
    file = encoder_file(path)
    about = read_about(file)
    source = open_model(file) if about["kind"] == "classifier" else open_encoder(file)
    made = {name: about["about"][name] for name in _KEPT if name in about["about"]}
    return embedder_of(source, file, made)


def embedder_of(
    source: SoundModel | PretrainedEncoder,
    file: Path | None = None,
    made: Mapping[str, Any] | None = None,
) -> Embedder:
    """The embedder of a model in memory, which is left as it is."""
    network = Embedding(source).eval()
    classifier = source if isinstance(source, SoundModel) else None
    if classifier is not None:
        identity = model_key(classifier.eval())
    else:
        identity = digest(network.name, to_dict(network.frontend.options), weights_digest(network))
    return Embedder(network, classifier, identity, file, made or {})


# Windows of clips with their vectors, in full batches, in order.


Embedded = tuple[Item, Vectors, NDArray[np.float64]]


def embedded_windows(
    embedder: Embedder,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    workers: int | None = None,
) -> Iterator[Embedded]:
    """Embed the windows of clips; recordings are read block by block.

    Every batch but the last has ``batch_size`` windows, whatever clips they are of, so the same
    clips give the same vectors to the last bit.

    Yields
    ------
    item : Windows or Done
        Windows of a clip, then the end of that clip, as :func:`stream_windows` gives them.
    vectors : ndarray of float32, shape (n_windows, dim)
    scores : ndarray of float64, shape (n_windows, n_classes)
        Of no class for an encoder.
    """
    waiting: list[Item] = []
    count = 0
    for item in stream_windows(clips, embedder.mel, hop=hop, workers=workers):
        waiting.append(item)
        count += _size(item)
        while count >= batch_size:
            batch, waiting = _split(waiting, batch_size)
            count -= batch_size
            yield from _apply(embedder, batch, device)
    yield from _apply(embedder, waiting, device)


def _apply(embedder: Embedder, batch: list[Item], device: str | torch.device) -> Iterator[Embedded]:
    parts = [item.features for item in batch if isinstance(item, Windows)]
    vectors = np.zeros((0, embedder.dim), np.float32)
    scores = None
    if parts:
        vectors, scores = embedder(np.concatenate(parts), device)
    if scores is None:
        scores = np.zeros((len(vectors), 0))
    at = 0
    for item in batch:
        rows = slice(at, at + _size(item))
        yield item, vectors[rows], scores[rows]
        at = rows.stop


def _split(items: list[Item], n: int) -> tuple[list[Item], list[Item]]:
    """The items with the first ``n`` windows, and the others; one may be cut in two."""
    first: list[Item] = []
    for i, item in enumerate(items):
        if isinstance(item, Windows) and len(item.times) > n:
            return [*first, item[:n]], [item[n:], *items[i + 1 :]]
        first.append(item)
        n -= _size(item)
    return first, []


def _size(item: Item) -> int:
    return len(item.times) if isinstance(item, Windows) else 0
