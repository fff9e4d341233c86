"""``map``: recordings as points on a page that play when they are touched."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import read_start
from semisonic.core.errors import AudioError, DataError
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.seeds import generator
from semisonic.core.text import count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.evaluation.embeddings import pca_2d, tsne_2d
from semisonic.evaluation.report.document import (
    Player,
    Report,
    clip_player,
    data_uri,
    sound_bytes,
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
from semisonic.labeling.options import PCA, TSNE, MapOptions
from semisonic.training.run_folder import RunFolder

MOST_NAMES, OTHERS = 24, "all others"
FEWEST = 3
SNIPPET, RATE = 3.0, 16000
"""Seconds of a sound in the page, from the middle of its clip, and its rate in Hz."""
INSIDE, LINK = "inside", "link"
PLAYED, MOST_PLAYED, LONGEST_PLAYED = 3, 60, 5.0
"""Sounds of each cluster on the page, of all clusters, and seconds of each."""
_DIRECTIONS = 50

Meanings = dict[str, dict[str, Any]]
"""What the colours of points can mean: a title, names, and the number of each point's name."""


@dataclass(frozen=True)
class MapResult:
    """What ``map`` drew.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the index that are drawn.
    kind : {"inside", "link"}
        Where the sounds are.
    clusters : Clusters or None
    agreement : Agreement or None
        Of the clusters with the labels, where there are labels.
    report : Path
    text : str
    failures : tuple of (str, str)
        Points without a sound, where sounds are in the page.
    """

    rows: NDArray[np.int64]
    kind: str
    clusters: Clusters | None
    agreement: Agreement | None
    report: Path
    text: str
    failures: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """For a terminal."""
        return self.text


def run_map(options: MapOptions) -> MapResult:
    """Project, cluster if asked, and write the page.

    Raises
    ------
    DataError
        When there is no index, or too few rows.
    OptionError
        When an option is wrong.
    """
    check(options)
    index = EmbeddingIndex.open(options.index)
    folder = options.output or options.index / "map"
    free = ("output", "projection", "most", "clusters", "megabytes", "seed")
    with RunFolder(folder, "map", options, free=free) as run:
        run.note(rows_of_index=len(index), made=index.about["created"])
        clusters = found = None
        if options.clusters:
            clusters = find_clusters(index.vectors, options.clusters, seed=options.seed)
            index.set_clusters(clusters.number)
            found = agreement(clusters.number, index.clips)
            run.note(n_clusters=clusters.count)
        rows = np.arange(len(index))
        if len(rows) > options.most:
            drawn = generator(options.seed, "map").choice(len(rows), options.most, replace=False)
            rows = np.sort(drawn)
        places = project(np.asarray(index.vectors[rows]), options.projection, options.seed)
        sources, too_large = _sounds(index.clips[rows], options.megabytes)
        kind = INSIDE
        if too_large:
            kind, sources = LINK, _links(index.clips[rows], run.folder)
        points = _points(index, rows, places, kind, sources)
        report = _page(index, options, points, clusters, found, too_large)
        path = report.write(run.folder)
    lines = [f"{len(rows)} of {len(index)} rows drawn"]
    lines[0] += (
        f"; {too_large}" if too_large else f"; {sum(map(len, sources)) / 1e6:.1f} MB of sound"
    )
    if clusters is not None:
        outliers = float(np.mean(clusters.number < 0))
        text = f"{count_text(clusters.count, 'cluster')} ({clusters.method})"
        lines.append(f"{text}, {percent_text(outliers)} outliers" if outliers else text)
        lines += [f"note: {clusters.crowded()}"] if clusters.crowded() else []
    if found is not None:
        lines.append(
            f"against {count_text(found.n, 'label')}: purity {percent_text(found.purity)}, "
            f"adjusted mutual information {found.mutual:.2f}"
        )
    lines.append(f"report: {path}")
    unread = count_text(sources.count(""), "point")
    failures = ((unread, "the recording cannot be read any more"),) if "" in sources else ()
    return MapResult(rows, kind, clusters, found, path, "\n".join(lines), failures)


def project(vectors: NDArray[np.float32], how: str, seed: int) -> NDArray[np.float64]:
    """Places within 0 to 1, shape (n, 2), of vectors (n, dim) taken to length 1.

    Each axis fills the frame: neither has a unit, and a page may be wide or tall. Before t-SNE the
    vectors are turned to their 50 principal directions, as usual.

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
    low = points.min(axis=0)
    span = points.max(axis=0) - low
    return np.asarray((points - low) / np.where(span > 0, span, 1.0))


def _meanings(index: EmbeddingIndex, rows: NDArray[np.int64]) -> Meanings:
    clips = index.clips[rows]
    names = shown_names(index.clips.file.tolist())
    groups = clips.group.tolist()
    found = {
        "label": ("label", [";".join(row) for row in clips.labels]),
        "predicted": ("predicted class", index.predicted[rows].tolist()),
        "cluster": ("cluster", [f"cluster {c}" if c >= 0 else "" for c in index.cluster[rows]]),
        # Unless every file is its own.
        "group": ("recording or site", [] if all(g in names for g in groups) else groups),
        "file": ("file", [names[file] for file in clips.file.tolist()]),
    }
    return {
        name: _meaning(title, values)
        for name, (title, values) in found.items()
        if len(set(values) - {""}) > (0 if name in ("label", "predicted") else 1)
    }


def _meaning(title: str, values: list[str]) -> dict[str, Any]:
    """The commonest names first; the last may be "all others"."""
    counts = Counter(value for value in values if value)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    names = order if len(order) <= MOST_NAMES else [*order[: MOST_NAMES - 1], OTHERS]
    number = {name: min(i, MOST_NAMES - 1) for i, name in enumerate(order)}
    of = [number.get(value, -1) for value in values]
    return {"title": title, "names": [_printable(name) for name in names], "of": of}


def _sounds(clips: Clips, megabytes: float) -> tuple[list[str], str]:
    """The sounds of some clips as data, or why they are too much for a page."""
    sources: list[str] = []
    size = 0
    for row in track(range(len(clips)), "sounds", "clip"):
        sources.append(_snippet(clips, row))
        size += len(sources[-1])
        # Told early: the sounds so far are as large as the others will be.
        guess = size / len(sources) * len(clips) if len(sources) >= 20 else size
        if max(size, guess) > megabytes * 1e6:
            return [], (
                f"{len(clips)} sounds need about {guess / 1e6:.0f} MB, more than {megabytes:g} MB: "
                "the page plays the recordings themselves"
            )
    return sources, ""


def _snippet(clips: Clips, row: int) -> str:
    start, end = float(clips.start_time[row]), float(clips.end_time[row])
    spare = max(0.0, (end - start - SNIPPET) / 2)
    try:
        samples = read_start(
            clips.root / str(clips.file[row]),
            duration=min(SNIPPET, end - start),
            sample_rate=RATE,
            start_time=start + spare,
        )
    except AudioError:
        return ""
    return data_uri(*sound_bytes(samples, RATE))


def _links(clips: Clips, folder: Path) -> list[str]:
    place = folder.resolve()
    known = {}
    for file in set(clips.file.tolist()):
        path = os.path.normpath(clips.root / file)
        known[file] = quote(Path(os.path.relpath(path, place)).as_posix(), errors="surrogateescape")
    return [known[file] for file in clips.file.tolist()]


def _points(
    index: EmbeddingIndex,
    rows: NDArray[np.int64],
    places: NDArray[np.float64],
    kind: str,
    sources: list[str],
) -> dict[str, Any]:
    """What the page's program reads: places within 0 to 1, times in seconds, names and sounds."""
    clips, shown = index.clips[rows], shown_names(index.clips.file.tolist())
    names = [shown[file] for file in clips.file.tolist()]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    meanings = _meanings(index, rows)
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
        "kind": kind,
        "sources": sources,
    }


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _page(
    index: EmbeddingIndex,
    options: MapOptions,
    points: dict[str, Any],
    clusters: Clusters | None,
    found: Agreement | None,
    too_large: str,
) -> Report:
    n, n_files = len(points["x"]), len(set(index.clips.file.tolist()))
    report = Report(
        "map.j2",
        f"Map of {index.folder.name or 'recordings'}",
        f"{n} of {len(index)} rows, {n_files} recordings",
        points=points,
        clusters=clusters,
        agreement=found,
        is_tsne=options.projection == TSNE,
        made={
            "model": index.about["model"]["network"],
            "numbers in a vector": index.dim,
            "projection": options.projection,
            "seed": options.seed,
        },
    )
    here = files(__package__)
    report.styles.append((here / "map.css").read_text(encoding="utf-8"))
    report.scripts.append((here / "map.js").read_text(encoding="utf-8"))
    report.data = {"map": {**points, "sources": None}}
    if n < len(index):
        report.warnings.append(
            f"{n} of {len(index)} rows are drawn, chosen at random; the option most says how many."
        )
    if too_large:
        report.media += ["'self' file:"]
        report.warnings.append(f"{too_large}. Keep them where they are.")
    if clusters is not None:
        _add_clusters(report, index, clusters, found)
    return report


def _add_clusters(
    report: Report, index: EmbeddingIndex, clusters: Clusters, found: Agreement | None
) -> None:
    knows = bool(index.about["model"]["classes"])
    rows: list[list[object]] = []
    for cluster in range(clusters.count):
        inside = clusters.number == cluster
        best = Counter(filter(None, index.predicted[inside].tolist())).most_common(1)
        row: list[object] = [f"cluster {cluster}", int(inside.sum())]
        row.append(len(set(index.clips.group[inside].tolist())))
        row += [best[0][0] if best else ""] if knows else []
        rows.append([*row, *(found.common[cluster] if found else ())])
    headers = ["cluster", "rows", "recordings"]
    headers += ["mostly predicted"] if knows else []
    headers += ["commonest label", "purity"] if found else []
    report.table("clusters", headers, rows, formats={"purity": percent_text})
    report.players("centres", _centres(index, clusters))
    n_outliers = int((clusters.number < 0).sum())
    report.values |= {"n_outliers": n_outliers, "crowded": clusters.crowded()}


def _centres(index: EmbeddingIndex, clusters: Clusters) -> Iterator[Player | None]:
    """The sounds nearest to each centre."""
    clips = index.clips
    names = shown_names(clips.file.tolist())
    found = nearest_to_centres(index.vectors, clusters.number, clips.group, PLAYED)
    places = [(c, row) for c, rows in enumerate(found) for row in rows]
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
