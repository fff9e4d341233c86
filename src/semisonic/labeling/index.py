"""``EmbeddingIndex``: embedded clips on disk, for search."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.audio.read import read
from semisonic.classifier.sounds import as_sounds
from semisonic.classifier.windows import cut_stream, features_of_wave
from semisonic.core.errors import DataError, ModelError
from semisonic.core.files import read_json, replacing, unguarded, write_csv, write_json
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import name_from, name_here
from semisonic.data.windows import clip_durations
from semisonic.features.frontend import make_extractor
from semisonic.labeling.embedder import Embedder, open_embedder
from semisonic.labeling.nearest import Hit, find_hits, nearest
from semisonic.labeling.options import WINDOW
from semisonic.labeling.vectors import check_finite

if TYPE_CHECKING:
    import pandas as pd


def shown_names(files: Iterable[str]) -> dict[str, str]:
    """The display name of each file, without the common folders."""
    names = list(dict.fromkeys(files))
    folders = [name.rpartition("/")[0].split("/") for name in names]
    shared = 0
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return {name: "/".join(name.split("/")[shared:]) for name in names}


VECTORS, TABLE, ABOUT = "embeddings.npy", "index.csv", "embedding.json"
SCORES = "scores.npy"
STORE = "store"
NO_CLUSTER = -1
_TEXTS = ("file", "label", "predicted", "group", "label_type")
_MAPPED: Literal["r"] | None = None if os.name == "nt" else "r"
"""How vectors are opened: on Windows, a mapped file cannot be replaced."""
_ENTRIES: dict[str, type | tuple[type, ...]] = {
    "model.hash": str,
    "model.file": (str, NoneType),
    "model.network": str,
    "model.dim": int,
    "model.features": (dict, NoneType),
    "model.classes": list,
    "hop": (int, float, NoneType),
}
"""What is read of the description of an index, and its types."""
_NUMBERS = ("row", "start_time", "end_time", "score", "cluster", "fold")


class EmbeddingIndex:
    """Vectors of recordings, one row per window or clip; created by :func:`semisonic.embed`.

    Attributes
    ----------
    folder : Path
    vectors : ndarray of float32, shape (n, dim)
        ``embeddings.npy``, mapped read-only.
    clips : Clips
        File, times, labels and recording of each row.
    about : mapping
        ``embedding.json``: model, front end, classes, options.
    predicted : ndarray of str, shape (n,)
        The best class; empty for an encoder, and for digital silence.
    score : ndarray of float64, shape (n,)
        Its score, 0 to 1; NaN without one.
    cluster : ndarray of int64, shape (n,)
        From 0; -1 without clusters.
    """

    def __init__(
        self,
        folder: Path,
        vectors: NDArray[np.float32],
        clips: Clips,
        about: Mapping[str, Any],
        *,
        predicted: NDArray[np.str_] | None = None,
        score: NDArray[np.float64] | None = None,
        cluster: NDArray[np.int64] | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        n = len(clips)
        self.folder, self.vectors, self.clips, self.about = folder, vectors, clips, about
        self.predicted = np.full(n, "") if predicted is None else predicted
        self.score = np.full(n, np.nan) if score is None else score
        self.cluster = np.full(n, NO_CLUSTER) if cluster is None else cluster
        self._embedder = embedder

    @classmethod
    def open(cls, folder: str | PathLike[str], embedder: Embedder | None = None) -> EmbeddingIndex:
        """Open an index without reading its vectors.

        Parameters
        ----------
        folder : path
        embedder : Embedder, optional
            The model that it was made with, if it is open.

        Raises
        ------
        DataError
            When the folder contains none, or an unfinished one.
        """
        import pandas as pd

        place = Path(folder)
        missing = [name for name in (ABOUT, VECTORS, TABLE) if not (place / name).is_file()]
        if missing:
            advice = "expected the folder of an index: make one with 'semisonic embed'"
            if (place / STORE).is_dir():
                advice = "the index is not finished: run the same 'semisonic embed' again"
            raise DataError(f"{place}: contains no {missing[0]}; {advice}")
        about = read_json(place / ABOUT, _ENTRIES)
        # object: strings that pyarrow holds, where it is installed, cannot be names of any bytes
        try:
            frame = pd.read_csv(
                place / TABLE,
                dtype=dict.fromkeys(_TEXTS, object),
                keep_default_na=False,
                encoding_errors="surrogateescape",
                na_values={column: [""] for column in _NUMBERS},
            )
            text = {column: [unguarded(cell) for cell in frame[column]] for column in _TEXTS}
            number = {column: frame[column].to_numpy(np.float64) for column in _NUMBERS}
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{place / TABLE}: cannot be read as the table of an index ({error}); run "
                "'semisonic embed' again"
            ) from error
        labels = tuple(tuple(filter(None, cell.split(LABEL_SEPARATOR))) for cell in text["label"])
        clips = Clips(
            root=place.resolve(),
            file=np.array(text["file"], np.str_),
            start_time=number["start_time"],
            end_time=number["end_time"],
            labels=labels,
            group=np.array(text["group"], np.str_),
            fold=np.nan_to_num(number["fold"]).astype(np.int64),
            classes=tuple(sorted({label for row in labels for label in row})),
            name=place.name or "recordings",
            label_type=np.array(text["label_type"], np.str_),
        )
        return cls(
            place,
            _mapped(place / VECTORS, (len(clips), int(about["model"]["dim"]))),
            clips,
            about,
            predicted=np.array(text["predicted"], np.str_),
            score=number["score"],
            cluster=np.nan_to_num(number["cluster"], nan=NO_CLUSTER).astype(np.int64),
            embedder=embedder,
        )

    def save(self, scores: NDArray[np.float32] | None = None) -> None:
        """Write the files of the index; the file that is read first is written last."""
        for name, array in ((VECTORS, self.vectors), (SCORES, scores)):
            if array is not None:
                with replacing(self.folder / name) as part, part.open("wb") as stream:
                    np.save(stream, array)
        self._write_table()
        write_json(self.folder / ABOUT, {"rows": len(self), **self.about})

    def _write_table(self) -> None:
        clips = self.clips
        table = {
            "row": range(len(self)),
            "file": clips.file.tolist(),
            "start_time": [f"{start:.3f}" for start in clips.start_time],
            "end_time": [f"{end:.3f}" for end in clips.end_time],
            "label": map(LABEL_SEPARATOR.join, clips.labels),
            "predicted": self.predicted.tolist(),
            "score": ["" if np.isnan(score) else f"{score:.4f}" for score in self.score],
            "cluster": ["" if c == NO_CLUSTER else c for c in self.cluster.tolist()],
            "group": clips.group.tolist(),
            "fold": [fold or "" for fold in clips.fold.tolist()],
            "label_type": clips.label_type.tolist(),
        }
        rows = zip(*table.values(), strict=True)
        write_csv(self.folder / TABLE, list(table), rows, errors="surrogateescape")

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        n, dim = self.vectors.shape
        return f"EmbeddingIndex({self.folder}: {n} rows of {dim})"

    def _repr_html_(self) -> str:
        import pandas as pd

        from semisonic.core.html import MOST_ROWS, card, facts, frame_table

        model, clips = self.about["model"], self.clips
        values = {
            "folder": self.folder,
            "rows": f"{len(self)}, each of {self.dim} numbers",
            "recordings": len(set(clips.file.tolist())),
            "made by": model["network"],
            "classes": ", ".join(model["classes"]),
            "clusters": len(np.unique(self.cluster[self.cluster != NO_CLUSTER])) or "",
        }
        some = slice(MOST_ROWS)
        columns = {"file": clips.file, "start_time": clips.start_time, "end_time": clips.end_time}
        columns |= {"predicted": self.predicted, "score": self.score, "cluster": self.cluster}
        rows = pd.DataFrame({name: column[some] for name, column in columns.items()})
        empty = [name for name, column in columns.items() if not _says_something(column)]
        table = frame_table(rows.drop(columns=empty), len(self))
        return card("EmbeddingIndex", facts(values), table)

    @classmethod
    def from_vectors(
        cls,
        vectors: ArrayLike,
        clips: Any,
        folder: str | PathLike[str],
        *,
        model: str = "elsewhere",
        key: str = "",
    ) -> EmbeddingIndex:
        """Make an index of vectors of another encoder, such as BirdNET or Perch.

        It can be searched by a row or a vector, drawn as a map, clustered, and used by
        :func:`semisonic.suggest`. New sounds cannot be embedded here.

        Parameters
        ----------
        vectors : array of float, shape (n, dim)
        clips : Clips, frame or paths
            The segment of each vector, in the same order; see
            :meth:`semisonic.SoundClassifier.fit` for the columns of a frame. Without times, a
            vector belongs to a whole recording.
        folder : path
            Folder of the index, new or empty.
        model : str
            Name of the encoder of the vectors.
        key : str
            Vectors with the same key are from the same encoder; by default the hash of these
            numbers.

        Raises
        ------
        DataError
            When the numbers of vectors and clips differ, a number is not finite, a recording
            cannot be opened to find its length, or the folder is not empty.

        Examples
        --------
        ::

            index = EmbeddingIndex.from_vectors(birdnet, table, "runs/birdnet", model="BirdNET")
            index.search(0, k=5)
        """
        if isinstance(clips, (str, PathLike)):
            raise DataError(
                f"clips: found the path {clips}, which gives no order of rows to match the "
                "vectors; give a frame, such as pandas.read_csv(path), or a list of recordings"
            )
        found, rows = np.asarray(vectors, np.float32), as_sounds(clips).clips
        if found.ndim != 2 or len(found) != len(rows) or not len(rows):
            raise DataError(
                f"vectors: found shape {found.shape} for {len(rows)} clips, expected one row per "
                "clip"
            )
        check_finite(found, "vectors")
        lengths = clip_durations(rows)
        if np.isnan(lengths).any():
            file = rows.paths[int(np.isnan(lengths).argmax())]
            raise DataError(f"{file}: cannot be opened to find its length; give end_time")
        place = Path(folder)
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise DataError(f"{place}: already exists; choose a new or empty folder")
        place.mkdir(parents=True, exist_ok=True)
        root = place.resolve()
        new_name = {file: name_from(root, rows.root / file) for file in set(rows.file.tolist())}
        named = rows.with_columns(
            root=root,
            file=np.array([new_name[file] for file in rows.file.tolist()], dtype=np.str_),
            group=np.array([new_name.get(g, g) for g in rows.group.tolist()], dtype=np.str_),
            end_time=rows.start_time + lengths,
        )
        about = {
            "hash": key or hashlib.sha256(found.tobytes()).hexdigest()[:16],
            "file": None,
            "network": model,
            "dim": found.shape[1],
            "features": None,
            "classes": [],
            "made": {},
        }
        created = datetime.now(UTC).isoformat(timespec="seconds")
        made = {"model": about, "per": WINDOW, "hop": None, "created": created}
        cls(place, found, named, made).save()
        return cls.open(place)

    def to_frame(self) -> pd.DataFrame:
        """One row per vector: file, times, label, best class and score, cluster, numbers."""
        import pandas as pd

        known = self.clips.to_frame().assign(
            predicted=self.predicted.astype(object), score=self.score, cluster=self.cluster
        )
        return pd.concat([known, pd.DataFrame(np.asarray(self.vectors))], axis=1)

    @property
    def scores(self) -> NDArray[np.float32] | None:
        """The scores of each row, shape (n, n_classes), mapped; None for an encoder.

        They are those of ``predict``.

        Raises
        ------
        DataError
            When the file is missing or from another index.
        """
        n_classes = len(self.about["model"]["classes"])
        return _mapped(self.folder / SCORES, (len(self), n_classes)) if n_classes else None

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.vectors.shape[1])

    def set_clusters(self, cluster: ArrayLike) -> None:
        """Write the cluster of each row to the table; -1 for none.

        Raises
        ------
        DataError
            When their number differs from that of the rows.
        """
        numbers = np.asarray(cluster, np.int64)
        if numbers.shape != (len(self),):
            raise DataError(f"clusters: found shape {numbers.shape}, expected ({len(self)},)")
        self.cluster = numbers
        self._write_table()

    def embedder(self, model: str | PathLike[str] | None = None) -> Embedder:
        """The model that the index was made with, or another file of it.

        Raises
        ------
        ModelError
            When it is missing, or another one.
        """
        model_about = self.about["model"]
        if model is None and self._embedder is not None:
            return self._embedder
        if self.is_elsewhere:
            raise ModelError(
                f"{self.folder}: its vectors were made elsewhere ({model_about['network']}), so "
                "sounds cannot be embedded for it here; search by a row, or by a vector of the "
                "same encoder"
            )
        file = model_about["file"] if model is None else model
        if file is None or not Path(file).exists():
            raise ModelError(
                f"{self.folder}: the model that it was made with is not at {file}; give its file "
                "(model=..., on the command line --model)"
            )
        found = open_embedder(file)
        if found.hash != model_about["hash"]:
            raise ModelError(
                f"{file}: not the model that {self.folder} was made with (found the hash "
                f"{found.hash}, expected {model_about['hash']}); a search needs the same model"
            )
        self._embedder = found
        return found

    def embed_wave(
        self, wave: ArrayLike, sample_rate: int, *, device: str = "cpu"
    ) -> NDArray[np.float32]:
        """The mean vector of a sound's windows, shape (dim,).

        Parameters
        ----------
        wave : array of float, shape (n_samples,)
            Samples of one channel, within ±1.
        sample_rate : int
            Hz.
        """
        embedder = self.embedder()
        mel = embedder.mel
        sounds = as_sounds([np.asarray(wave)], sample_rate=sample_rate).at_rate(mel.sample_rate)
        n_hop = mel.n_samples if self.hop is None else max(1, round(self.hop * mel.sample_rate))
        extractor = make_extractor(mel)
        cut = cut_stream(sounds.waves or (), mel.n_samples, n_hop, mel.sample_rate)
        windows = [features_of_wave(part, mel, extractor) for _, part in cut]
        vectors, _ = embedder(np.stack(windows), device)
        return np.asarray(vectors.mean(axis=0), np.float32)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the vectors were made elsewhere; see :meth:`from_vectors`."""
        return self.about["model"]["features"] is None

    @property
    def hop(self) -> float | None:
        """Seconds between windows; None for the model's clip length."""
        hop: float | None = self.about["hop"]
        return hop

    def search(
        self,
        query: ArrayLike | PathLike[str] | int,
        k: int = 10,
        *,
        sample_rate: int | None = None,
        all_windows: bool = False,
        without_files: Sequence[str | PathLike[str]] = (),
        without_rows: Sequence[int] = (),
    ) -> tuple[Hit, ...]:
        """Find segments that sound like an example, the most similar first.

        Parameters
        ----------
        query : int, path, or array of float
            A row of the index, which is not a hit itself; a recording; a vector, shape (dim,); or,
            with ``sample_rate``, a wave, shape (n_samples,).
        k : int
            Number of hits.
        all_windows : bool
            Each row is a hit; by default adjacent rows of a file are merged into one.
        without_files : sequence of path
            Recordings to leave out.
        without_rows : sequence of int
            Rows to leave out.

        Returns
        -------
        tuple of Hit

        Raises
        ------
        DataError
            When the query does not fit the index.
        """
        root = self.clips.root
        left_out = np.isin(self.clips.file, [name_from(root, Path(f)) for f in without_files])
        left_out[list(without_rows)] = True
        if isinstance(query, (str, PathLike)):
            query, sample_rate = read(query)
        if isinstance(query, (int, np.integer)):
            vector = self.row(int(query))
            left_out[int(query)] = True
        elif sample_rate is None:
            vector = np.asarray(query, np.float32)
        else:
            vector = self.embed_wave(query, sample_rate)
        rows, values = (found[0] for found in nearest(self.vectors, vector, len(self)))
        kept = ~left_out[rows]
        hits = find_hits(self.clips, rows[kept], values[kept], k, merge=not all_windows)
        return tuple(replace(hit, file=name_here(root / hit.file)) for hit in hits)

    def row(self, number: int) -> NDArray[np.float32]:
        """The vector of a row, shape (dim,).

        Raises
        ------
        DataError
            When the row does not exist.
        """
        if not 0 <= number < len(self):
            raise DataError(f"{self.folder}: found row {number}, expected 0 to {len(self) - 1}")
        return np.array(self.vectors[number])


def _says_something(column: NDArray[Any]) -> bool:
    """Whether a column is not empty."""
    if column.dtype.kind == "f":
        return bool(np.isfinite(column).any())
    return bool((column != (NO_CLUSTER if column.dtype.kind == "i" else "")).any())


def _mapped(file: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """An array of an index; the file may be missing if there are no rows."""
    if not shape[0]:
        return np.zeros(shape, np.float32)
    try:
        found: NDArray[np.float32] = np.load(file, mmap_mode=_MAPPED)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    if found.shape != shape:
        raise DataError(
            f"{file}: found shape {found.shape}, but {TABLE} and the model say {shape}; run the "
            "same 'semisonic embed' again"
        )
    return found
