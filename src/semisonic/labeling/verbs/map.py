"""``map``: recordings as points to listen to, and their clusters."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from semisonic.base.errors import OptionError
from semisonic.base.files import read_json
from semisonic.base.options import check, to_dict
from semisonic.base.wording import counted, percent
from semisonic.labeling.clusters import Agreement, Clusters, agreement, find_clusters
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.map_options import MapOptions
from semisonic.labeling.map_page import Drawn, write_map_page
from semisonic.labeling.map_points import Meaning, draw_rows, meanings, project
from semisonic.labeling.map_sounds import LINK, Sounds, sounds_of
from semisonic.training import RunFolder
from semisonic.training.record import RECORD

FOLDER = "map"


@dataclass(frozen=True)
class MapResult:
    """What ``map`` drew.

    Attributes
    ----------
    index : EmbeddingIndex
        With the clusters, if any were asked for.
    n_drawn : int
    sounds : Sounds
    clusters : Clusters or None
    agreement : Agreement or None
        Of the clusters with the labels, where there are labels.
    report : Path
    """

    index: EmbeddingIndex
    n_drawn: int
    sounds: Sounds
    clusters: Clusters | None
    agreement: Agreement | None
    report: Path

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Points without a sound, where sounds are in the page."""
        n = sum(not source for source in self.sounds.sources)
        return ((counted(n, "point"), "the recording cannot be read any more"),) if n else ()

    def summary(self) -> str:
        """For a terminal."""
        lines = [f"{self.n_drawn} of {len(self.index)} rows drawn"]
        if self.sounds.kind == LINK:
            reason = f" ({self.sounds.reason})" if self.sounds.reason else ""
            lines[0] += f"; the page plays the recordings where they lie{reason}"
        elif self.sounds.megabytes:
            lines[0] += f"; {self.sounds.megabytes:.1f} MB of sound in the page"
        if self.clusters is not None:
            outliers = float(np.mean(self.clusters.number < 0))
            text = f"{counted(self.clusters.count, 'cluster')} ({self.clusters.method})"
            lines.append(f"{text}, {percent(outliers)} outliers" if outliers else text)
            if crowded := self.clusters.crowded():
                lines.append(f"note: {crowded}")
        if self.agreement is not None:
            lines.append(
                f"against {counted(self.agreement.n, 'label')}: purity "
                f"{percent(self.agreement.purity)}, adjusted "
                f"mutual information {self.agreement.mutual:.2f}"
            )
        lines.append(f"report: {self.report}")
        return "\n".join(lines)


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
            index.clips[rows], run.folder, options.sounds, snippet=options.snippet,
            megabytes=options.megabytes,
        )  # fmt: skip
        drawn = Drawn(index, rows, places, means, colour, sounds, clusters, found)
        report = write_map_page(run.folder, drawn, options)
    return MapResult(index, len(rows), sounds, clusters, found, report)


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


def _colour(asked: str, means: dict[str, Meaning]) -> str:
    """The colours at the beginning; what is known for certain first."""
    if asked == "auto":
        return next(iter(means), "")
    if asked not in means:
        known = ", ".join(means) or "none"
        raise OptionError(
            f"option 'colour': '{asked}' has nothing to tell on this map; what has: {known}"
        )
    return asked
