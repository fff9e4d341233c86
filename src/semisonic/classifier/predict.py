"""``predict``: name the sounds in files and folders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import stamp_of, url_of
from semisonic.classifier.model_file import model_key
from semisonic.classifier.prepare import Failures
from semisonic.classifier.scoring import BATCH_SIZE, ClipScores, ends_block, score_clips
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import csv_line, digest, unguarded
from semisonic.core.progress import track
from semisonic.core.text import Result, count_text, text_table
from semisonic.data.cache import KeyTable
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

    def values(self, columns: Iterable[str]) -> list[object]:
        """The row of a table with these columns."""
        pairs = chain.from_iterable(zip(self.labels, self.scores, strict=True))
        row = [self.file, self.start_time, self.end_time, *pairs]
        return [*row, self.known, self.reason] if "reason" in columns else row

    def shown(self) -> list[str]:
        """Labels with their scores, for a terminal."""
        first = [f"{self.labels[0]} ({self.reason})"] if self.reason else []
        rest = zip(self.labels[len(first) :], self.scores[len(first) :], strict=True)
        return [*first, *(f"{label} {score:.2f}" if label else "" for label, score in rest)]


_DIGITS = {"start_time": 3, "end_time": 3, "known": 3}


def _cells(prediction: Prediction, columns: tuple[str, ...]) -> list[object]:
    """The row of the CSV: times and ``known`` in three digits, scores in four."""
    return [
        value
        if not isinstance(value, float)
        else ""
        if np.isnan(value)
        else f"{value:.{_DIGITS.get(column, 4)}f}"
        for column, value in zip(columns, prediction.values(columns), strict=True)
    ]


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

        if self.output is None:
            rows = [row.values(self.columns) for row in self.rows]
            return pd.DataFrame(rows, columns=list(self.columns))
        texts = [name for name in self.columns if name.startswith(("file", "label", "reason"))]
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
        cells = [
            [r.file, f"{r.start_time:.2f}", f"{r.end_time:.2f}", *r.shown()] for r in self.rows
        ]
        lines = []
        if cells:
            headers = ["file", "start s", "end s", "best", *["next"] * (len(cells[0]) - 4)]
            lines.append(text_table(headers, cells, ruled=True))
        if self.n_rows > len(self.rows):
            lines.append(f"... and {count_text(self.n_rows - len(self.rows), 'row')} more")
        if self.output is not None:
            lines.append(f"{count_text(self.n_rows, 'row')} in {self.output}")
        if self.failures:
            lines.append(f"{len(self.failures)} could not be read:")
            lines += [f"  {name}: {reason}" for name, reason in self.failures[:SHOWN]]
        return "\n".join(lines)


def answer_limits(
    model: SoundModel, *, unknown: bool, threshold: str | float | None
) -> NDArray[np.float64] | None:
    """The score from which on each class is named, shape (n_classes,); None: the best always.

    Parameters
    ----------
    model : SoundModel
    unknown : bool
        Whether the model's rules for unknown sounds are to be heeded.
    threshold : "auto", number or None
        The model's own thresholds, one for all classes, or none.

    Raises
    ------
    ModelError
        When the model has no rules for unknown sounds, or no thresholds, but was asked for them.
    OptionError
        For a threshold that is neither "auto" nor from 0 to 1.
    """
    if unknown and not model.decision.unknown:
        raise ModelError(
            "the model has no rule for unknown sounds; make one with 'semisonic calibrate'"
        )
    if threshold is None:
        return None
    value = None
    if threshold != AUTO:
        try:
            value = float(threshold)
        except ValueError:
            value = float("nan")
        if not 0 <= value <= 1:
            raise OptionError(f"option 'threshold': found {threshold!r}, expected auto, or 0 to 1")
    return model.decision.limits(model.classes, value)


def unknown_reasons(
    scores: NDArray[np.float64],
    known: NDArray[np.float64],
    limits: NDArray[np.float64] | None,
    *,
    unknown: bool,
    multi_label: bool,
) -> NDArray[np.object_]:
    """Why no class is named for each sound, shape (n,); empty if one is.

    Parameters
    ----------
    scores : ndarray, shape (n, n_classes)
    known : ndarray, shape (n,)
        How known the sounds are, 0 to 1.
    limits : ndarray or None
        Of :func:`answer_limits`.
    unknown : bool
        Whether ``known`` is heeded.
    multi_label : bool
    """
    reasons = np.full(len(scores), "", object)
    if limits is not None:
        reached = scores >= limits
        best = reached[np.arange(len(scores)), scores.argmax(axis=1)]
        reasons[~(reached.any(axis=1) if multi_label else best)] = UNSURE
    if unknown:
        reasons[known < KNOWN_THRESHOLD] = NOT_LEARNED
    return reasons


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
    ModelError
        When the model has no rule for unknown sounds or no thresholds although they were asked
        for.
    OptionError
        When the output would be written over something else.
    """
    began = time.perf_counter()
    limits = answer_limits(model, unknown=unknown, threshold=threshold)
    named = [] if isinstance(files, Clips) else [Path(file) for file in files]
    if output is not None:
        check_file(output, VERB, SUFFIXES, inputs=named)
    clips, missing = (files, ()) if isinstance(files, Clips) else gather(named)
    ids, failures, shown = clips.ids, list(missing), list[Prediction]()
    n_rows, n_clips, scored_seconds = 0, 0, 0.0
    more = [f"{kind}_{i}" for i in range(2, min(top, len(model.classes)) + 1) for kind in _PAIR]
    columns = ("file", "start_time", "end_time", *_PAIR, *more)
    if unknown or limits is not None:
        columns = (*columns, "known", "reason")
    with ExitStack() as stack:
        journal = writer = None
        done: list[_Answer] = []
        if output is not None:
            settings = top, windows, unknown, threshold, hop, batch_size
            key = digest(model_key(model), model.decision.thresholds, *settings)
            journal = stack.enter_context(_Journal(output, key, clips))
            done = journal.answers
            writer = stack.enter_context(_table(output, columns))
        scored = score_clips(
            model,
            clips,
            hop=hop,
            batch_size=batch_size,
            device=device,
            workers=workers,
            first=len(done),
        )
        label = f"{VERB} ({len(done)} of {len(clips)} clips are there)" if done else VERB
        for row in track(range(len(clips)), label, "clip"):
            if row < len(done):
                answer = done[row]
            else:
                clip = next(scored)
                predictions = _predictions(model, clips, clip, top, windows, unknown, limits)
                answer = _Answer(clip.reason, len(clip.times), predictions)
                scored_seconds += float(np.diff(clip.times).sum())
                if journal is not None:
                    journal.put(row, answer)
            if answer.reason:
                failures.append((ids[row], answer.reason))
                continue
            n_clips += 1
            n_rows += len(answer.rows)
            if writer is not None:
                writer.writelines(csv_line(_cells(one, columns)) for one in answer.rows)
            shown += answer.rows if writer is None else answer.rows[: SHOWN - len(shown)]
    seconds = time.perf_counter() - began
    return PredictResult(
        tuple(shown), n_rows, n_clips, tuple(failures), output, seconds, scored_seconds, columns
    )


_PAIR = ("label", "score")


@contextmanager
def _table(output: Path, columns: tuple[str, ...]) -> Iterator[IO[str]]:
    """A CSV file that takes its place when all rows are written."""
    with (
        writing(output, VERB) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        stream.write(csv_line(columns))
        yield stream


class _Answer(NamedTuple):
    """What became of a clip: why it could not be read, its windows, and its rows."""

    reason: str
    n_windows: int
    rows: tuple[Prediction, ...]


class _Journal:
    """The answers of a call, in a journal beside its output until that is whole.

    Attributes
    ----------
    answers : list of _Answer
        Of the whole blocks that an earlier call answered, from the first clip on.
    """

    def __init__(self, output: Path, key: str, clips: Clips) -> None:
        self._path = output.with_name(f".{output.name}.semisonic-journal")
        self._key, self._clips = key, clips
        output.parent.mkdir(parents=True, exist_ok=True)
        self._table = KeyTable(self._path)
        self.answers: list[_Answer] = []
        whole = 0
        for row in range(len(clips) if len(self._table) else 0):
            known = self._table.get((key, self._identity(row)), ())
            if known is None:
                break
            reason, n_windows, rows = known
            file = str(clips.file[row])
            predictions = tuple(
                Prediction(file, start, end, tuple(labels), tuple(scores), *rest)
                for start, end, labels, scores, *rest in rows
            )
            self.answers.append(_Answer(reason, n_windows, predictions))
            if ends_block(row, n_windows) or row + 1 == len(clips):
                whole = row + 1
        del self.answers[whole:]

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._table.close()
        if kind is None or not self._path.stat().st_size:
            self._path.unlink()

    def put(self, row: int, answer: _Answer) -> None:
        """Keep an answer."""
        rows = [
            [one.start_time, one.end_time, one.labels, one.scores, one.known, one.reason]
            for one in answer.rows
        ]
        key = self._key, self._identity(row)
        self._table.add((key, (), (answer.reason, answer.n_windows, rows)))

    def _identity(self, row: int) -> str:
        """Changes when a clip, or the size or the time of change of its file, does."""
        clips = self._clips
        path = clips.root / str(clips.file[row])
        try:
            stamp: tuple[Any, ...] = stamp_of(path)
        except OSError:
            stamp = (0, 0)
        times = float(clips.start_time[row]), float(clips.end_time[row])
        return digest(url_of(path) or path.resolve(), *stamp, *times)


def _predictions(
    model: SoundModel,
    clips: Clips,
    clip: ClipScores,
    top: int,
    windows: bool,
    unknown: bool,
    limits: NDArray[np.float64] | None,
) -> tuple[Prediction, ...]:
    """The rows for one scored clip: one, or one per window; none if it could not be read."""
    if clip.reason:
        return ()
    if not windows:
        times = np.array([[clip.times[0, 0], clip.times[:, 1].max()]])
        known, silent = np.array([clip.mean_known]), np.array([clip.is_silent])
        clip = replace(clip, times=times, windows=clip.mean[None], known=known, silent=silent)
    reasons = unknown_reasons(
        clip.windows, clip.known, limits, unknown=unknown, multi_label=model.multi_label
    )
    reasons[clip.silent] = NOTHING  # a network that must choose a class would name one all the same
    order = np.argsort(-clip.windows, axis=1, kind="stable")
    if limits is not None and model.multi_label:  # classes that reach their threshold come first
        below = np.take_along_axis(clip.windows < limits, order, axis=1)
        order = np.take_along_axis(order, np.argsort(below, axis=1, kind="stable"), axis=1)
    rows = []
    for number, best in enumerate(order[:, :top]):
        labels = [model.classes[i] for i in best]
        scores, reason = clip.windows[number, best].tolist(), str(reasons[number])
        if reason == NOTHING:
            labels = [SILENCE, *[""] * (len(labels) - 1)]
            scores = [float("nan")] * len(labels)
        elif reason:
            labels, scores = [UNKNOWN, *labels[:-1]], [float("nan"), *scores[:-1]]
        start, end = clip.times[number].tolist()
        file, sure = str(clips.file[clip.row]), float(clip.known[number])
        rows.append(Prediction(file, start, end, tuple(labels), tuple(scores), sure, reason))
    return tuple(rows)
