"""The common parts of the run folders of the long verbs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from semisonic.classifier.prepare import Failures, Prepared, prepare
from semisonic.classifier.provenance import data_hash, recording_hashes
from semisonic.core.files import json_ready, replacing, write_csv
from semisonic.core.options import GIVEN, given_names, to_dict
from semisonic.core.parallel import LOCAL_ENGINE, Engine
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.recordings import KnownRecordings, known_recordings
from semisonic.evaluation.plots.results import training_curves
from semisonic.evaluation.report.document import figure_png
from semisonic.features.options import MelOptions
from semisonic.training.run_folder import CACHE, REMARKS, RunFolder, commit, versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def open_run(command: str, options: Any, *, free: Collection[str] = ()) -> RunFolder:
    """The run folder that the options name, to be used as a context manager.

    ``free`` are more options that may differ when the run continues.
    """
    asked = to_dict(options)
    left = getattr(options, "left_to_auto", ())
    if left:
        asked[GIVEN] = sorted(given_names(options, left))
    seed = getattr(options, "seed", 0)
    return RunFolder(options.output, command, asked, seed=seed, free=free)


def cache_of(options: Any) -> Path:
    """The folder of decoded clips: beside the other results, unless the user gives another."""
    return options.output / CACHE if options.cache is None else Path(options.cache)


def prepare_in(
    run: RunFolder,
    clips: Clips,
    mel: MelOptions,
    options: Any,
    engine: Engine = LOCAL_ENGINE,
    in_batch: torch.device | None = None,
) -> Prepared:
    """The features of some clips, kept in the run, with a list of their faults.

    ``engine``, ``in_batch``: see :func:`semisonic.classifier.prepare.prepare`.
    """
    cache = cache_of(options)
    prepared = prepare(clips, mel, cache, workers=options.workers, engine=engine, in_batch=in_batch)
    run.add_bad_files(prepared.failures)
    write_remarks(run, prepared.remarks)
    return prepared


def write_remarks(run: RunFolder, remarks: Failures) -> None:
    """List clips that are used although they are silent, clipped or the like."""
    if remarks:
        write_csv(run.path(REMARKS), ["clip", "remark"], remarks)


def unreadable(failures: Failures, remarks: Failures = ()) -> list[str]:
    """The lines of a summary about clips that are bad or odd, if there are any."""
    lines = []
    if failures:
        kinds = [_NUMBER.sub("…", reason) for _, reason in failures]
        ((kind, n),) = Counter(kinds).most_common(1)
        name, example = failures[kinds.index(kind)]
        lines.append(
            f"{count_text(len(failures), 'clip')} could not be read, {n} of them like {name} "
            f"({example}): see bad_files.csv"
        )
    if remarks:
        kinds = [text.partition(":")[0] for _, text in remarks]
        counted = ", ".join(f"{kind} {n}" for kind, n in Counter(kinds).most_common())
        odd = len({clip for clip, _ in remarks})
        # Of a long recording each window is judged for itself.
        what = "1 clip or window has a fault" if odd == 1 else f"{odd} clips or windows have faults"
        lines.append(f"{what} ({counted}): see {REMARKS}")
    return lines


def recordings_in(
    run: RunFolder, clips: Clips, options: Any, *, near: bool = True, cache: Path | None = None
) -> KnownRecordings:
    """The clips as a run splits and counts them: see :func:`known_recordings`."""
    return known_recordings(
        clips,
        options.group,
        near=near,
        workers=options.workers,
        cache=cache_of(options) if cache is None else cache,
    )


def record_data(
    run: RunFolder,
    clips: Clips,
    workers: int | None,
    role: str = "",
    cache: Path | None = None,
) -> dict[str, str]:
    """Write the hash of a data set into the run; return the hash of each recording.

    A ``role`` distinguishes a pool from a labelled set of the same name; ``cache`` keeps hashes.
    """
    hashes = recording_hashes(clips, workers=workers, cache=cache)
    run.add_data(f"{role}: {clips.name}" if role else clips.name, data_hash(hashes.values()))
    return hashes


def about(command: str, options: Any, **more: Any) -> dict[str, Any]:
    """The provenance for a model file."""
    return {**stamp(command, options), "seed": options.seed, **json_ready(more)}


def stamp(command: str, options: Any = None) -> dict[str, Any]:
    """When, by what and how a file was made; without options if there were none."""
    return {
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "commit": commit(),
        "options": {} if options is None else json_ready(to_dict(options)),
    }


_MEASURES = ("accuracy", "lwlrap", "loss")


def write_curves(folder: Path, history: Sequence[Mapping[str, float]], title: str) -> None:
    """Write :func:`curves_figure` as ``curves.png`` in the folder, if there is one."""
    figure = curves_figure(history, title)
    if figure is not None:
        write_figure(folder / "curves.png", figure)


def step_of(history: Sequence[Mapping[str, float]]) -> str:
    """What a row of a history is: an epoch, or a round of a linear layer, which has no rate."""
    return "epoch" if not history or "lr" in history[0] else "round"


def curves_figure(history: Sequence[Mapping[str, float]], title: str) -> Figure | None:
    """Draw accuracy or, if there is none, loss over epochs or rounds; None if there is neither.

    The first of accuracy, lwlrap and loss in the history is drawn, for training and validation if
    both have it.
    """
    for measure in _MEASURES:
        names = {"training": measure, "validation": f"val_{measure}"}
        curves = {
            name: [[row[column] for row in history]]
            for name, column in names.items()
            if history and all(math.isfinite(row.get(column, math.nan)) for row in history)
        }
        if curves:
            is_share = measure != "loss"
            step = step_of(history)
            return training_curves(
                curves, measure=measure, is_share=is_share, title=title, step=step
            )
    return None


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG."""
    with replacing(path) as part:
        part.write_bytes(figure_png(figure).png)
