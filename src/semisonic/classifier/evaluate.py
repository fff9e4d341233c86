"""``evaluate``: how good a model is on clips that it has not seen."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.evaluation_page import CELLS, rows_of, write_page
from semisonic.classifier.measuring import Measurement, ScoredPart, by_part, measure
from semisonic.classifier.model_file import MODEL, find_file, open_model
from semisonic.classifier.options import EvaluateOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.provenance import WITH_LABELS, Overlap, overlaps
from semisonic.classifier.run_files import open_run, record_data, recordings_in, unreadable
from semisonic.classifier.scoring import score_clips
from semisonic.classifier.selection import as_classes_of, in_fold, load_data
from semisonic.classifier.starting_encoder import PublishedOrigin
from semisonic.core.errors import DataError
from semisonic.core.files import content_hash, json_ready, write_csv, write_json
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.text import Result, count_text, percent_text, text_table
from semisonic.data.clips import Clips, verified_labels
from semisonic.data.datasets.load import require_labels
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.model_file import published_in, read_about
from semisonic.models.sound_model import SoundModel

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)
PARTS_SHOWN = 3
"""The worst parts that are named on the terminal; the page has them all."""


@dataclass(frozen=True)
class EvaluateResult(Result):
    """What ``evaluate`` found.

    Attributes
    ----------
    measurement : Measurement
        Scores, metrics with intervals, confusion.
    overlaps : tuple of Overlap
        What the clips share with the recordings the model was made from.
    unknown : tuple of str
        Labels left out because the model does not know them.
    failures : tuple of (str, str)
    report : Path
        The HTML page.
    origin : Origin or None
        Published weights that the model starts from.
    parts : mapping of str to sequence of Part
        How good it is on each part, by each way of parting that was asked for.
    notes : tuple of str
        What is known of the recordings that the clips were cut from.
    numbers : mapping of str to Any
        What stands in metrics.json.
    """

    measurement: Measurement
    overlaps: tuple[Overlap, ...]
    unknown: tuple[str, ...]
    failures: Failures
    report: Path
    origin: PublishedOrigin | None = None
    parts: Mapping[str, Sequence[ScoredPart]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """As :func:`semisonic.evaluation.metrics.summary` gives them."""
        return self.measurement.metrics

    def to_frame(self) -> pd.DataFrame:
        """A row per clip: labels, recording, best class, and the score of each class."""
        return self.measurement.to_frame()

    def summary(self) -> str:
        """For a terminal."""
        m = self.measurement
        rows = [
            [
                name.replace("_", " "),
                percent_text(m.metrics[name]),
                f"{percent_text(low)} to {percent_text(high)}",
            ]
            for name, (low, high) in m.intervals.items()
        ]
        lines = [
            f"{count_text(len(m.clips), 'clip')} of "
            f"{count_text(len(set(m.clips.group.tolist())), 'recording')}, "
            f"{len(m.clips.classes)} classes",
            text_table(["measure", "value", f"{100 * m.level:g} % interval"], rows, ruled=True),
        ]
        if also := m.others:
            said = ", ".join(
                f"{name.replace('_', ' ')} {percent_text(v)}" for name, v in also.items()
            )
            lines.append(f"also: {said}")
        pairs = m.confused_pairs(3)
        if pairs:
            lines.append("most confused: " + "; ".join(f"{a} as {b} ({n})" for a, b, n in pairs))
        for by, found in self.parts.items():
            worst = sorted(found, key=lambda part: part.value)[:PARTS_SHOWN]
            said = "; ".join(
                f"{p.name} {percent_text(p.value)} of {p.n_clips} clips" for p in worst
            )
            lines.append(f"worst by {by}: {said}")
        lines += self.remarks()
        lines += unreadable(self.failures)
        lines.append(f"report: {self.report}")
        return "\n".join(lines)

    def remarks(self) -> list[str]:
        """What a reader of the numbers has to know of the model and the clips."""
        lines = [] if self.origin is None else [f"note: the model {self.origin.text()}"]
        lines += [f"warning: {overlap.text()}" for overlap in self.overlaps]
        if self.unknown:
            lines.append(f"left out, not known to the model: {', '.join(self.unknown)}")
        return [*lines, *self.notes]


REPORTED = ("by", "level", "bootstrap", "mistakes", "json")
"""Options that shape the report alone: with others the report of the same run is made anew."""


def evaluate(options: EvaluateOptions) -> EvaluateResult:
    """Score every labelled clip once and write the report.

    Raises
    ------
    DataError
        When clips took part in the making of the model (unless ``allow_seen``), carry labels
        it does not know (unless ``allow_unknown``), cannot be read, or all carry labels that
        nobody checked.
    ModelError
        When the model file is missing or damaged.
    """
    check(options)
    file = find_file(options.model, MODEL)
    model, made = open_model(file), read_about(file)["about"]
    clips = load_data(options.data, options.labels, options.group, "evaluate", options.table)
    require_labels(clips, "an evaluation")
    if options.fold:
        clips = clips[in_fold(clips, options.fold)]
    n_all = len(clips)
    clips = verified_labels(clips, "an evaluation")
    if len(clips) < n_all:
        _log.warning("%d clips left out: nobody checked their labels", n_all - len(clips))
    clips, unknown = as_classes_of(clips, model.classes, allow_unknown=options.allow_unknown)
    if clips.is_multi_label and not model.multi_label:
        raise DataError(
            f"'{clips.name}': some clips carry several labels, but the model chooses one; train "
            "on such a data set, or keep one label per clip"
        )
    with open_run("evaluate", options, free=REPORTED) as run:
        run.add_data("model", content_hash(file)[:16])
        hashes = record_data(run, clips, options.workers)
        found = overlaps(clips, hashes, made)
        refuse_seen(found, allowed=options.allow_seen)
        together = recordings_in(run, clips, options, cache=run.path("cache"))
        clips = together.clips
        started = time.perf_counter()
        scores, rows, failures, heard = score_all(model, clips, options)
        seconds = time.perf_counter() - started
        run.add_bad_files(failures)
        measurement = measure(
            clips[rows],
            scores,
            multi_label=model.multi_label,
            level=options.level,
            n_resamples=options.bootstrap,
            seed=options.seed,
        )
        write_scores(run.path("scores.csv"), measurement)
        parts = {
            by: by_part(measurement, by, n_resamples=options.bootstrap, seed=options.seed)
            for by in options.by
        }
        table = run.path("parts.csv")
        table.unlink(missing_ok=True)  # of a report with other parts
        if parts:
            write_csv(table, CELLS, rows_of(parts))
        origin = {"published_weights": published_in(made)} if published_in(made) else {}
        needs = cost(model, len(rows), heard, seconds)
        found_numbers = json_ready({**numbers(measurement), "cost": needs, **origin})
        write_json(run.path("metrics.json"), found_numbers)
        result = EvaluateResult(
            measurement,
            tuple(found),
            tuple(unknown),
            failures,
            run.folder / "report.html",
            PublishedOrigin.of(made),
            parts,
            (*clips.notes, *together.notes),
            found_numbers,
        )
        write_page(
            run.folder,
            result.measurement,
            model,
            made,
            overlaps=found,
            unknown=unknown,
            failures=failures,
            notes=result.notes,
            seconds=seconds,
            heard=heard,
            n_mistakes=options.mistakes,
            model_file=file,
            parts=parts,
        )
    return result


TEST = (
    "these clips are no test: {}. Evaluate on other recordings (train with --test-fold keeps a "
    "fold apart), or say --allow-seen to get the numbers all the same"
)


def refuse_seen(found: list[Overlap], *, allowed: bool, because: str = TEST) -> None:
    """Stop before a worthless number is made; warn about what is merely suspicious.

    ``because`` is the error's text, with a place for what was seen.

    Raises
    ------
    DataError
        When recordings were trained on or chose the epoch, with their labels, of this model or
        of the one it started from, unless allowed.
    """
    worthless = [o for o in found if o.files and o.role in WITH_LABELS]
    for overlap in found:
        if allowed or overlap not in worthless:
            _log.warning(overlap.text())
    if worthless and not allowed:
        raise DataError(because.format("; ".join(o.text() for o in worthless)))


def score_all(
    model: SoundModel, clips: Clips, options: EvaluateOptions
) -> tuple[NDArray[np.float64], list[int], Failures, float]:
    """Scores of the clips that can be read, their rows, the others with the reason, and seconds.

    The seconds are those of sound that was scored.

    Raises
    ------
    DataError
        When none can be read.
    """
    scores, rows, failures, heard = [], [], [], 0.0
    scored = score_clips(
        model, clips, batch_size=options.batch_size, device=options.device, workers=options.workers
    )
    ids = clips.ids
    for clip in track(scored, "evaluate", "clip", len(clips)):
        if clip.reason:
            failures.append((ids[clip.row], clip.reason))
        else:
            scores.append(clip.mean)
            rows.append(clip.row)
            heard += float(np.diff(clip.times, axis=1).sum())
    if not rows:
        raise DataError(
            f"'{clips.name}': none of {count_text(len(clips), 'clip')} could be read; the "
            f"first: {failures[0][0]}: {failures[0][1]}"
        )
    return np.stack(scores), rows, tuple(failures), heard


def numbers(m: Measurement) -> dict[str, Any]:
    """Metrics, intervals and confusion as plain values."""
    return {
        **m.metrics,
        "n_recordings": len(set(m.clips.group.tolist())),
        "intervals": {name: list(ends) for name, ends in m.intervals.items()},
        "level": m.level,
        "classes": list(m.clips.classes),
        "confusion": None if m.confusion is None else m.confusion.tolist(),
    }


def cost(model: SoundModel, n_clips: int, heard: float, seconds: float) -> dict[str, float]:
    """What the model needs: its size, its work a window, and how fast this evaluation was.

    The real-time factor is the time taken for a second of sound, decoding included: below 1 it is
    faster than the sound.
    """
    return {
        "parameters": count_parameters(model),
        "multiply_adds_a_window": count_macs(model, model.mel.shape),
        "window_s": model.mel.duration,
        "clips_a_second": n_clips / max(seconds, 1e-9),
        "real_time_factor": seconds / max(heard, 1e-9),
    }


def write_scores(path: Path, m: Measurement) -> None:
    """A row per clip: labels, best class, and the score of each class."""
    names = m.clips.classes
    rows = (
        [clip, ";".join(labels), group, names[best], *(f"{score:.5f}" for score in scores)]
        for clip, labels, group, best, scores in zip(
            m.clips.ids, m.clips.labels, m.clips.group, m.predicted, m.scores, strict=True
        )
    )
    write_csv(path, ["clip", "label", "group", "predicted", *names], rows)
