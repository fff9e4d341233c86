"""The page of ``map``: the points, the clusters, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import AudioError
from semisonic.base.wording import percent
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Page
from semisonic.labeling.clusters import Agreement, Clusters, nearest_to_centres
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.map_block import SoundMap
from semisonic.labeling.map_options import TSNE, MapOptions
from semisonic.labeling.map_points import Meaning
from semisonic.labeling.map_sounds import LINK, Sounds
from semisonic.labeling.naming import shown_names
from semisonic.labeling.search_page import sound_at

MOST_PLAYED = 60
"""Sounds of clusters on the page, at most."""
_LONGEST = 5.0


@dataclass(frozen=True)
class Drawn:
    """What is on the map."""

    index: EmbeddingIndex
    rows: NDArray[np.int64]
    places: NDArray[np.float64]
    meanings: dict[str, Meaning]
    colour: str
    sounds: Sounds
    clusters: Clusters | None
    agreement: Agreement | None


def write_map_page(folder: Path, drawn: Drawn, options: MapOptions) -> Path:
    """Write ``report.html`` into a run folder."""
    index, clips = drawn.index, drawn.index.clips
    names = shown_names(clips.file.tolist())
    n_files = len(set(clips.file.tolist()))
    page = Page(
        f"Map of {index.folder.name or 'recordings'}",
        f"{len(drawn.rows)} of {len(index)} rows, {n_files} recordings",
    )
    if len(drawn.rows) < len(index):
        page.warning(
            f"{len(drawn.rows)} of {len(index)} rows are drawn, chosen at random; the option most "
            "says how many."
        )
    if drawn.sounds.reason:
        page.warning(f"{drawn.sounds.reason}. Keep them where they are.")
    page.section("Map")
    page.block(
        SoundMap(
            drawn.places,
            [names[file] for file in clips.file[drawn.rows].tolist()],
            np.stack([clips.start_time[drawn.rows], clips.end_time[drawn.rows]], axis=1),
            drawn.meanings, drawn.colour, drawn.sounds,
        )
    )  # fmt: skip
    if drawn.clusters is not None:
        _clusters(page, drawn, drawn.clusters, options, names)
    page.section("How it was made")
    page.notes(_notes(drawn, options))
    page.facts(
        {
            "model": index.about["model"]["network"],
            "numbers in a vector": index.dim,
            "projection": options.projection,
            "seed": options.seed,
        }
    )
    return page.write(folder)


def _clusters(
    page: Page, drawn: Drawn, clusters: Clusters, options: MapOptions, names: dict[str, str]
) -> None:
    page.section("Clusters")
    outliers = int((clusters.number < 0).sum())
    text = f"{len(clusters.number)} rows, {clusters.count} clusters by {clusters.method}."
    if outliers:
        text += f" {outliers} rows ({percent(outliers / len(clusters.number))}) are outliers."
    if clusters.n_sampled < len(clusters.number):
        text += (
            f" {clusters.n_sampled} rows, drawn at random, were clustered; every other row "
            "joined the nearest of them."
        )
    page.text(text)
    if crowded := clusters.crowded():
        page.warning(crowded)
    told = drawn.agreement
    if told is not None:
        page.text(
            f"Compared with the labels of {told.n} rows: purity {percent(told.purity)} (share of "
            "the rows in clusters that carry the commonest label of theirs; it grows with the "
            f"number of clusters), adjusted mutual information {told.mutual:.2f} (0 is chance, "
            "1 is the labels)."
        )
    sizes = np.bincount(clusters.number[clusters.number >= 0], minlength=clusters.count)
    predicted = drawn.index.predicted
    knows = bool(drawn.index.about["model"]["classes"])
    rows: list[list[object]] = []
    for cluster, size in enumerate(sizes.tolist()):
        inside = clusters.number == cluster
        files = len(set(drawn.index.clips.group[inside].tolist()))
        best = Counter(filter(None, predicted[inside].tolist())).most_common(1)
        row: list[object] = [f"cluster {cluster}", size, files]
        row += [best[0][0] if best else ""] if knows else []
        row += told.common[cluster] if told else ()
        rows.append(row)
    headers = ["cluster", "rows", "recordings"]
    headers += ["mostly predicted"] if knows else []
    headers += ["commonest label", "purity"] if told else []
    page.table(headers, rows, name="clusters", formats={"purity": percent}, folded=len(rows) > 30)
    if options.nearest:
        page.heading("Nearest to each centre")
        page.players(_centres(drawn, clusters, options.nearest, names))


def _centres(drawn: Drawn, clusters: Clusters, k: int, names: dict[str, str]) -> Iterator[Player]:
    index, clips = drawn.index, drawn.index.clips
    found = nearest_to_centres(index.vectors, clusters.number, clips.group, k)
    places = [(c, row) for c, rows in enumerate(found) for row in rows]
    for cluster, row in places[:MOST_PLAYED]:
        start, end = float(clips.start_time[row]), float(clips.end_time[row])
        file = str(clips.file[row])
        try:
            samples, rate = sound_at(clips.root / file, start, end, _LONGEST)
        except AudioError:
            continue
        said = ";".join(clips.labels[row]) or str(index.predicted[row])
        yield Player(samples, rate, f"cluster {cluster}", said, f"{names[file]}, {start:.2f} s")


def _notes(drawn: Drawn, options: MapOptions) -> list[str]:
    notes = [
        "A point is a row of the index: a window, or a clip. Vectors are taken to length 1, so "
        "near means a high cosine similarity."
    ]
    if options.projection == TSNE:
        notes.append(
            "t-SNE (van der Maaten and Hinton, 2008) keeps neighbours together. The distance "
            "between groups that are far from each other, and their size, mean nothing."
        )
    else:
        notes.append("The two directions in which the vectors vary most (principal components).")
    if drawn.sounds.kind == LINK:
        notes.append(
            "The page plays the recordings where they lie; a browser cannot play every format."
        )
    return notes
