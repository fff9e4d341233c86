"""``map``: recordings as points on a page that play when they are touched."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import read_start
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import read_json
from semisonic.core.options import check, to_dict
from semisonic.core.progress import track
from semisonic.core.seeds import generator
from semisonic.core.text import count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.evaluation.embeddings import pca_2d, tsne_2d
from semisonic.evaluation.report.document import Player, Report, clip_player
from semisonic.evaluation.report.media import data_uri, sound_bytes
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
from semisonic.training.run_folder import RECORD, RunFolder

# Points of the map: which rows are drawn, where, and what their colours can mean.


MOST_NAMES = 24
OTHERS = "all others"
FEWEST = 3
_DIRECTIONS = 50


@dataclass(frozen=True)
class ColourMeaning:
    """What colours can mean.

    Attributes
    ----------
    title : str
    names : tuple of str
        At most ``MOST_NAMES``, the commonest first; the last may be "all others".
    of : ndarray of int64, shape (n,)
        The name's number for each point; -1 where there is none.
    """

    title: str
    names: tuple[str, ...]
    of: NDArray[np.int64]


def draw_rows(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Which rows are drawn: all, or so many at random, in order.

    Parameters
    ----------
    n, most : int
        Rows that there are, and rows that are drawn at most.
    seed : int

    Examples
    --------
    >>> draw_rows(3, 10, 0).tolist()
    [0, 1, 2]
    """
    if n <= most:
        return np.arange(n)
    return np.sort(generator(seed, "map").choice(n, most, replace=False))


def project(vectors: NDArray[np.float32], how: str, seed: int) -> NDArray[np.float64]:
    """Places within 0 to 1, shape (n, 2), of vectors (n, dim) taken to length 1.

    Each axis fills the frame: neither has a unit, and a page may be wide or tall.

    Before t-SNE the vectors are turned to their 50 principal directions, as usual.

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


def meanings(index: EmbeddingIndex, rows: NDArray[np.int64]) -> dict[str, ColourMeaning]:
    """What the colours of some rows can mean, by the names of ``--colour``.

    Parameters
    ----------
    index : EmbeddingIndex
    rows : ndarray of int64, shape (n,)
    """
    clips = index.clips
    files = shown_names(clips.file.tolist())
    found = {
        "label": ("label", [";".join(clips.labels[row]) for row in rows]),
        "predicted": ("predicted class", index.predicted[rows].tolist()),
        "cluster": ("cluster", [_cluster(int(c)) for c in index.cluster[rows]]),
        "group": ("recording or site", _groups(clips.group[rows].tolist(), files)),
        "file": ("file", [files[file] for file in clips.file[rows].tolist()]),
    }
    return {
        name: _meaning(title, values)
        for name, (title, values) in found.items()
        if len(set(values) - {""}) > (0 if name in ("label", "predicted") else 1)
    }


def _meaning(title: str, values: list[str]) -> ColourMeaning:
    counts = Counter(value for value in values if value)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    names = order if len(order) <= MOST_NAMES else [*order[: MOST_NAMES - 1], OTHERS]
    number = {name: min(i, MOST_NAMES - 1) for i, name in enumerate(order)}
    of = np.array([number.get(value, -1) for value in values], np.int64)
    return ColourMeaning(title, tuple(names), of)


def _cluster(number: int) -> str:
    return "" if number < 0 else f"cluster {number}"


def _groups(groups: list[str], files: dict[str, str]) -> list[str]:
    """Groups, unless every file is its own."""
    return [] if all(group in files for group in groups) else groups


# Sounds of the map: short ones inside the page, or links to the recordings.


INSIDE, LINK, NONE = "inside", "link", "none"
RATE = 16000
"""Of sounds in the page, Hz."""


@dataclass(frozen=True)
class MapSounds:
    """How the points of a map sound.

    Attributes
    ----------
    kind : str
        "inside", "link" or "none".
    sources : tuple of str
        An address for each point; empty where its recording cannot be read.
    megabytes : float
        In the page.
    reason : str
        Why links were taken where the choice was free.
    """

    kind: str
    sources: tuple[str, ...] = ()
    megabytes: float = 0.0
    reason: str = ""


def sounds_of(
    clips: Clips, folder: Path, how: str, *, snippet: float, megabytes: float
) -> MapSounds:
    """The sounds of some clips.

    Parameters
    ----------
    clips : Clips
    folder : Path
        Where the page will lie; links are relative to it.
    how : {"auto", "inside", "link", "none"}
    snippet : float
        Seconds of a sound inside the page, from the middle of its clip.
    megabytes : float
        What they may take.

    Raises
    ------
    OptionError
        When they must be inside and take more.
    """
    if how == NONE or not len(clips):
        return MapSounds(NONE)
    if how == LINK:
        return MapSounds(LINK, _links(clips, folder))
    sources: list[str] = []
    size = 0
    for row in track(range(len(clips)), "sounds", "clip"):
        sources.append(_snippet(clips, row, snippet))
        size += len(sources[-1])
        # Told early: the sounds so far are as large as the others will be.
        guess = size / len(sources) * len(clips) if len(sources) >= 20 else size
        if max(size, guess) > megabytes * 1e6:
            need = f"{len(clips)} sounds of {snippet:g} s need about {guess / 1e6:.0f} MB"
            if how == INSIDE:
                raise OptionError(
                    f"option 'sounds': {need}, more than the {megabytes:g} MB of the option "
                    "'megabytes'; allow more, shorten 'snippet', draw fewer points with 'most', "
                    "or link"
                )
            reason = f"{need}, more than {megabytes:g} MB: the page plays the recordings themselves"
            return MapSounds(LINK, _links(clips, folder), reason=reason)
    return MapSounds(INSIDE, tuple(sources), size / 1e6)


def _snippet(clips: Clips, row: int, length: float) -> str:
    start, end = float(clips.start_time[row]), float(clips.end_time[row])
    spare = 0.0 if np.isnan(end) else max(0.0, (end - start - length) / 2)
    try:
        samples = read_start(
            clips.root / str(clips.file[row]),
            duration=length,
            sample_rate=RATE,
            start_time=start + spare,
        )
    except AudioError:
        return ""
    if not np.isnan(end):
        samples = samples[: max(1, round((end - start - spare) * RATE))]
    return data_uri(*sound_bytes(samples, RATE))


def _links(clips: Clips, folder: Path) -> tuple[str, ...]:
    files: Sequence[str] = clips.file.tolist()
    place = folder.resolve()
    known = {}
    for file in dict.fromkeys(files):
        path = os.path.normpath(clips.root / file)
        known[file] = quote(Path(os.path.relpath(path, place)).as_posix(), errors="surrogateescape")
    return tuple(known[file] for file in files)


# The page of ``map``: the points, the clusters, and how it was made.


MOST_PLAYED = 60
"""Sounds of clusters on the page, at most."""
_LONGEST = 5.0


@dataclass(frozen=True)
class MapResult:
    """What ``map`` drew.

    Attributes
    ----------
    index : EmbeddingIndex
        With the clusters, if any were asked for.
    rows : ndarray of int64, shape (n,)
        Rows of the index that are drawn.
    places : ndarray of float64, shape (n, 2)
        Within 0 to 1.
    meanings : dict of str to ColourMeaning
    colour : str
        The meaning at the beginning; empty if there is none.
    sounds : MapSounds
    clusters : Clusters or None
    agreement : Agreement or None
        Of the clusters with the labels, where there are labels.
    report : Path
    """

    index: EmbeddingIndex
    rows: NDArray[np.int64]
    places: NDArray[np.float64]
    meanings: dict[str, ColourMeaning]
    colour: str
    sounds: MapSounds
    clusters: Clusters | None
    agreement: Agreement | None
    report: Path

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Points without a sound, where sounds are in the page."""
        n = sum(not source for source in self.sounds.sources)
        return ((count_text(n, "point"), "the recording cannot be read any more"),) if n else ()

    def summary(self) -> str:
        """For a terminal."""
        lines = [f"{len(self.rows)} of {len(self.index)} rows drawn"]
        if self.sounds.kind == LINK:
            reason = f" ({self.sounds.reason})" if self.sounds.reason else ""
            lines[0] += f"; the page plays the recordings where they lie{reason}"
        elif self.sounds.megabytes:
            lines[0] += f"; {self.sounds.megabytes:.1f} MB of sound in the page"
        if self.clusters is not None:
            outliers = float(np.mean(self.clusters.number < 0))
            text = f"{count_text(self.clusters.count, 'cluster')} ({self.clusters.method})"
            lines.append(f"{text}, {percent_text(outliers)} outliers" if outliers else text)
            if crowded := self.clusters.crowded():
                lines.append(f"note: {crowded}")
        if self.agreement is not None:
            lines.append(
                f"against {count_text(self.agreement.n, 'label')}: purity "
                f"{percent_text(self.agreement.purity)}, adjusted "
                f"mutual information {self.agreement.mutual:.2f}"
            )
        lines.append(f"report: {self.report}")
        return "\n".join(lines)


def write_map_page(drawn: MapResult, options: MapOptions) -> Path:
    """Write ``report.html`` into the run folder."""
    index, clips = drawn.index, drawn.index.clips
    names = shown_names(clips.file.tolist())
    n_files = len(set(clips.file.tolist()))
    points = _points(drawn, [names[file] for file in clips.file[drawn.rows].tolist()])
    report = Report(
        "map.j2",
        f"Map of {index.folder.name or 'recordings'}",
        f"{len(drawn.rows)} of {len(index)} rows, {n_files} recordings",
        points=points,
        meanings=drawn.meanings,
        colour=drawn.colour,
        clusters=drawn.clusters,
        agreement=drawn.agreement,
        is_tsne=options.projection == TSNE,
        is_linked=drawn.sounds.kind == LINK,
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
    report.media += ["'self' file:"] if drawn.sounds.kind == LINK else []
    report.data = {"map": {**points, "sources": None}}
    if len(drawn.rows) < len(index):
        report.warnings.append(
            f"{len(drawn.rows)} of {len(index)} rows are drawn, chosen at random; the option most "
            "says how many."
        )
    if drawn.sounds.reason:
        report.warnings.append(f"{drawn.sounds.reason}. Keep them where they are.")
    if drawn.clusters is not None:
        _add_clusters(report, drawn, drawn.clusters)
        report.players("centres", _centres(drawn, drawn.clusters, options.nearest, names))
    return report.write(drawn.report.parent)


def _points(drawn: MapResult, names: Sequence[str]) -> dict[str, Any]:
    """What the page's program reads: places within 0 to 1, times in seconds, names and sounds."""
    clips = drawn.index.clips
    recordings = list(dict.fromkeys(names))
    number = {name: i for i, name in enumerate(recordings)}
    return {
        "x": np.round(drawn.places[:, 0], 4).tolist(),
        "y": np.round(drawn.places[:, 1], 4).tolist(),
        "recordings": [_printable(name) for name in recordings],
        "recording": [number[name] for name in names],
        "start": np.round(clips.start_time[drawn.rows], 3).tolist(),
        "end": np.round(clips.end_time[drawn.rows], 3).tolist(),
        "meanings": {
            name: {
                "title": meaning.title,
                "names": [_printable(value) for value in meaning.names],
                "of": meaning.of.tolist(),
            }
            for name, meaning in drawn.meanings.items()
        },
        "others": OTHERS,
        "colour": drawn.colour,
        "kind": drawn.sounds.kind,
        "sources": list(drawn.sounds.sources),
    }


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _add_clusters(report: Report, drawn: MapResult, clusters: Clusters) -> None:
    told = drawn.agreement
    sizes = np.bincount(clusters.number[clusters.number >= 0], minlength=clusters.count)
    predicted = drawn.index.predicted
    knows = bool(drawn.index.about["model"]["classes"])
    rows: list[list[object]] = []
    for cluster, size in enumerate(sizes.tolist()):
        inside = clusters.number == cluster
        n_files = len(set(drawn.index.clips.group[inside].tolist()))
        best = Counter(filter(None, predicted[inside].tolist())).most_common(1)
        row: list[object] = [f"cluster {cluster}", size, n_files]
        row += [best[0][0] if best else ""] if knows else []
        row += told.common[cluster] if told else ()
        rows.append(row)
    headers = ["cluster", "rows", "recordings"]
    headers += ["mostly predicted"] if knows else []
    headers += ["commonest label", "purity"] if told else []
    report.table("clusters", headers, rows, formats={"purity": percent_text})
    report.values |= {
        "n_outliers": int((clusters.number < 0).sum()),
        "crowded": clusters.crowded(),
    }


def _centres(
    drawn: MapResult, clusters: Clusters, k: int, names: dict[str, str]
) -> Iterator[Player | None]:
    """The sounds nearest to each centre; none for ``k`` of 0."""
    if not k:
        return
    index, clips = drawn.index, drawn.index.clips
    found = nearest_to_centres(index.vectors, clusters.number, clips.group, k)
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
            longest=_LONGEST,
        )


# ``map``: recordings as points to listen to, and their clusters.


FOLDER = "map"


def run_map(options: MapOptions) -> MapResult:
    """Project, cluster if asked, and write the page.

    Raises
    ------
    DataError
        When there is no index, or too few rows.
    OptionError
        When an option is wrong, or the run folder belongs to another map.
    """
    check(options)
    index = EmbeddingIndex.open(options.index)
    options = options if options.output else _with_folder(options)
    with RunFolder(str(options.output), "map", options, seeds=options.seed) as run:
        run.note(rows_of_index=len(index), made=index.about["created"])
        clusters = found = None
        if options.clusters:
            clusters = find_clusters(index.vectors, options.clusters, seed=options.seed)
            index.set_clusters(clusters.number)
            found = agreement(clusters.number, index.clips)
            run.note(n_clusters=clusters.count)
        rows = draw_rows(len(index), options.most, options.seed)
        places = project(np.asarray(index.vectors[rows]), options.projection, options.seed)
        means = meanings(index, rows)
        colour = _colour(options.colour, means)
        sounds = sounds_of(
            index.clips[rows],
            run.folder,
            options.sounds,
            snippet=options.snippet,
            megabytes=options.megabytes,
        )
        report = run.path("report.html")
        drawn = MapResult(index, rows, places, means, colour, sounds, clusters, found, report)
        write_map_page(drawn, options)
    return drawn


def _with_folder(options: MapOptions) -> MapOptions:
    """The options with a folder in the index: a new one, or that of the same map."""
    names = (FOLDER if number == 1 else f"{FOLDER}-{number}" for number in count(1))
    each = (replace(options, output=options.index / name) for name in names)
    return next(one for one in each if not Path(str(one.output)).exists() or _belongs(one))


def _belongs(options: MapOptions) -> bool:
    try:
        found = read_json(Path(str(options.output)) / RECORD)["options"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(found == json.loads(json.dumps(to_dict(options), default=str)))


def _colour(asked: str, means: dict[str, ColourMeaning]) -> str:
    """The colours at the beginning; what is known for certain first."""
    if asked == "auto":
        return next(iter(means), "")
    if asked not in means:
        known = ", ".join(means) or "none"
        raise OptionError(
            f"option 'colour': '{asked}' has nothing to tell on this map; what has: {known}"
        )
    return asked
