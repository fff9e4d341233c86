"""Training windows for a detector: labelled sounds mixed into background."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.audio.write import write
from semisonic.core import progress
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import digest, read_json, write_csv, write_json
from semisonic.core.options import to_dict
from semisonic.core.parallel import in_threads
from semisonic.core.seeds import generator
from semisonic.core.text import count_text
from semisonic.data.cache import KeyTable
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.options import MixOptions, checked_mix
from semisonic.data.outputs import check_folder
from semisonic.data.splits import make_folds
from semisonic.data.synth.mixing import (
    Backgrounds,
    BackgroundSource,
    Wave,
    add_sound,
    own_recordings,
    place_sound,
    read_sound,
    rms,
    synthetic_places,
)

COLUMNS = (
    "file",
    "label",
    "group",
    "fold",
    "label_type",
    "source",
    "event_start",
    "event_end",
    "snr_db",
    "background",
    "background_start",
)
WindowRow = dict[str, Any]
_TRIES = 20


@dataclass
class MixedClip:
    """What became of one task: rows of the table, or why there is none."""

    rows: list[WindowRow] = field(default_factory=list)
    left_out: str = ""
    n_scaled: int = 0


@dataclass(frozen=True, eq=False)
class WindowMaker:
    """Makes and writes windows below ``root``.

    ``part_of`` says for each fold which part of the backgrounds it hears.
    """

    root: Path
    clips: Clips
    options: MixOptions
    backgrounds: Backgrounds
    part_of: dict[int, int]

    def of_clip(self, row: int) -> MixedClip:
        """The windows of one clip.

        Raises
        ------
        AudioError
            When the clip cannot be decoded.
        """
        options, clips = self.options, self.clips
        sound = read_sound(clips, row, options.sample_rate, options)
        if isinstance(sound, str):
            return MixedClip(left_out=sound)
        made, name = MixedClip(), self.clips[row].ids[0]
        fold = int(clips.fold[row])
        for copy in range(options.copies):
            mixed = self._mixed(sound, name, copy, fold)
            if mixed is None:
                return MixedClip(left_out="mostly digital silence")
            wave, about = mixed
            label = LABEL_SEPARATOR.join(clips.labels[row])
            file = f"{_name(label)}-{row:06d}-{copy}.wav"
            made.n_scaled += self._write(file, wave)
            made.rows.append(
                {
                    "file": file,
                    "label": label,
                    "group": str(clips.group[row]),
                    "fold": fold,
                    "label_type": str(clips.label_type[row]),
                    "source": name,
                    **about,
                }
            )
        return made

    def of_background(self, number: int, fold: int) -> MixedClip:
        """A window of nothing but background."""
        options = self.options
        rng = generator(options.seed, "background window", number)
        quiet = self.backgrounds.draw(rng, self.part_of[fold])
        file = f"{_name(options.background_label)}-{number:06d}.wav"
        n_scaled = self._write(file, quiet.wave)
        row = {
            "file": file,
            "label": options.background_label,
            "group": f"background {quiet.group}",
            "fold": fold,
            "label_type": "positive",
            **_from_background(quiet.name, quiet.start),
        }
        return MixedClip([row], n_scaled=n_scaled)

    def _mixed(self, sound: Wave, name: str, copy: int, fold: int) -> tuple[Wave, WindowRow] | None:
        """A window with the sound in it; None when the sound is silence nearly everywhere."""
        options, rate = self.options, self.options.sample_rate
        rng = generator(options.seed, "window", name, copy)
        quiet = self.backgrounds.draw(rng, self.part_of[fold])
        low_db, high_db = options.snr_db
        snr_db = float(rng.uniform(low_db, high_db))
        for _ in range(_TRIES):
            first, end, at = place_sound(rng, len(sound), len(quiet.wave))
            heard = add_sound(quiet.wave, sound[first:end], at, snr_db, rms(quiet.wave), rate)
            if heard is not None:
                about = {
                    "event_start": f"{heard[0] / rate:.4f}",
                    "event_end": f"{heard[1] / rate:.4f}",
                    "snr_db": f"{snr_db:.2f}",
                }
                return quiet.wave, about | _from_background(quiet.name, quiet.start)
        return None

    def _write(self, file: str, wave: Wave) -> int:
        """Write a window; 1 if it had to be made quieter as a whole to fit into a file."""
        write(self.root / file, wave, self.options.sample_rate, overload="scale")
        return int(abs(wave).max() > 1)


def _from_background(name: str, start: float) -> WindowRow:
    return {"background": name, "background_start": f"{start:.3f}"}


def _name(label: str) -> str:
    """A part of a file's name made of a label, on any file system."""
    return re.sub(r"[^\w-]+", "_", label).strip("_") or "sound"


ABOUT, JOURNAL, TABLE = "mix.json", "journal.jsonl", "labels.csv"
BAD_FILES, LEFT_OUT = "bad_files.csv", "left_out.csv"
FORMAT = 1  # raise when the same options give other windows
_NO_MATTER = ("workers", "background")  # the background is told by its recordings


def claim(root: Path, options: MixOptions, clips: Clips, sources: list[BackgroundSource]) -> None:
    """Write down what windows are made of, or compare it with what the folder was made with.

    Raises
    ------
    DataError
        When the folder holds something else, or windows made otherwise.
    """
    wanted: dict[str, Any] = {
        "format": FORMAT,
        "options": {k: v for k, v in to_dict(options).items() if k not in _NO_MATTER},
        "clips": digest(*zip(clips.ids, clips.labels, clips.group, clips.fold, strict=True)),
        "background": digest(*((source.name, source.duration) for source in sources)),
    }
    check_folder(root, "mixed windows", {ABOUT})
    if not (root / ABOUT).exists():
        write_json(root / ABOUT, wanted)
        return
    try:
        found = read_json(root / ABOUT)
        found["format"], found["options"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{root / ABOUT}: damaged ({error}). Delete the folder, or choose another one"
        ) from error
    differences = [
        *(name for name in ("format", "clips", "background") if found.get(name) != wanted[name]),
        *_other_options(found["options"], wanted["options"]),
    ]
    if differences:
        raise DataError(
            f"{root}: holds windows made with another {', '.join(differences)}. "
            "Choose another folder"
        )


def _other_options(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} (found {found.get(name)}, asked for {value})"
        for name, value in wanted.items()
        if found.get(name) != value
    ]


def _finished(table: KeyTable, root: Path, task: str) -> MixedClip | None:
    """What an earlier call made in a task, if all of it is still there."""
    value = table.get((task,), ())
    made = None if value is None else MixedClip(**value)
    return made if made and all((root / row["file"]).is_file() for row in made.rows) else None


# Windows mixed of clips and background, as a folder to train from.
#
# The folder::
#
#     labels.csv               file,label,group and what is known of each window
#     robin-000012-0.wav …     named by the class, the clip's row and the copy
#     background-000000.wav …
#     left_out.csv             clips without a suitable sound, and why
#     bad_files.csv            clips and backgrounds that could not be read, if any
#     mix.json                 the options; journal.jsonl: what is finished
#
# The table is written last. Without it, the windows lie in no folders of classes that could be
# learned from without knowing which come from one recording.


Task = tuple[str, str, Callable[[], MixedClip]]


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
    options = checked_mix(options or MixOptions())
    root = Path(folder)
    clips, notes = _divided(require_labels(clips, "mixing"), options)
    rows = _rows(clips, options, notes)
    if options.background is None:
        sources = synthetic_places(options.seed, options.sample_rate)
        failures = list[tuple[str, str]]()
        notes.append(
            "the background is synthetic, as no recordings of the place were given (--background)"
        )
    else:
        sources, failures = own_recordings(options.background, options.sample_rate)
    folds = sorted(set(clips.fold[clips.is_labelled].tolist()), key=lambda fold: (fold == 0, fold))
    parts = {fold: i for i, fold in enumerate(folds)}
    backgrounds = Backgrounds(
        sources, options.window, options.sample_rate, len(parts), failures=failures
    )
    claim(root, options, clips, sources)
    maker = WindowMaker(root, clips, options, backgrounds, parts)
    with KeyTable(root / JOURNAL) as done:
        names = clips.ids
        tasks: list[Task] = [
            (f"clip {row}", names[row], partial(maker.of_clip, row)) for row in rows
        ]
        made = _work(tasks, done, root, backgrounds, options, "mix", "clip")
        sounds = [row for task, _, _ in tasks if task in made for row in made[task].rows]
        if not sounds:
            raise DataError(_nothing(clips, made, backgrounds))
        fold_of = _spread(sorted(int(row["fold"]) for row in sounds), options.background_windows)
        tasks += [
            (f"background {i} of fold {fold}", "background", partial(maker.of_background, i, fold))
            for i, fold in enumerate(fold_of)
        ]
        made |= _work(tasks[len(rows) :], done, root, backgrounds, options, "mix", "window")
    left_out = [
        (name, made[task].left_out)
        for task, name, _ in tasks
        if task in made and made[task].left_out
    ]
    failed = sorted(set(backgrounds.failures))
    table = [row for task, _, _ in tasks if task in made for row in made[task].rows]
    _write_tables(root, table, left_out, failed)
    n_scaled = sum(one.n_scaled for one in made.values())
    if left_out:
        notes.append(
            f"{len(left_out)} clips without a suitable sound, see {root / LEFT_OUT}; "
            f"the first: {left_out[0][0]}: {left_out[0][1]}"
        )
    if n_scaled:
        notes.append(
            f"{count_text(n_scaled, 'window')} made quieter as a whole, so that nothing is clipped"
        )
    n_clips = len({row["source"] for row in sounds})
    return Mixed(
        root,
        len(sounds),
        len(table) - len(sounds),
        n_clips,
        tuple(left_out),
        tuple(failed),
        tuple(notes),
    )


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
    tasks: list[Task],
    done: KeyTable,
    root: Path,
    backgrounds: Backgrounds,
    options: MixOptions,
    label: str,
    unit: str,
) -> dict[str, MixedClip]:
    """Do what is not done yet, in threads; what cannot be read is added to the failures."""
    made = {name: clip for name, _, _ in tasks if (clip := _finished(done, root, name))}
    missing = [task for task in tasks if task[0] not in made]

    def one(task: Task) -> tuple[str, MixedClip | None]:
        name, clip, make = task
        try:
            return name, make()
        except AudioError as error:
            backgrounds.failures.append((clip, error.reason))
            return name, None

    with progress.bar(len(tasks), label, unit, initial=len(tasks) - len(missing)) as bar:
        for name, result in in_threads(one, missing, options.workers):
            if result is not None:
                made[name] = result
                done.add(((name,), (), asdict(result)))
            bar.update()
    return made


def _spread(folds: list[int], n: int | None) -> Iterator[int]:
    """The fold of each window of background: in the proportion of those with sounds."""
    n = -(-len(folds) // 2) if n is None else n
    return (folds[i * len(folds) // n] for i in range(n))


def _nothing(clips: Clips, made: dict[str, MixedClip], backgrounds: Backgrounds) -> str:
    reasons = [one.left_out for one in made.values() if one.left_out]
    reasons += [reason for _, reason in backgrounds.failures]
    return (
        f"'{clips.name}': none of the clips has a sound to mix (the first: {reasons[0]}). "
        "Other --shortest and --longest, or --no-cut for whole clips, may find some"
    )


def _write_tables(
    root: Path,
    table: list[dict[str, object]],
    left_out: list[tuple[str, str]],
    failures: list[tuple[str, str]],
) -> None:
    """Write labels.csv, with the columns in which something stands, and the two lists."""
    usual = {"label_type": "positive"}
    columns = [c for c in COLUMNS if any((row.get(c) or "") != usual.get(c, "") for row in table)]
    text = [[str(row.get(column) or "") for column in columns] for row in table]
    write_csv(root / TABLE, columns, text)
    for name, rows in ((LEFT_OUT, left_out), (BAD_FILES, failures)):
        if rows:
            write_csv(root / name, ("file", "reason"), rows)
        else:
            (root / name).unlink(missing_ok=True)
