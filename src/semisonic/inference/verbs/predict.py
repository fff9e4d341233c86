"""``predict``: name the sounds in files and folders."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.base.files import replacing
from semisonic.base.options import check
from semisonic.base.progress import track
from semisonic.data.clips import Clips
from semisonic.inference.answers import UNKNOWN, Rule
from semisonic.inference.inputs import gather
from semisonic.inference.modelfile import open_model
from semisonic.inference.options import PredictOptions
from semisonic.inference.predicting import ClipScores, score_clips
from semisonic.inference.prepare import Failures
from semisonic.inference.scoring import BATCH_SIZE
from semisonic.inference.tables import plain_table
from semisonic.models import SoundModel

SHOWN = 20
"""Rows kept for the summary when the table goes to a file."""


@dataclass(frozen=True)
class Prediction:
    """One row of the answer.

    Attributes
    ----------
    file : str
    start_time, end_time : float
        Seconds in the recording.
    labels : tuple of str
        The best classes, the best first.
    scores : tuple of float
        Their scores, 0 to 1; NaN for "unknown", which is no class.
    known : float
        How known the sound is, 0 to 1: unknown below 0.5. No probability.
    reason : str
        Why the first label is "unknown"; empty if a class is named.
    """

    file: str
    start_time: float
    end_time: float
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    known: float = 1.0
    reason: str = ""

    def cells(self, *, reasons: bool = False) -> list[str]:
        """The row of the CSV; with ``reasons`` two cells more, ``known`` and ``reason``."""
        cells = [self.file, f"{self.start_time:.3f}", f"{self.end_time:.3f}"]
        for label, score in zip(self.labels, self.scores, strict=True):
            cells += [label, "" if np.isnan(score) else f"{score:.4f}"]
        return [*cells, f"{self.known:.3f}", self.reason] if reasons else cells

    def shown(self) -> list[str]:
        """Labels with their scores, for a terminal."""
        pairs = zip(self.labels, self.scores, strict=True)
        return [
            f"{label} ({self.reason})" if np.isnan(score) else f"{label} {score:.2f}"
            for label, score in pairs
        ]


@dataclass(frozen=True)
class PredictResult:
    """The answer of ``predict``.

    Attributes
    ----------
    rows : tuple of Prediction
        All of them, or the first few when they went to a file.
    n_rows, n_clips : int
        Rows in all; clips that were read.
    failures : tuple of (str, str)
        What could not be read, and why.
    output : Path or None
        The CSV file.
    seconds, audio_seconds : float
        Time taken and time of the windows scored.
    """

    rows: tuple[Prediction, ...]
    n_rows: int
    n_clips: int
    failures: Failures
    output: Path | None
    seconds: float
    audio_seconds: float

    def summary(self) -> str:
        """The table and what went wrong, for a terminal."""
        top = len(self.rows[0].labels) if self.rows else 0
        cells = [
            [r.file, f"{r.start_time:.2f}", f"{r.end_time:.2f}", *r.shown()] for r in self.rows
        ]
        headers = ["file", "start s", "end s", "best", *["next"] * (top - 1)]
        lines = [plain_table(headers, cells)] if cells else []
        if self.n_rows > len(self.rows):
            lines.append(f"... and {self.n_rows - len(self.rows)} rows more")
        if self.output is not None:
            lines.append(f"{self.n_rows} rows in {self.output}")
        if self.failures:
            lines.append(f"{len(self.failures)} could not be read:")
            lines += [f"  {name}: {reason}" for name, reason in self.failures[:SHOWN]]
        return "\n".join(lines)


def predict(options: PredictOptions) -> PredictResult:
    """Score recordings of any length; a file that cannot be read disturbs no other.

    Raises
    ------
    DataError
        When none of the files exists.
    ModelError
        When the model file is missing or damaged, or has no rule for unknown sounds or no
        thresholds although they were asked for.
    """
    check(options)
    return predict_files(
        open_model(options.model), options.files, top=options.top, windows=options.windows,
        unknown=options.unknown, threshold=options.threshold,
        hop=options.hop, output=options.output, batch_size=options.batch_size,
        device=options.device, workers=options.workers,
    )  # fmt: skip


def predict_files(
    model: SoundModel,
    files: Iterable[str | PathLike[str]] | Clips,
    *,
    top: int = 3,
    windows: bool = False,
    unknown: bool = False,
    threshold: str | float | None = None,
    hop: float | None = None,
    output: Path | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    workers: int | None = None,
) -> PredictResult:
    """Score files, folders or a clip table; failures are isolated to their file.

    Parameters
    ----------
    model : SoundModel
    files : paths (see :func:`gather`) or Clips
    top : int
        Classes given for each row.
    windows : bool
        One row a window instead of one a clip.
    unknown : bool
        Answer "unknown" for sounds that the model's rule calls so.
    threshold : "auto", float, optional
        Answer "unknown" where no class reaches its threshold: the model's own, or this one.
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    output : Path, optional
        A CSV file that rows are written to as they come.

    Raises
    ------
    DataError
        When none of the files exists.
    """
    began = time.perf_counter()
    rule = Rule.of(model, unknown, threshold)
    clips, missing = (files, ()) if isinstance(files, Clips) else gather(files)
    ids = clips.ids
    failures = list(missing)
    kept: list[Prediction] = []
    n_rows, n_clips, heard = 0, 0, 0.0
    scored = score_clips(
        model, clips, hop=hop, batch_size=batch_size, device=device, workers=workers
    )
    with ExitStack() as stack:
        writer = _writer(stack, output, min(top, len(model.classes)), rule.is_asked)
        for clip in track(scored, "predict", "clip", len(clips)):
            if clip.reason:
                failures.append((ids[clip.row], clip.reason))
                continue
            n_clips += 1
            heard += float(np.diff(clip.times).sum())
            for row in predictions_of(model, clips, clip, top, windows=windows, rule=rule):
                n_rows += 1
                if writer is not None:
                    writer.writerow(row.cells(reasons=rule.is_asked))
                if writer is None or len(kept) < SHOWN:
                    kept.append(row)
    seconds = time.perf_counter() - began
    return PredictResult(tuple(kept), n_rows, n_clips, tuple(failures), output, seconds, heard)


def predictions_of(
    model: SoundModel,
    clips: Clips,
    clip: ClipScores,
    top: int,
    *,
    windows: bool = False,
    rule: Rule = Rule(),  # noqa: B008  (frozen)
) -> Iterator[Prediction]:
    """The rows for one scored clip: one, or one a window."""
    file, several = str(clips.file[clip.row]), model.multi_label
    table = clip.windows if windows else clip.mean[None]
    known = clip.known if windows else np.array([clip.mean_known])
    times = clip.times if windows else np.array([[clip.times[0, 0], clip.times[:, 1].max()]])
    for (start, end), scores, sure in zip(times.tolist(), table, known.tolist(), strict=True):
        best = rule.order(scores, multi_label=several)[:top]
        labels, values = [model.classes[i] for i in best], scores[best].tolist()
        reason = rule.reason(scores, sure, multi_label=several)
        if reason:
            labels, values = [UNKNOWN, *labels][:top], [float("nan"), *values][:top]
        yield Prediction(file, start, end, tuple(labels), tuple(values), sure, reason)


def _writer(stack: ExitStack, output: Path | None, top: int, reasons: bool) -> Any:
    """A CSV writer whose file takes its place when all rows are written."""
    if output is None:
        return None
    part = stack.enter_context(replacing(output))
    stream = stack.enter_context(
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    )
    writer = csv.writer(stream, lineterminator="\n")
    more = [name for i in range(2, top + 1) for name in (f"label_{i}", f"score_{i}")]
    more += ["known", "reason"] if reasons else []
    writer.writerow(["file", "start_time", "end_time", "label", "score", *more])
    return writer
