"""Windows mixed of clips and background, as a folder to train from.

The folder::

    labels.csv               file,label,group and what is known of each window
    robin-000012-0.wav …     named by the class, the clip's row and the copy
    background-000000.wav …
    left_out.csv             clips without a suitable sound, and why
    bad_files.csv            clips and backgrounds that could not be read, if any
    mix.json                 the options; journal.jsonl: what is finished

The table is written last. Without it, the windows lie in no folders of classes that could be
learned from without knowing which come from one recording.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from semisonic.base import progress
from semisonic.base.errors import AudioError, DataError, OptionError
from semisonic.base.files import write_csv
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.folds import make_folds
from semisonic.data.journal import Journal
from semisonic.data.mixing import folder as place
from semisonic.data.mixing.backgrounds import Backgrounds, made_up_places, own_recordings
from semisonic.data.mixing.options import MixOptions, checked
from semisonic.data.mixing.windows import COLUMNS, Made, WindowMaker
from semisonic.data.readers.load import require_labels
from semisonic.data.workers import count_workers, in_threads

Task = tuple[str, str, Callable[[], Made]]


@dataclass(frozen=True)
class Mixed:
    """What was made.

    Attributes
    ----------
    folder : Path
    n_sounds, n_background : int
        Windows with a sound, and of nothing but background.
    n_clips : int
        Clips that windows were made of.
    left_out, failures : tuple of (clip, reason)
        Clips without a suitable sound; clips and backgrounds that could not be read.
    notes : tuple of str
        What was decided on the way.
    """

    folder: Path
    n_sounds: int
    n_background: int
    n_clips: int
    left_out: tuple[tuple[str, str], ...]
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def mix(clips: Clips, folder: str | os.PathLike[str], options: MixOptions | None = None) -> Mixed:
    """Make windows of labelled clips in ``folder``, or what is missing of them.

    The same clips and options give the same bytes. A killed call is continued.

    Parameters
    ----------
    clips : Clips
        Those with labels are mixed. Groups, folds and label types go over to the windows.
    folder : path
        A new or empty folder, or one with windows made in the same way.
    options : MixOptions, optional
        The defaults when left out.

    Raises
    ------
    OptionError
        For options that cannot be met.
    DataError
        When no clip has a label, no window could be made, the background is too short or silent,
        or the folder holds something else.
    """
    options = checked(options or MixOptions())
    root = Path(folder)
    clips, notes = _divided(require_labels(clips, "mixing"), options)
    rows = _rows(clips, options, notes)
    if options.background is None:
        sources = made_up_places(options.seed, options.sample_rate)
        failures = list[tuple[str, str]]()
        notes.append(
            "the background is made up, as no recordings of the place were given (--background)"
        )
    else:
        sources, failures = own_recordings(options.background, options.sample_rate)
    folds = sorted(set(clips.fold[clips.is_labelled].tolist()), key=lambda fold: (fold == 0, fold))
    parts = {fold: i for i, fold in enumerate(folds)}
    backgrounds = Backgrounds(
        sources, options.window, options.sample_rate, len(parts), failures=failures
    )
    place.claim(root, options, clips, sources)
    maker = WindowMaker(root, clips, options, backgrounds, parts)
    with Journal(root / place.JOURNAL, before=lambda: None) as journal:
        names = clips.ids
        tasks: list[Task] = [
            (f"clip {row}", names[row], partial(maker.of_clip, row)) for row in rows
        ]
        made = _work(tasks, journal, root, backgrounds, options, "mix", "clip")
        sounds = [row for task, _, _ in tasks if task in made for row in made[task].rows]
        if not sounds:
            raise DataError(_nothing(clips, made, backgrounds))
        fold_of = _spread(sorted(int(row["fold"]) for row in sounds), options.background_windows)
        tasks += [
            (f"background {i} of fold {fold}", "background", partial(maker.of_background, i, fold))
            for i, fold in enumerate(fold_of)
        ]
        made |= _work(tasks[len(rows) :], journal, root, backgrounds, options, "mix", "window")
    left_out = [(name, made[task].left_out) for task, name, _ in tasks
                if task in made and made[task].left_out]  # fmt: skip
    failed = sorted(set(backgrounds.failures))
    table = [row for task, _, _ in tasks if task in made for row in made[task].rows]
    _write_tables(root, table, left_out, failed)
    n_scaled = sum(one.n_scaled for one in made.values())
    if left_out:
        notes.append(
            f"{len(left_out)} clips without a suitable sound, see {root / place.LEFT_OUT}; "
            f"the first: {left_out[0][0]}: {left_out[0][1]}"
        )
    if n_scaled:
        notes.append(
            f"{counted(n_scaled, 'window')} made quieter as a whole, so that nothing is clipped"
        )
    n_clips = len({row["source"] for row in sounds})
    return Mixed(
        root, len(sounds), len(table) - len(sounds), n_clips, tuple(left_out), tuple(failed),
        tuple(notes),
    )  # fmt: skip


def _divided(clips: Clips, options: MixOptions) -> tuple[Clips, list[str]]:
    """The clips with the folds that were asked for, and what is to be said of it."""
    if not options.n_folds:
        return clips, []
    if clips.folds:
        return clips, [f"the {len(clips.folds)} folds of the clips are kept; n_folds is not used"]
    return clips.with_columns(fold=make_folds(clips, options.n_folds, options.seed)), []


def _rows(clips: Clips, options: MixOptions, notes: list[str]) -> list[int]:
    """The rows to mix: with a label that is none of background, in the folds asked for."""
    wanted = clips.is_labelled
    quiet = np.array([options.background_label in labels for labels in clips.labels], np.bool_)
    if not wanted.all():
        notes.append(f"{int((~wanted).sum())} clips without a label are not mixed")
    if quiet.any():
        notes.append(
            f"{int(quiet.sum())} clips of the class '{options.background_label}' are not mixed; "
            "give their folder as --background"
        )
    if options.fold:
        unknown = sorted(set(options.fold) - set(clips.folds))
        if unknown:
            raise OptionError(
                f"fold: found {', '.join(map(str, unknown))}; the clips have "
                f"{', '.join(map(str, clips.folds)) or 'no folds (n_folds makes some)'}"
            )
        wanted = wanted & np.isin(clips.fold, options.fold)
    rows: list[int] = np.flatnonzero(wanted & ~quiet).tolist()
    if not rows:
        raise DataError(f"'{clips.name}': no clip to mix is left of {len(clips)}")
    return rows


def _work(
    tasks: list[Task], journal: Journal, root: Path, backgrounds: Backgrounds,
    options: MixOptions, label: str, unit: str,
) -> dict[str, Made]:  # fmt: skip
    """Do what is not done yet, in threads; what cannot be read is added to the failures."""
    made = place.finished(journal, root)
    missing = [task for task in tasks if task[0] not in made]

    def one(task: Task) -> tuple[str, Made | None]:
        name, clip, make = task
        try:
            return name, make()
        except AudioError as error:
            backgrounds.failures.append((clip, error.reason))
            return name, None

    with progress.bar(len(tasks), label, unit, initial=len(tasks) - len(missing)) as bar:
        for name, result in in_threads(one, missing, count_workers(options.workers)):
            if result is not None:
                made[name] = result
                journal.append(place.record_of(name, result))
            bar.update()
    return made


def _spread(folds: list[int], n: int | None) -> Iterator[int]:
    """The fold of each window of background: in the proportion of those with sounds."""
    n = -(-len(folds) // 2) if n is None else n
    return (folds[i * len(folds) // n] for i in range(n))


def _nothing(clips: Clips, made: dict[str, Made], backgrounds: Backgrounds) -> str:
    reasons = [one.left_out for one in made.values() if one.left_out]
    reasons += [reason for _, reason in backgrounds.failures]
    return (
        f"'{clips.name}': none of the clips has a sound to mix (the first: {reasons[0]}). "
        "Other --shortest and --longest, or --no-cut for whole clips, may find some"
    )


def _write_tables(
    root: Path, table: list[dict[str, object]], left_out: list[tuple[str, str]],
    failures: list[tuple[str, str]],
) -> None:  # fmt: skip
    """Write labels.csv, with the columns in which something stands, and the two lists."""
    usual = {"label_type": "positive"}
    columns = [c for c in COLUMNS if any((row.get(c) or "") != usual.get(c, "") for row in table)]
    text = [[str(row.get(column) or "") for column in columns] for row in table]
    write_csv(root / place.TABLE, columns, text)
    for name, rows in ((place.LEFT_OUT, left_out), (place.BAD_FILES, failures)):
        if rows:
            write_csv(root / name, ("file", "reason"), rows)
        else:
            (root / name).unlink(missing_ok=True)
