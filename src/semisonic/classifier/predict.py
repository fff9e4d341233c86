"""``predict``: name the sounds in files and folders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import stamp_of, url_of
from semisonic.classifier.model_file import model_key, open_model
from semisonic.classifier.options import PredictOptions
from semisonic.classifier.prepare import Failures
from semisonic.classifier.scoring import BATCH_SIZE, BlockEnds, ClipScores, score_clips
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import csv_line, digest, unguarded
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.text import Result, count_text, text_table
from semisonic.data.cache import Journal
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import gather
from semisonic.data.outputs import check_file, writing
from semisonic.models.decision import KNOWN_THRESHOLD
from semisonic.models.sound_model import SoundModel

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN, SILENCE = "unknown", "silence"
AUTO = "auto"
NOT_LEARNED, UNSURE = "like nothing learned", "below threshold"
NOTHING = "digital silence"


@dataclass(frozen=True)
class AnswerRule:
    """When "unknown" is answered.

    Attributes
    ----------
    unknown : bool
        Whether the model's rule for unknown sounds is heeded.
    limits : ndarray, shape (n_classes,), or None
        The score from which on each class is named; None: the best class always.
    """

    unknown: bool = False
    limits: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, model: SoundModel, unknown: bool, threshold: str | float | None) -> AnswerRule:
        """What was asked for.

        Parameters
        ----------
        threshold : "auto", number or None
            The model's own thresholds, one for all classes, or none.

        Raises
        ------
        ModelError
            When the model has no rule for unknown sounds, or no thresholds, but was asked for it.
        OptionError
            For a threshold that is neither "auto" nor from 0 to 1.
        """
        if unknown and not model.decision.unknown:
            raise ModelError(
                "the model has no rule for unknown sounds; make one with 'semisonic calibrate'"
            )
        if threshold is None:
            return cls(unknown)
        value = None if threshold == AUTO else _as_share(threshold)
        return cls(unknown, model.decision.limits(model.classes, value))

    @property
    def is_asked(self) -> bool:
        """Whether "unknown" can be an answer at all."""
        return self.unknown or self.limits is not None

    def reason(self, scores: NDArray[np.float64], known: float, *, multi_label: bool) -> str:
        """Why no class is named for a sound; empty if one is.

        Parameters
        ----------
        scores : ndarray, shape (n_classes,)
        known : float
            How known the sound is, 0 to 1.
        multi_label : bool
        """
        if self.unknown and known < KNOWN_THRESHOLD:
            return NOT_LEARNED
        if self.limits is None:
            return ""
        reached = scores >= self.limits
        return "" if (reached.any() if multi_label else reached[scores.argmax()]) else UNSURE

    def order(self, scores: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.int64]:
        """Classes, best first; with several labels per clip those that reach their threshold."""
        best: NDArray[np.int64] = np.argsort(-scores, kind="stable")
        if self.limits is None or not multi_label:
            return best
        reached = (scores >= self.limits)[best]
        return np.concatenate([best[reached], best[~reached]])


def _as_share(text: str | float) -> float:
    """A threshold as a number.

    Raises
    ------
    OptionError
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise OptionError(f"option 'threshold': found {text!r}, expected auto, or 0 to 1")
    return value


VERB, SUFFIXES = "predict", (".csv",)
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
        Their scores, 0 to 1; NaN for "unknown" and "silence", which are no classes.
    known : float
        How known the sound is, 0 to 1: unknown below 0.5. No probability.
    reason : str
        Why the first label is "unknown" or "silence"; empty if a class is named.
    """

    file: str
    start_time: float
    end_time: float
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    known: float = 1.0
    reason: str = ""

    def values(self, *, reasons: bool = False) -> list[object]:
        """The row of a table; with ``reasons`` two values more, ``known`` and ``reason``."""
        row: list[object] = [self.file, self.start_time, self.end_time]
        for pair in zip(self.labels, self.scores, strict=True):
            row += pair
        return [*row, self.known, self.reason] if reasons else row

    def cells(self, *, reasons: bool = False) -> list[str]:
        """The row of the CSV; with ``reasons`` two cells more, ``known`` and ``reason``."""
        cells = [self.file, f"{self.start_time:.3f}", f"{self.end_time:.3f}"]
        for label, score in zip(self.labels, self.scores, strict=True):
            cells += [label, "" if np.isnan(score) else f"{score:.4f}"]
        return [*cells, f"{self.known:.3f}", self.reason] if reasons else cells

    def shown(self) -> list[str]:
        """Labels with their scores, for a terminal."""
        texts = {
            label: f"{label} ({self.reason})" if np.isnan(score) else f"{label} {score:.2f}"
            for label, score in zip(self.labels, self.scores, strict=True)
        }
        return [texts[label] if label else "" for label in self.labels]


@dataclass(frozen=True)
class PredictResult(Result):
    """The result of ``predict``.

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
    columns : tuple of str
        Of the table, as :meth:`to_frame` gives it.
    """

    rows: tuple[Prediction, ...]
    n_rows: int
    n_clips: int
    failures: Failures
    output: Path | None
    seconds: float
    audio_seconds: float
    columns: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = f", in {self.output}" if self.output is not None else ""
        return f"<PredictResult: {self.n_rows} rows, {self.n_clips} clips{where}>"

    def to_frame(self) -> pd.DataFrame:
        """All rows, with the columns of the CSV file; read from it if there is one."""
        import pandas as pd

        texts = [name for name in self.columns if name.startswith(("file", "label", "reason"))]
        if self.output is None:
            reasons = "reason" in self.columns
            rows = [row.values(reasons=reasons) for row in self.rows]
            return pd.DataFrame(rows, columns=list(self.columns))
        frame = pd.read_csv(
            self.output,
            keep_default_na=False,
            dtype=dict.fromkeys(texts, object),
            na_values={name: [""] for name in self.columns if name not in texts},
            encoding_errors="surrogateescape",
        )
        return frame.assign(**{name: list(map(unguarded, frame[name])) for name in texts})

    def summary(self) -> str:
        """The table and what went wrong, for a terminal."""
        top = len(self.rows[0].labels) if self.rows else 0
        cells = [
            [r.file, f"{r.start_time:.2f}", f"{r.end_time:.2f}", *r.shown()] for r in self.rows
        ]
        headers = ["file", "start s", "end s", "best", *["next"] * (top - 1)]
        lines = [text_table(headers, cells, ruled=True)] if cells else []
        if self.n_rows > len(self.rows):
            lines.append(f"... and {count_text(self.n_rows - len(self.rows), 'row')} more")
        if self.output is not None:
            lines.append(f"{count_text(self.n_rows, 'row')} in {self.output}")
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
    if options.output is not None:
        check_file(options.output, VERB, SUFFIXES, inputs=[options.model, *options.files])
    return predict_files(
        open_model(options.model),
        options.files,
        top=options.top,
        windows=options.windows,
        unknown=options.unknown,
        threshold=options.threshold,
        hop=options.hop,
        output=options.output,
        batch_size=options.batch_size,
        device=options.device,
        workers=options.workers,
    )


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
        One row per window instead of one per clip.
    unknown : bool
        Answer "unknown" for sounds that the model's rule calls so.
    threshold : "auto", float, optional
        Answer "unknown" where no class reaches its threshold: the model's own, or this one.
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    output : Path, optional
        A CSV file for the rows. What an interrupted call with the same output, files and
        settings has done is not done again, and the file becomes the same to the byte.

    Raises
    ------
    DataError
        When none of the files exists.
    OptionError
        When the output would be written over something else.
    """
    if output is not None:
        check_file(output, VERB, SUFFIXES)
    began = time.perf_counter()
    rule = AnswerRule.of(model, unknown, threshold)
    clips, missing = (files, ()) if isinstance(files, Clips) else gather(files)
    ids = clips.ids
    failures = list(missing)
    shown: list[Prediction] = []
    n_rows, n_clips, scored_seconds = 0, 0, 0.0
    columns = _columns(min(top, len(model.classes)), rule.is_asked)
    with ExitStack() as stack:
        writer = journal = None
        if output is not None:
            key = digest(
                model_key(model),
                model.decision.thresholds,
                top,
                windows,
                unknown,
                threshold,
                hop,
                batch_size,
            )
            journal = stack.enter_context(_Journal(output, key, clips))
            writer = _writer(stack, output, columns)
        first = journal.first if journal else 0
        scored = score_clips(
            model,
            clips,
            hop=hop,
            batch_size=batch_size,
            device=device,
            workers=workers,
            first=first,
        )
        again = journal.broken if journal else []
        scored_again = score_clips(
            model, clips[again], hop=hop, batch_size=batch_size, device=device, workers=workers
        )
        label = f"{VERB} ({first} of {len(clips)} clips are there)" if first else VERB
        for row in track(range(len(clips)), label, "clip"):
            answer = journal.get(row) if journal else None
            if answer is None or answer.reason:
                clip = next(scored if row >= first else scored_again)
                clip = replace(clip, row=row)
                answer = _JournalRow(
                    tuple(predictions_of(model, clips, clip, top, windows=windows, rule=rule))
                    if not clip.reason
                    else (),
                    clip.n_windows,
                    clip.reason,
                )
                scored_seconds += float(np.diff(clip.times).sum())
                if journal:
                    journal.put(row, answer)
            if answer.reason:
                failures.append((ids[row], answer.reason))
                continue
            n_clips += 1
            for prediction in answer.rows:
                n_rows += 1
                if writer is not None:
                    writer.write(csv_line(prediction.cells(reasons=rule.is_asked)))
                if writer is None or len(shown) < SHOWN:
                    shown.append(prediction)
    seconds = time.perf_counter() - began
    return PredictResult(
        tuple(shown), n_rows, n_clips, tuple(failures), output, seconds, scored_seconds, columns
    )


@dataclass(frozen=True)
class _JournalRow:
    """What became of a clip: its rows, or why it could not be read."""

    rows: tuple[Prediction, ...]
    n_windows: int
    reason: str


class _Journal:
    """The answers of a call, in a journal beside its output until that is whole.

    Attributes
    ----------
    first : int
        The row to go on with: whole blocks before it were answered by an earlier call.
    broken : list of int
        Rows before it that could not be read then, to be tried again.
    """

    def __init__(self, output: Path, key: str, clips: Clips) -> None:
        self._path = output.with_name(f".{output.name}.semisonic-journal")
        self._key, self._clips = key, clips
        output.parent.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(self._path, before=lambda: None)
        known = {record[1]: record[2:] for record in self._journal.records() if record[0] == key}
        self._answers: list[_JournalRow] = []
        self.first = 0
        blocks = BlockEnds()
        for row in range(len(clips) if known else 0):
            record = known.get(self._identity(row))
            if record is None:
                break
            reason, n_windows, rows = record
            file = str(clips.file[row])
            predictions = (Prediction(file, *map(_tuples, cells)) for cells in rows)
            self._answers.append(_JournalRow(tuple(predictions), n_windows, reason))
            if blocks.ends_with(row, n_windows) or row + 1 == len(clips):
                self.first = row + 1
        del self._answers[self.first :]
        self.broken = [row for row, answer in enumerate(self._answers) if answer.reason]

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._journal.close()
        if kind is None or not self._path.stat().st_size:
            self._path.unlink()

    def get(self, row: int) -> _JournalRow | None:
        """What an earlier call answered."""
        return self._answers[row] if row < self.first else None

    def put(self, row: int, answer: _JournalRow) -> None:
        """Keep an answer."""
        rows = [
            [one.start_time, one.end_time, one.labels, one.scores, one.known, one.reason]
            for one in answer.rows
        ]
        identity = self._identity(row)
        self._journal.append([self._key, identity, answer.reason, answer.n_windows, rows])

    def _identity(self, row: int) -> str:
        """Changes when a clip, or the size or the time of change of its file, does."""
        clips = self._clips
        path = clips.root / str(clips.file[row])
        try:
            stamp = stamp_of(path)
        except OSError:
            stamp = (0, 0)
        times = float(clips.start_time[row]), float(clips.end_time[row])
        return digest(url_of(path) or path.resolve(), *stamp, *times)


def _tuples(value: Any) -> Any:
    """A list from JSON as it was."""
    return tuple(value) if isinstance(value, list) else value


def predictions_of(
    model: SoundModel,
    clips: Clips,
    clip: ClipScores,
    top: int,
    *,
    windows: bool = False,
    rule: AnswerRule = AnswerRule(),
) -> Iterator[Prediction]:
    """The rows for one scored clip: one, or one per window.

    Parameters
    ----------
    model : SoundModel
    clips : Clips
        The table that ``clip.row`` counts in.
    clip : ClipScores
        One that could be read.
    top : int
        Classes in a row.
    windows : bool
        One row per window instead of one for the clip.
    rule : AnswerRule
        When "unknown" is answered; never by default.
    """
    file, several = str(clips.file[clip.row]), model.multi_label
    table = clip.windows if windows else clip.mean[None]
    known = clip.known if windows else np.array([clip.mean_known])
    times = clip.times if windows else np.array([[clip.times[0, 0], clip.times[:, 1].max()]])
    silent = clip.silent if windows else np.array([clip.is_silent])
    for (start, end), scores, sure, nothing in zip(
        times.tolist(), table, known.tolist(), silent.tolist(), strict=True
    ):
        best = rule.order(scores, multi_label=several)[:top]
        labels, values = [model.classes[i] for i in best], scores[best].tolist()
        if nothing:  # a network that must choose a class would name one all the same
            blank = len(labels) - 1
            names, missing = (SILENCE, *[""] * blank), (float("nan"),) * (blank + 1)
            yield Prediction(file, start, end, names, missing, sure, NOTHING)
            continue
        reason = rule.reason(scores, sure, multi_label=several)
        if reason:
            labels, values = [UNKNOWN, *labels[:-1]], [float("nan"), *values[:-1]]
        yield Prediction(file, start, end, tuple(labels), tuple(values), sure, reason)


def _columns(top: int, reasons: bool) -> tuple[str, ...]:
    """The names of the table's columns."""
    more = [name for i in range(2, top + 1) for name in (f"label_{i}", f"score_{i}")]
    more += ["known", "reason"] if reasons else []
    return ("file", "start_time", "end_time", "label", "score", *more)


def _writer(stack: ExitStack, output: Path | None, columns: tuple[str, ...]) -> IO[str] | None:
    """A CSV file that takes its place when all rows are written."""
    if output is None:
        return None
    part = stack.enter_context(writing(output, VERB))
    stream = stack.enter_context(
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    )
    stream.write(csv_line(columns))
    return stream
