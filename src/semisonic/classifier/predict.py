"""``predict``: name the sounds in files and folders."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from semisonic.audio.remote import stamp_of, url_of
from semisonic.classifier.model_file import model_key
from semisonic.classifier.prepare import Failures
from semisonic.classifier.scoring import BATCH_SIZE, ClipScores, ends_block, score_clips
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import csv_line, digest, unguarded
from semisonic.core.html import Result
from semisonic.core.label_names import GIVEN_NAMES
from semisonic.core.progress import track
from semisonic.core.text import count_text, text_table
from semisonic.data.cache import KeyTable
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import gather
from semisonic.data.outputs import check_file, writing
from semisonic.models.decision import KNOWN_THRESHOLD
from semisonic.models.sound_model import SoundModel

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN, SILENCE, NOISE = GIVEN_NAMES
AUTO = "auto"
NOT_LEARNED, UNSURE = "like nothing learned", "below threshold"
NOTHING = {"digital silence": SILENCE, "steady noise": NOISE}
"""Why there is nothing to name, and the answer given instead."""
VERB, SUFFIXES = "predict", (".csv",)
SHOWN = 20
"""Rows kept for the summary when the table goes to a file."""


_PAIR = ("label", "score")
_DIGITS = {"start_time": 3, "end_time": 3, "known": 3}
Row = list[Any]
"""Cells: file, start, end, labels and their scores; how known it is, and why it is no class."""


def _cell(column: str, value: object) -> object:
    """A cell of the CSV: times and ``known`` in three digits, scores in four."""
    if not isinstance(value, float):
        return value
    return "" if np.isnan(value) else f"{value:.{_DIGITS.get(column, 4)}f}"


@dataclass(frozen=True)
class PredictResult(Result):
    """The result of ``predict``.

    Attributes
    ----------
    columns : tuple of str
        Columns of the table: ``file``, ``start_time``, ``end_time`` (s), ``label`` and ``score``
        of the best class, ``label_2`` and so on. The score of "(unknown)", "(silence)" and
        "(noise)", which are not classes, is NaN. If unknown sounds were asked for, also ``known``
        (0 to 1, not a probability: unknown below 0.5) and ``reason``, why no class is named.
    rows : list of list
        All rows, or the first few if they were written to a file.
    n_rows, n_clips : int
        Number of rows; number of clips that were read.
    failures : tuple of (str, str)
        Recordings that could not be read completely, and why. The existing part of a truncated
        recording is scored.
    output : Path or None
        The CSV file.
    seconds, audio_seconds : float
        Time taken and time of the windows scored.
    root : Path
        The folder that ``file`` is relative to.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    n_rows: int
    n_clips: int
    failures: Failures
    output: Path | None
    seconds: float
    audio_seconds: float
    root: Path = Path()

    def __repr__(self) -> str:
        where = f", in {self.output}" if self.output is not None else ""
        return f"<PredictResult: {self.n_rows} rows, {self.n_clips} clips{where}>"

    def to_frame(self) -> pd.DataFrame:
        """All rows, with the columns of the CSV file; read from the file if there is one."""
        import pandas as pd

        if self.output is None:
            return pd.DataFrame(self.rows, columns=list(self.columns))
        texts = [name for name in self.columns if name.startswith(("file", "label", "reason"))]
        frame = pd.read_csv(
            self.output,
            keep_default_na=False,
            dtype=dict.fromkeys(texts, object),
            na_values={name: [""] for name in self.columns if name not in texts},
            encoding_errors="surrogateescape",
        )
        return frame.assign(**{name: list(map(unguarded, frame[name])) for name in texts})

    def _html_parts(self) -> Iterable[Markup]:
        from semisonic.audio.player import SoundPart, part_players
        from semisonic.core.html import MOST_ROWS, note, problems, table

        rows = self.rows[:MOST_ROWS]
        yield table([name.replace("_", " ") for name in self.columns], rows, self.n_rows)
        scores = ["" if np.isnan(row[4]) else f"score {row[4]:.2f}" for row in rows]
        yield part_players(
            SoundPart(self.root / file, start, end, str(label), score)
            for (file, start, end, label, *_), score in zip(rows, scores, strict=True)
        )
        if self.output is not None:
            yield note(f"all rows: {self.output}")
        yield problems(self.failures)

    def summary(self) -> str:
        """The table and the failures, for a terminal."""
        cells = [[r[0], f"{r[1]:.2f}", f"{r[2]:.2f}", *self._shown(r[3:])] for r in self.rows]
        lines = []
        if cells:
            headers = ["file", "start s", "end s", "best", *["next"] * (len(cells[0]) - 4)]
            lines.append(text_table(headers, cells, ruled=True))
        if self.n_rows > len(self.rows):
            lines.append(f"... and {count_text(self.n_rows - len(self.rows), 'row')} more")
        if self.output is not None:
            lines.append(f"{count_text(self.n_rows, 'row')} in {self.output}")
        if self.failures:
            lines.append(f"{count_text(len(self.failures), 'file')} could not be read completely:")
            lines += [f"  {name}: {reason}" for name, reason in self.failures[:SHOWN]]
        return "\n".join(lines)

    def _shown(self, cells: Row) -> list[str]:
        """Labels with their scores."""
        reason = next((why for why, name in NOTHING.items() if name == cells[0]), "")
        if self.columns[-1] == "reason":
            *cells, _, reason = cells
        pairs = zip(cells[::2], cells[1::2], strict=True)
        texts = [f"{label} {score:.2f}" if label else "" for label, score in pairs]
        return [f"{cells[0]}: {reason}" if math.isnan(cells[1]) else texts[0], *texts[1:]]


def answer_limits(
    model: SoundModel, *, unknown: bool, threshold: str | float | None
) -> NDArray[np.float64] | None:
    """The threshold of each class, shape (n_classes,); None: always name the best class.

    Parameters
    ----------
    model : SoundModel
    unknown : bool
        Whether to use the model's rules for unknown sounds.
    threshold : "auto", number or None
        The model's own thresholds, one for all classes, or none.

    Raises
    ------
    ModelError
        If rules for unknown sounds or thresholds were asked for and the model has none.
    OptionError
        For a threshold that is neither "auto" nor from 0 to 1.
    """
    if unknown and not model.decision.unknown:
        raise ModelError(
            "the model has no rule for unknown sounds; fit one with 'semisonic calibrate'"
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
            raise OptionError(
                f"option 'threshold': found {threshold!r}, expected auto or a number from 0 to 1"
            )
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
    """Score files, folders or a clip table; a bad file does not affect the others.

    Parameters
    ----------
    model : SoundModel
    files : paths (see :func:`gather`) or Clips
    top : int
        Number of best classes in each row.
    windows : bool
        One row per window instead of one per clip.
    unknown : bool
        Answer "(unknown)" for sounds that the model's rules call unknown.
    threshold : "auto", float, optional
        Answer "(unknown)" if no class reaches its threshold: the model's, or this one.
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    output : Path, optional
        A CSV file for the rows. The same call continues an interrupted one and writes the same
        file, byte for byte.

    Raises
    ------
    DataError
        If none of the files exists.
    ModelError
        If rules for unknown sounds or thresholds were asked for and the model has none.
    OptionError
        If the output would overwrite something else.
    """
    began = time.perf_counter()
    limits = answer_limits(model, unknown=unknown, threshold=threshold)
    named = [] if isinstance(files, Clips) else [Path(file) for file in files]
    if output is not None:
        check_file(output, VERB, SUFFIXES, inputs=named)
    clips, missing = (files, ()) if isinstance(files, Clips) else gather(named)
    ids, failures, shown = clips.ids, list(missing), list[Row]()
    n_rows, n_clips, scored_seconds = 0, 0, 0.0
    more = [f"{kind}_{i}" for i in range(2, min(top, len(model.classes)) + 1) for kind in _PAIR]
    columns = ("file", "start_time", "end_time", *_PAIR, *more)
    if unknown or limits is not None:
        columns = (*columns, "known", "reason")
    settings = top, windows, unknown, threshold, hop, batch_size
    key = digest(model_key(model), model.decision.thresholds, *settings)
    with ExitStack() as stack:
        journal = writer = None
        done: list[_Answer] = []
        if output is not None:
            journal = stack.enter_context(_journal(output))
            done = _answers_in(journal, key, clips)
            part = stack.enter_context(writing(output, VERB))
            how: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
            writer = stack.enter_context(part.open("w", **how))
            writer.write(csv_line(columns))
        scored = score_clips(
            model,
            clips,
            hop=hop,
            batch_size=batch_size,
            device=device,
            workers=workers,
            first=len(done),
        )
        label = f"{VERB} ({len(done)} of {len(clips)} clips are already scored)" if done else VERB
        for row in track(range(len(clips)), label, "clip"):
            if row < len(done):
                reason, n_windows, rows = done[row]
            else:
                clip = next(scored)
                reason, n_windows = clip.reason or clip.damage, len(clip.times)
                rows = _rows(model, clips, clip, columns, windows, unknown, limits)
                scored_seconds += float(np.diff(clip.times).sum())
                if journal is not None:
                    journal.add(((key, _identity(clips, row)), (), (reason, n_windows, rows)))
            if reason:
                failures.append((ids[row], reason))
            if not rows:
                continue
            n_clips, n_rows = n_clips + 1, n_rows + len(rows)
            if writer is not None:
                writer.writelines(csv_line(map(_cell, columns, one)) for one in rows)
            shown += rows if writer is None else rows[: SHOWN - len(shown)]
    seconds = time.perf_counter() - began
    return PredictResult(
        columns,
        shown,
        n_rows,
        n_clips,
        tuple(failures),
        output,
        seconds,
        scored_seconds,
        clips.root,
    )


_Answer = tuple[str, int, list[Row]]
"""What became of a clip: why it could not be read, or not to its end, its windows and its rows."""


@contextmanager
def _journal(output: Path) -> Iterator[KeyTable]:
    """The answers of a call, kept beside its output until that is complete."""
    path = output.with_name(f".{output.name}.semisonic-journal")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with KeyTable(path) as table:
            yield table
    except BaseException as error:
        if isinstance(error, OSError) and str(error.filename) == str(path):
            error.filename = str(output)
        with suppress(OSError):
            if not path.stat().st_size:
                path.unlink()
        raise
    path.unlink()


def _answers_in(journal: KeyTable, key: str, clips: Clips) -> list[_Answer]:
    """The answers of an earlier call, of whole blocks from the first clip on."""
    answers, n_whole = list[_Answer](), 0
    for row in range(len(clips) if len(journal) else 0):
        answer = journal.get((key, _identity(clips, row)), ())
        if answer is None:
            break
        answers.append(answer)
        if ends_block(row, answer[1]) or row + 1 == len(clips):
            n_whole = row + 1
    return answers[:n_whole]


def _identity(clips: Clips, row: int) -> str:
    """Changes when a clip or its file does."""
    path = clips.root / str(clips.file[row])
    stamp: tuple[Any, ...] = ()
    with suppress(OSError):
        stamp = stamp_of(path)
    times = float(clips.start_time[row]), float(clips.end_time[row])
    return digest(url_of(path) or os.path.realpath(path), *stamp, *times)


def _rows(
    model: SoundModel,
    clips: Clips,
    clip: ClipScores,
    columns: tuple[str, ...],
    windows: bool,
    unknown: bool,
    limits: NDArray[np.float64] | None,
) -> list[Row]:
    """The rows for one scored clip: one, or one per window; none if it could not be read."""
    if clip.reason:
        return []
    scores, known, silent, times = clip.windows, clip.known, clip.silent, clip.times
    if not windows:
        times = np.array([[times[0, 0], times[:, 1].max()]])
        scores, known = clip.mean[None], np.array([clip.mean_known])
        silent = np.array([clip.is_silent])
    reasons = unknown_reasons(scores, known, limits, unknown=unknown, multi_label=model.multi_label)
    # A network that must choose a class would name one all the same.
    for reason, rows_of in zip(NOTHING, (silent, (known == 0.0) & ~silent), strict=True):
        reasons[rows_of] = reason
    order = np.argsort(-scores, axis=1, kind="stable")
    if limits is not None and model.multi_label:  # classes that reach their threshold come first
        below = np.take_along_axis(scores < limits, order, axis=1)
        order = np.take_along_axis(order, np.argsort(below, axis=1, kind="stable"), axis=1)
    rows, top = [], sum(name.startswith("label") for name in columns)
    for number, best in enumerate(order[:, :top]):
        labels, reason = [model.classes[i] for i in best], str(reasons[number])
        values = scores[number, best].tolist()
        if reason in NOTHING:
            labels, values = [NOTHING[reason], *[""] * (top - 1)], [math.nan] * top
        elif reason:
            labels, values = [UNKNOWN, *labels[:-1]], [math.nan, *values[:-1]]
        pairs = chain.from_iterable(zip(labels, values, strict=True))
        row = [str(clips.file[clip.row]), *times[number].tolist(), *pairs]
        rows.append([*row, float(known[number]), reason] if "reason" in columns else row)
    return rows
