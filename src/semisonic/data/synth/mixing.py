"""Training windows for a detector: labelled sounds mixed into background.

The longest segment of sound of a clip that is not much quieter than its loudest moment is mixed
into windows of background at random times and levels. The folder::

    labels.csv               file,label,group and what is known of each window
    robin-000012-0.wav …     named by the class, the clip's row and the copy
    background-000000.wav …
    left_out.csv             clips without a suitable sound, and why
    bad_files.csv            clips and backgrounds that could not be read, if any
    mix.json                 the options; journal.jsonl: what is finished

The table is written last. Without it, the folder cannot be read as class folders, in which it
would be unknown which windows come from one recording.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.audio.find import find_audio
from semisonic.audio.read import probe, read
from semisonic.audio.resample import fit_length
from semisonic.audio.write import write
from semisonic.core import progress
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import digest, write_csv
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.parallel import in_threads
from semisonic.core.seeds import generator
from semisonic.core.text import count_text
from semisonic.data.cache import KeyTable
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.events import BACKGROUND
from semisonic.data.outputs import claim_folder
from semisonic.data.splits import make_folds
from semisonic.data.synth.render import background as place_noise

Wave = NDArray[np.float32]
Failures = list[tuple[str, str]]
LEVEL = 0.01
"""Root mean square of synthetic backgrounds, full scale 1: -40 dB."""
SHORTEST, LONGEST = 0.3, 4.0
"""Shortest and, by default, longest segments of sound that are mixed, in seconds."""
_PLACES, _PLACE_SECONDS = 8, 60.0  # synthetic backgrounds
_BLOCK = 10.0  # seconds of background whose windows count as one recording
_FADE = 0.01  # seconds of the soft ends of a sound
_DEPTH_DB = 25.0  # sound is what is at most so far below the loudest 10 ms of the clip
_GAP = 0.4  # a quieter pause up to this does not end a segment, in seconds
_TRIES = 20
_TO_SPARE = 0.01  # seconds read more than wanted, for what resampling takes
_FORMAT = 1  # raise when the same options give other windows
_COLUMNS = (
    *("file", "label", "group", "fold", "label_type", "source", "event_start", "event_end"),
    *("snr_db", "background", "background_start"),
)


# One sound: cut out of its clip, and put into a background at a level.


def find_event(wave: Wave, sample_rate: int) -> tuple[int, int] | None:
    """The longest segment of sound: its first sample, and the one after its last.

    The level is computed every 10 ms. None for digital silence.
    """
    frame = max(1, round(sample_rate / 100))
    n = len(wave) // frame
    level = np.square(wave[: n * frame].reshape(n, frame), dtype=np.float64).mean(axis=1)
    if not n or not level.any():
        return None
    loud = np.flatnonzero(level >= level.max() * 10 ** (-_DEPTH_DB / 10))
    breaks = np.flatnonzero(np.diff(loud) > _GAP * sample_rate / frame)
    starts = loud[np.r_[0, breaks + 1]]
    ends = loud[np.r_[breaks, len(loud) - 1]] + 1
    best = int(np.argmax(ends - starts))
    return int(starts[best]) * frame, int(ends[best]) * frame


def read_sound(
    clips: Clips, row: int, sample_rate: int, *, cut: bool = True, longest: float = LONGEST
) -> tuple[Wave | None, str]:
    """Decode a clip: the part to mix, or None and the reason.

    ``cut`` takes the longest segment of sound, which must have between 0.3 and ``longest`` seconds.

    Raises
    ------
    AudioError
        When the clip cannot be decoded.
    """
    wave = clips.read(row, sample_rate)
    found = find_event(wave, sample_rate) if cut else (0, len(wave))
    if found is None or not wave.any():
        return None, "digital silence"
    first, stop = found
    length = (stop - first) / sample_rate
    if cut and not SHORTEST <= length <= longest:
        expected = f"expected {SHORTEST:g} to {longest:g} s"
        return None, f"its longest segment of sound is {length:.2f} s long, {expected}"
    return wave[first:stop], ""


def place_sound(rng: np.random.Generator, n_sound: int, n_window: int) -> tuple[int, int, int]:
    """Draw the position of a sound in a window.

    If a sound is longer than the window, a part is used. At least half of it is in the window; at
    most a quarter of the window's length is lost at its beginning.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_sound, n_window : int
        Samples, at least 1.

    Returns
    -------
    first, end : int
        The part of the sound that is taken.
    at : int
        Sample of the window at which that part begins; negative when its beginning is cut off.
    """
    more = n_sound - n_window
    first = int(rng.integers(more + 1)) if more > 0 else 0
    n = min(n_sound, n_window)
    half = n // 2
    at = int(rng.integers(-min(half, n_window // 4), n_window - half))
    return first, first + n, at


def add_sound(
    wave: Wave, sound: Wave, at: int, snr_db: float, level: float, sample_rate: int
) -> tuple[int, int] | None:
    """Mix a sound into ``wave``, in place, with this level.

    Parameters
    ----------
    wave : ndarray of float32, shape (n,)
        The background.
    sound : ndarray of float32, shape (m,)
        The sound; its ends get fades of 10 ms.
    at : int
        First sample in ``wave``; parts outside are cut off.
    snr_db : float
        Root mean square of that part over ``level``, dB.
    level : float
        Root mean square of the background, full scale 1, above 0.
    sample_rate : int
        Hz.

    Returns
    -------
    (int, int) or None
        The samples of ``wave`` with the sound; None, without a change, if only silence of the
        sound is in the window.
    """
    first, end = max(0, at), min(len(wave), at + len(sound))
    if end <= first:
        return None
    n, fade = len(sound), max(1, round(_FADE * sample_rate))
    ramp = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / fade
    part = (sound * np.minimum(1.0, ramp))[first - at : end - at]
    loudness = rms(part)
    if loudness <= 1e-9:
        return None
    wave[first:end] += (part * (level * 10 ** (snr_db / 20) / loudness)).astype(np.float32)
    return first, end


def rms(wave: NDArray[np.floating[Any]]) -> float:
    """Root mean square of samples, shape (n,) with n at least 1."""
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean()))


# What windows are mixed into: a user's own quiet recordings, or synthetic ones.


class _Source(NamedTuple):
    """A background recording: name, length in seconds, and a function that reads a part."""

    name: str
    duration: float
    read: Callable[[float, float], Wave]


def _own_sources(folder: Path, rate: int, failures: Failures) -> list[_Source]:
    """The recordings below a folder; those with unreadable headers are failures."""

    def part(file: Path, start: float, end: float) -> Wave:
        return read(file, sample_rate=rate, start_time=start, end_time=end)[0]

    sources = list[_Source]()
    for file in progress.track(find_audio(folder), "read headers", "file"):
        try:
            info = probe(file)
        except AudioError as error:
            failures.append((str(file), error.reason))
        else:
            name = file.relative_to(folder).as_posix()
            sources.append(_Source(name, info.duration, partial(part, file)))
    return sources


def _synthetic_sources(seed: int, rate: int) -> list[_Source]:
    """Quiet synthetic backgrounds of several places."""

    def part(wave: Wave, start: float, end: float) -> Wave:
        return wave[round(start * rate) : round(end * rate)]

    sources = []
    for i in progress.track(range(_PLACES), "make backgrounds", "place"):
        wave = synthetic_backgrounds(seed, _PLACE_SECONDS, rate, place=f"place {i}")
        sources.append(_Source(f"synthetic place {i}", _PLACE_SECONDS, partial(part, wave)))
    return sources


def synthetic_backgrounds(
    seed: int, seconds: float, sample_rate: int, *, place: str = "place", take: int = 0
) -> Wave:
    """Quiet synthetic background, shape (n,), at ``LEVEL``.

    Parameters
    ----------
    seed : int
    seconds : float
    sample_rate : int
        Hz.
    place : str
        Name of the place.
    take : int
        Number of the time at this place.
    """
    n, minute = round(seconds * sample_rate), 60 * sample_rate
    parts = [
        place_noise(
            generator(seed, "mixing", place),
            generator(seed, "mixing", place, take, i),
            minute,
            sample_rate,
        )
        for i in range(max(1, -(-n // minute)))
    ]
    return (LEVEL * np.concatenate(parts)[:n]).astype(np.float32)


class _Backgrounds:
    """Background recordings, to draw samples of one length from.

    With several parts, each recording is divided into pieces of equal length, one per part, so
    that folds do not share background. ``failures`` receives the recordings that cannot be read.
    """

    def __init__(
        self,
        sources: Sequence[_Source],
        seconds: float,
        rate: int,
        n_parts: int,
        failures: Failures,
    ) -> None:
        self.seconds, self.rate, self.n_parts, self.failures = seconds, rate, n_parts, failures
        needed = (seconds + _TO_SPARE) * n_parts
        self.sources = [source for source in sources if source.duration >= needed]
        if not self.sources:
            longest = max((source.duration for source in sources), default=0.0)
            raise DataError(
                f"background: found {len(sources)} readable recordings, the longest of "
                f"{longest:g} s; expected at least {needed:g} s for windows of {seconds:g} s"
                + (f" in {n_parts} parts, one per fold" if n_parts > 1 else "")
            )
        lengths = np.array([source.duration for source in self.sources])
        self.reach = np.cumsum(lengths) / lengths.sum()

    def draw(self, rng: np.random.Generator, part: int) -> tuple[Wave, str, dict[str, Any]]:
        """Samples that are not silent, shape (n,), with their group and origin.

        Raises
        ------
        DataError
            When many draws gave only unreadable parts or digital silence.
        """
        for _ in range(_TRIES):
            row = int(np.searchsorted(self.reach, rng.random(), side="right"))
            source = self.sources[min(row, len(self.sources) - 1)]
            # No window lies in two blocks.
            length, needed = source.duration / self.n_parts, self.seconds + _TO_SPARE
            n_blocks = max(1, int(length // max(_BLOCK, 2 * needed)))
            size = length / n_blocks
            begin = part * length + int(rng.integers(n_blocks)) * size
            start = begin + float(rng.random()) * (size - needed)
            try:
                wave = source.read(start, start + needed)
            except AudioError as error:
                reason = error.reason
                self.failures.append((source.name, reason))
                continue
            if wave.any():
                wave = fit_length(wave, round(self.seconds * self.rate)).copy()
                group = f"background {source.name}@{begin:.3f}-{begin + size:.3f}"
                about = {"background": source.name, "background_start": f"{start:.3f}"}
                return wave, group, about
            reason = "digital silence, above which no level can be set"
        raise DataError(
            f"background: found nothing usable in {_TRIES} draws (last: {source.name}: "
            f"{reason}); expected recordings of the place without events"
        )


# The folder of windows.


class Mixed(NamedTuple):
    """The result of :func:`mix`.

    Attributes
    ----------
    n_sounds, n_background : int
        Number of windows with a sound, and of background only.
    n_clips : int
        Number of clips in windows.
    left_out, failures : list of (clip, reason)
        Clips without a suitable sound; clips and backgrounds that could not be read.
    notes : list of str
        Decisions that users should know.
    """

    n_sounds: int
    n_background: int
    n_clips: int
    left_out: Failures
    failures: Failures
    notes: list[str]


_Made = list[dict[str, Any]] | str
"""Result of a task: the rows of its windows, or the reason why there are none."""
_Task = tuple[str, str, Callable[[], _Made]]
"""The name of a task in the journal, that of its clip, and the work."""


def mix(
    clips: Clips,
    folder: str | os.PathLike[str],
    *,
    background: Path | None = None,
    window: float = 2.0,
    copies: int = 2,
    snr_db: tuple[float, ...] = (0.0, 25.0),
    background_windows: int | None = None,
    n_folds: int = 0,
    fold: Sequence[int] = (),
    sample_rate: int = 22050,
    seed: int = 0,
    workers: int | None = None,
    cut: bool = True,
    longest: float = LONGEST,
) -> Mixed:
    """Make windows of labelled clips in ``folder``, or the missing ones.

    The same clips and options give the same bytes. A killed call is continued.

    Parameters
    ----------
    clips : Clips
        Clips with labels are mixed. Windows get their groups, folds and label types.
    folder : path
        A new or empty folder, or one with windows made with the same options.
    background : Path, optional
        Folder of recordings of the place without sounds of interest; by default quiet synthetic
        backgrounds.
    window : float
        Seconds per window.
    copies : int
        Number of windows per clip.
    snr_db : (float, float)
        Lowest and highest level of a sound above its background, dB.
    background_windows : int, optional
        Number of windows of background only; by default half as many as with sounds.
    n_folds : int
        Number of folds to make if the clips have none; 0 for none.
    fold : sequence of int
        Use only clips of these folds; by default all.
    sample_rate : int
        Hz.
    seed : int
    workers : int, optional
        Threads.
    cut : bool
        Mix the longest segment of sound of each clip instead of the whole clip.
    longest : float
        Seconds; clips whose longest segment is longer are left out.

    Raises
    ------
    OptionError
        For options that cannot be met.
    DataError
        When no clip has a label, no window could be made, the background is too short or silent,
        or the folder contains something else.
    """
    if len(snr_db) != 2 or snr_db[0] > snr_db[1]:
        found = ",".join(f"{value:g}" for value in snr_db) or "nothing"
        raise OptionError(
            f"snr_db: found {found}, expected the lowest and the highest level in dB, such as 0,25"
        )
    root = Path(folder)
    notes: list[str] = []
    failures: Failures = []
    clips = require_labels(clips, "mixing")
    if n_folds and clips.folds:
        notes.append(f"the {len(clips.folds)} folds of the clips are used; n_folds is ignored")
    elif n_folds:
        clips = clips.with_columns(fold=make_folds(clips, n_folds, seed))
    rows = _rows(clips, fold, notes)
    if background is None:
        sources = _synthetic_sources(seed, sample_rate)
        notes.append(
            "the background is synthetic, as no recordings of the place were given (--background)"
        )
    else:
        sources = _own_sources(background, sample_rate, failures)
    folds = sorted(set(clips.fold[clips.is_labelled].tolist()), key=lambda fold: (fold == 0, fold))
    part_of = {fold: i for i, fold in enumerate(folds)}
    backgrounds = _Backgrounds(sources, window, sample_rate, len(folds), failures)
    options: dict[str, Any] = {
        "window": window,
        "copies": copies,
        "snr_db": list(snr_db),
        "background_windows": background_windows,
        "n_folds": n_folds,
        "fold": list(fold),
        "sample_rate": sample_rate,
        "seed": seed,
        "cut": cut,
        "longest": longest,
    }
    about = {
        "format": _FORMAT,
        "options": options,
        "clips": digest(*zip(clips.ids, clips.labels, clips.group, clips.fold, strict=True)),
        "background": digest(*((source.name, source.duration) for source in sources)),
    }
    claim_folder(root, "mixed windows", "mix.json", about)
    names = clips.ids

    def mix_clip(row: int) -> _Made:
        sound, reason = read_sound(clips, row, sample_rate, cut=cut, longest=longest)
        if sound is None:
            return reason
        label, its_fold = LABEL_SEPARATOR.join(clips.labels[row]), int(clips.fold[row])
        stem = re.sub(r"[^\w-]+", "_", label).strip("_") or "sound"
        rows = []
        for copy in range(copies):
            rng = generator(seed, "window", names[row], copy)
            wave, _, place = backgrounds.draw(rng, part_of[its_fold])
            event = _mix_one(rng, wave, sound, snr_db, sample_rate)
            if event is None:
                return "mostly digital silence"
            file = f"{stem}-{row:06d}-{copy}.wav"
            write(root / file, wave, sample_rate, overload="scale")
            own = {"file": file, "label": label, "group": str(clips.group[row]), "fold": its_fold}
            own |= {"label_type": str(clips.label_type[row]), "source": names[row]}
            rows.append({**own, **event, **place})
        return rows

    def quiet_window(number: int, its_fold: int) -> _Made:
        rng = generator(seed, "background window", number)
        wave, group, place = backgrounds.draw(rng, part_of[its_fold])
        file = f"{BACKGROUND}-{number:06d}.wav"
        write(root / file, wave, sample_rate, overload="scale")
        return [{"file": file, "label": BACKGROUND, "group": group, "fold": its_fold, **place}]

    def work(tasks: Sequence[_Task], unit: str) -> list[dict[str, Any]]:
        """Do the remaining tasks; clips that cannot be read are failures."""

        def one(task: _Task) -> tuple[_Made, bool]:
            name, clip, make = task
            known: _Made | None = done.get((name,), ())
            if known is not None and (
                isinstance(known, str) or all((root / row["file"]).is_file() for row in known)
            ):
                return known, True
            try:
                return make(), False
            except AudioError as error:
                failures.append((clip, error.reason))
                return [], True

        rows = []
        with progress.bar(len(tasks), "mix", unit) as bar:
            results = in_threads(one, tasks, workers, ordered=True)
            for (name, clip, _), (made, is_old) in zip(tasks, results, strict=True):
                if not is_old:
                    done.add(((name,), (), made))
                if isinstance(made, str):
                    left_out.append((clip, made))
                else:
                    rows += made
                bar.update()
        return rows

    left_out: Failures = []
    with KeyTable(root / "journal.jsonl") as done:
        sounds = work([(f"clip {row}", names[row], partial(mix_clip, row)) for row in rows], "clip")
        if not sounds:
            raise DataError(
                f"'{clips.name}': found no sound to mix in any clip (the first: "
                f"{(*left_out, *failures)[0][1]}). Try another --longest, or --no-cut for whole "
                "clips"
            )
        # The fold of each window of background: in the proportion of those with sounds.
        in_folds = sorted(row["fold"] for row in sounds)
        n_quiet = -(-len(sounds) // 2) if background_windows is None else background_windows
        fold_of = [in_folds[i * len(in_folds) // n_quiet] for i in range(n_quiet)]
        tasks = [
            (f"background {i} of fold {fold}", "background", partial(quiet_window, i, fold))
            for i, fold in enumerate(fold_of)
        ]
        quiet = work(tasks, "window")
    failed = sorted(set(failures))
    _write_tables(root, [*sounds, *quiet], left_out, failed)
    if left_out:
        notes.append(
            f"{count_text(len(left_out), 'clip')} without a suitable sound, see "
            f"{root / 'left_out.csv'}; the first: {': '.join(left_out[0])}"
        )
    n_clips = len({row["source"] for row in sounds})
    return Mixed(len(sounds), len(quiet), n_clips, left_out, failed, notes)


def _rows(clips: Clips, folds: Sequence[int], notes: list[str]) -> list[int]:
    """The rows to mix: with a label other than background, in the requested folds."""
    wanted = clips.is_labelled
    quiet = np.array([BACKGROUND in labels for labels in clips.labels], np.bool_)
    if not wanted.all():
        notes.append(f"{int((~wanted).sum())} clips without a label are not mixed")
    if quiet.any():
        notes.append(
            f"{int(quiet.sum())} clips of the class '{BACKGROUND}' are not mixed; "
            "give their folder as --background"
        )
    if unknown := sorted(set(folds) - set(clips.folds)):
        raise OptionError(
            f"fold: found {', '.join(map(str, unknown))}; the clips have "
            f"{', '.join(map(str, clips.folds)) or 'no folds (n_folds makes some)'}"
        )
    if folds:
        wanted = wanted & np.isin(clips.fold, folds)
    rows: list[int] = np.flatnonzero(wanted & ~quiet).tolist()
    if not rows:
        raise DataError(f"'{clips.name}': none of {len(clips)} clips is left to mix")
    return rows


def _mix_one(
    rng: np.random.Generator, wave: Wave, sound: Wave, snr_range: tuple[float, ...], rate: int
) -> dict[str, str] | None:
    """Mix a sound into a window; return time and level, or None if it is nearly silent."""
    snr_db = float(rng.uniform(snr_range[0], snr_range[1]))
    for _ in range(_TRIES):
        first, end, at = place_sound(rng, len(sound), len(wave))
        placed = add_sound(wave, sound[first:end], at, snr_db, rms(wave), rate)
        if placed is not None:
            start, end = placed
            times = {"event_start": f"{start / rate:.4f}", "event_end": f"{end / rate:.4f}"}
            return {**times, "snr_db": f"{snr_db:.2f}"}
    return None


def _write_tables(
    root: Path, table: list[dict[str, Any]], left_out: Failures, failures: Failures
) -> None:
    """Write labels.csv, without empty columns, and the two lists."""
    frame = pd.DataFrame(table, columns=_COLUMNS).fillna("")
    frame["label_type"] = frame["label_type"].replace("", "positive")
    usual = {"label_type": "positive", "fold": 0}
    frame = frame[[c for c in _COLUMNS if (frame[c] != usual.get(c, "")).any()]]
    if "fold" in frame:
        frame["fold"] = frame["fold"].replace(0, "")
    write_csv(
        root / "labels.csv", frame.columns.tolist(), frame.astype(str).itertuples(index=False)
    )
    for name, rows in (("left_out.csv", left_out), ("bad_files.csv", failures)):
        if rows:
            write_csv(root / name, ("file", "reason"), rows)
        else:
            (root / name).unlink(missing_ok=True)
