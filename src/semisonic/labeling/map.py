"""``map``: recordings as points on a page, which play their sounds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.player import Player, clip_player, sound_bytes
from semisonic.audio.read import read_start
from semisonic.core.errors import AudioError, DataError
from semisonic.core.html import data_uri
from semisonic.core.progress import track
from semisonic.core.seeds import generator
from semisonic.core.text import count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import Failures
from semisonic.evaluation.embeddings import pca_2d, tsne_2d
from semisonic.evaluation.report.document import (
    Report,
)
from semisonic.labeling.clusters import (
    Agreement,
    Clusters,
    agreement,
    find_clusters,
    nearest_to_centres,
)
from semisonic.labeling.index import EmbeddingIndex, shown_names
from semisonic.labeling.nearest import unit
from semisonic.labeling.options import PCA, TSNE
from semisonic.training.run_folder import RunFolder

MOST_NAMES, OTHERS = 24, "all others"
FEWEST = 3
SNIPPET, RATE = 3.0, 16000
"""Seconds of a sound in the page, from the middle of its clip, and its sample rate in Hz."""
PLAYED, MOST_PLAYED, LONGEST_PLAYED = 3, 60, 5.0
"""Number of sounds per cluster and of all clusters on the page, and seconds of each."""
_DIRECTIONS = 50


class MapResult(NamedTuple):
    """The result of ``map``.

    Attributes
    ----------
    report : Path
    text : str
        Text for a terminal.
    failures : tuple of (str, str)
        Points without a sound, if the page contains sounds.
    """

    report: Path
    text: str
    failures: Failures


def draw_map(
    folder: Path,
    output: Path | None = None,
    *,
    projection: str = TSNE,
    most: int = 3000,
    clusters: str = "",
    megabytes: float = 20.0,
    seed: int = 0,
) -> MapResult:
    """Project, optionally cluster, and write the page; parameters as for the verb.

    Raises
    ------
    DataError
        When there is no index, or too few rows.
    OptionError
        When the number of clusters is wrong, or the folder belongs to another run.
    """
    index = EmbeddingIndex.open(folder)
    with RunFolder(output or folder / "map", "map", {"index": folder}) as run:
        run.note(projection=projection, most=most, clusters=clusters, seed=seed)
        run.note(rows_of_index=len(index), made=index.about["created"])
        rows = np.arange(len(index))
        if len(rows) > most:
            rows = np.sort(generator(seed, "map").choice(len(rows), most, replace=False))
        places = project(np.asarray(index.vectors[rows]), projection, seed)
        made = {
            "model": index.about["model"]["network"],
            "numbers in a vector": index.dim,
            "projection": projection,
            "seed": seed,
        }
        report = Report(
            "map.j2",
            f"Map of {index.folder.name or 'recordings'}",
            f"{len(rows)} of {len(index)} rows, {len(set(index.clips.file.tolist()))} recordings",
            is_tsne=projection == TSNE,
            made=made,
            clusters=None,
        )
        lines = [f"{len(rows)} of {len(index)} rows drawn"]
        if len(rows) < len(index):
            report.warnings.append(
                f"{len(rows)} of {len(index)} rows are drawn, chosen at random; --most sets how "
                "many."
            )
        if clusters:
            lines += _cluster(report, index, clusters, seed)
        sources, too_large = _sounds(index.clips[rows], megabytes)
        if too_large:
            sources = _links(index.clips[rows], run.folder)
            report.media += ["'self' file:"]
            report.warnings.append(f"{too_large}. Keep them where they are.")
        size = f"{sum(map(len, sources)) / 1e6:.1f} MB of sound"
        lines[0] += f"; {too_large or size}"
        points = _points(index, rows, places)
        points |= {"kind": "link" if too_large else "inside", "sources": sources}
        report.values["points"] = points
        report.data = {"map": {**points, "sources": None}}
        here = files(__package__)
        report.styles.append((here / "map.css").read_text(encoding="utf-8"))
        report.scripts.append((here / "map.js").read_text(encoding="utf-8"))
        path = report.write(run.folder)
    unread = count_text(sources.count(""), "point")
    failures = ((unread, "the recording can no longer be read"),) if "" in sources else ()
    return MapResult(path, "\n".join([*lines, f"report: {path}"]), failures)


def project(vectors: NDArray[np.float32], how: str, seed: int) -> NDArray[np.float64]:
    """Positions within 0 to 1, shape (n, 2), of vectors (n, dim) scaled to length 1.

    Each axis fills the frame, as axes have no unit and a page may be wide or tall. Before t-SNE
    the vectors are reduced to 50 principal components, as usual.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
    how : {"tsne", "pca"}
    seed : int

    Raises
    ------
    DataError
        For fewer than three vectors.
    """
    if len(vectors) < FEWEST:
        raise DataError(f"map: found {len(vectors)} rows, expected at least {FEWEST}")
    table = unit(vectors)
    if how == PCA:
        points = pca_2d(table)
    else:
        if min(table.shape) > _DIRECTIONS:
            from sklearn.decomposition import PCA as Directions

            method = Directions(_DIRECTIONS, svd_solver="randomized", random_state=seed)
            table = method.fit_transform(table)
        points = tsne_2d(table, seed=seed)
    span = np.ptp(points, axis=0)
    return np.asarray((points - points.min(axis=0)) / np.where(span > 0, span, 1.0))


def _points(
    index: EmbeddingIndex, rows: NDArray[np.int64], places: NDArray[np.float64]
) -> dict[str, Any]:
    """The data of the page: positions within 0 to 1, times in seconds, names, colours."""
    clips, shown = index.clips[rows], shown_names(index.clips.file.tolist())
    names = [shown[file] for file in clips.file.tolist()]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    groups = clips.group.tolist()
    if all(group in shown for group in groups):  # every file is its own
        groups = []
    titled = {
        "label": ("label", [";".join(row) for row in clips.labels]),
        "predicted": ("predicted class", index.predicted[rows].tolist()),
        "cluster": ("cluster", [f"cluster {c}" if c >= 0 else "" for c in index.cluster[rows]]),
        "group": ("recording or site", groups),
        "file": ("file", names),
    }
    meanings = {
        name: _meaning(title, values)
        for name, (title, values) in titled.items()
        if len(set(values) - {""}) > (0 if name in ("label", "predicted") else 1)
    }
    return {
        "x": np.round(places[:, 0], 4).tolist(),
        "y": np.round(places[:, 1], 4).tolist(),
        "recordings": [_printable(name) for name in number],
        "recording": [number[name] for name in names],
        "start": np.round(clips.start_time, 3).tolist(),
        "end": np.round(clips.end_time, 3).tolist(),
        "meanings": meanings,
        "others": OTHERS,
        "colour": next(iter(meanings), ""),  # what is known for certain comes first
    }


def _meaning(title: str, values: list[str]) -> dict[str, Any]:
    """A colouring: its names, the most frequent first, and the number of each point.

    The last name may be "all others"; a point without a name has -1.
    """
    counts = Counter(filter(None, values))
    order = sorted(counts, key=lambda name: (-counts[name], name))
    names = order if len(order) <= MOST_NAMES else [*order[: MOST_NAMES - 1], OTHERS]
    number = {name: min(i, MOST_NAMES - 1) for i, name in enumerate(order)}
    of = [number.get(value, -1) for value in values]
    return {"title": title, "names": [_printable(name) for name in names], "of": of}


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _sounds(clips: Clips, megabytes: float) -> tuple[list[str], str]:
    """The sounds of clips as data, or why they are too large for a page."""
    sources: list[str] = []
    size = 0
    for row in track(range(len(clips)), "sounds", "clip"):
        sources.append(_snippet(clips, row))
        size += len(sources[-1])
        # Told early: the sounds so far are as large as the others will be.
        guess = size / len(sources) * len(clips) if len(sources) >= 20 else size
        if guess > megabytes * 1e6:
            return [], (
                f"{len(clips)} sounds need about {guess / 1e6:.0f} MB, more than {megabytes:g} MB: "
                "the page plays the recordings themselves"
            )
    return sources, ""


def _snippet(clips: Clips, row: int) -> str:
    start, length = float(clips.start_time[row]), float(clips.end_time[row] - clips.start_time[row])
    try:
        samples = read_start(
            clips.root / str(clips.file[row]),
            duration=min(SNIPPET, length),
            sample_rate=RATE,
            start_time=start + max(0.0, (length - SNIPPET) / 2),
        )
    except AudioError:
        return ""
    return data_uri(*sound_bytes(samples, RATE))


def _links(clips: Clips, folder: Path) -> list[str]:
    known = {}
    for file in set(clips.file.tolist()):
        path = os.path.relpath(os.path.normpath(clips.root / file), folder.resolve())
        known[file] = quote(Path(path).as_posix(), errors="surrogateescape")
    return [known[file] for file in clips.file.tolist()]


def _cluster(report: Report, index: EmbeddingIndex, how: str, seed: int) -> Iterator[str]:
    """Cluster the rows and write the clusters to index and report; yield lines for a terminal."""
    found = find_clusters(index.vectors, how, seed=seed)
    index.set_clusters(found.number)
    told = agreement(found.number, index.clips)
    report.values |= {"clusters": found, "agreement": told}
    _add_table(report, index, found, told)
    report.players("centres", _centres(index, found))
    yield count_text(found.count, "cluster")
    if told is not None:
        yield (
            f"against {count_text(told.n, 'label')}: purity {percent_text(told.purity)}, "
            f"adjusted mutual information {told.mutual:.2f}"
        )


def _add_table(
    report: Report, index: EmbeddingIndex, found: Clusters, told: Agreement | None
) -> None:
    knows = bool(index.about["model"]["classes"])
    rows: list[list[object]] = []
    for cluster in range(found.count):
        inside = found.number == cluster
        n_recordings = len(set(index.clips.group[inside].tolist()))
        row: list[object] = [f"cluster {cluster}", int(inside.sum()), n_recordings]
        if knows:
            best = Counter(filter(None, index.predicted[inside].tolist())).most_common(1)
            row.append(best[0][0] if best else "")
        rows.append([*row, *(told.common[cluster] if told else ())])
    headers = ["cluster", "rows", "recordings", *["mostly predicted as"] * knows]
    headers += ["most frequent label", "purity"] if told else []
    report.table("clusters", headers, rows, formats={"purity": percent_text})


def _centres(index: EmbeddingIndex, found: Clusters) -> Iterator[Player | None]:
    """The sounds nearest to each centre."""
    clips = index.clips
    names = shown_names(clips.file.tolist())
    middle = nearest_to_centres(index.vectors, found.number, clips.group, PLAYED)
    places = [(cluster, row) for cluster, rows in enumerate(middle) for row in rows]
    for cluster, row in places[:MOST_PLAYED]:
        start, file = float(clips.start_time[row]), str(clips.file[row])
        yield clip_player(
            clips.root / file,
            start,
            float(clips.end_time[row]),
            f"cluster {cluster}",
            ";".join(clips.labels[row]) or str(index.predicted[row]),
            f"{names[file]}, {start:.2f} s",
            longest=LONGEST_PLAYED,
        )
