"""The options of ``map``. No torch, no scikit-learn here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option

PROJECTIONS = TSNE, PCA = ("tsne", "pca")
COLOURS = ("auto", "label", "predicted", "cluster", "group", "file")
SOUNDS = ("auto", "inside", "link", "none")
NO_CLUSTERS = ""


@dataclass(frozen=True)
class MapOptions:
    """Draw recordings as points to listen to, those that sound alike near each other."""

    index: Path = option(dataclasses.MISSING, "folder that 'embed' wrote")
    output: Path | None = option(
        None, "run folder; if not given 'map' in the index, or 'map-2' and so on for other options"
    )
    projection: str = option(
        TSNE, "tsne keeps neighbours together; pca is linear and quick", choices=PROJECTIONS
    )
    most: int = option(
        3000, "points on the map; of more rows so many are drawn at random", minimum=5,
        maximum=20_000,
    )  # fmt: skip
    clusters: str = option(
        NO_CLUSTERS, "groups of rows that sound alike, written into the index: a number "
        "(k-means), or auto (HDBSCAN, which leaves outliers without a cluster)",
    )  # fmt: skip
    colour: str = option("auto", "what colours mean when the page is opened", choices=COLOURS)
    sounds: str = option(
        "auto", "inside: in the page; link: the page plays the recordings where they lie; auto: "
        "inside as long as megabytes allows", choices=SOUNDS,
    )  # fmt: skip
    megabytes: float = option(
        20.0, "most that sounds in the page may take", unit="MB", minimum=0.0, maximum=500
    )
    snippet: float = option(3.0, "length of a sound in the page", unit="s", minimum=0.1, maximum=10)
    nearest: int = option(3, "clips nearest to the centre of each cluster to listen to", minimum=0)
    seed: int = option(0, "seed of everything random", minimum=0)
