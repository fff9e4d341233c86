"""The synthetic data set: written as audio files and tables, and read again.

The folder::

    synth.json      the options and the classes
    labels.csv      file,label,group,fold,true_label
    noisy.csv       file,label,group,true_label of clips with unchecked labels, if any
    pool.csv        file,group,true_label
    labelled/       rain-000-0.flac …
    noisy/0000/     0000000.flac …
    pool/0000/      0000000.flac …

Several labels in a cell are joined with ';'. ``true_label`` is for measuring: it has no wrong
labels, and in ``pool.csv`` it has labels that training must not use.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from semisonic.core import progress
from semisonic.core.errors import DataError
from semisonic.core.files import (
    csv_line,
    digest,
    read_csv,
    read_json,
    replacing,
    write_text,
)
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.options import to_dict
from semisonic.core.parallel import count_workers, in_threads
from semisonic.core.seeds import generator
from semisonic.core.user_cache import cache_part
from semisonic.data.clips import UNCERTAIN, Clips
from semisonic.data.options import CLASSES, OUTSIDE, SynthOptions
from semisonic.data.outputs import claim_folder

_GOLDEN = (math.sqrt(5) - 1) / 2
_SILVER = math.sqrt(2) - 1
_OUTSIDE_SHARE = 0.2  # of the pool, with sounds that are no class
_FOLDER_SIZE = 1000  # pool clips in one folder
NOISY = "noisy.csv"
FORMAT = 1  # raise when the same options give other sounds
_ONLY_IN_TABLES = ("clips_per_class", "n_pool", "n_folds", "n_noisy", "noisy_wrong")


# Which clips a set consists of: names, folds, labels. No audio is made here.


@dataclass(frozen=True)
class Item:
    """A row of the set: the file, its sounds, and its entries in the tables.

    Attributes
    ----------
    file : str
    recording : str
        Its name, the seed of its conditions.
    number : int
        Which clip of the recording.
    sounds : tuple of str
        The sounds in it, the first the loudest or nearly so.
    labels : tuple of str
        The labels for users, with wrong ones among the unverified.
    fold : int
    """

    file: str
    recording: str
    number: int
    sounds: tuple[str, ...]
    labels: tuple[str, ...] = ()
    fold: int = 0


def labelled_items(options: SynthOptions) -> Iterator[Item]:
    """The labelled clips, class by class."""
    n = options.clips_per_class
    for name in options.classes:
        mixed = _shared_out(options.seed, f"mixtures {name}", options.mixtures, _GOLDEN, n)
        for i in range(n):
            r, number = divmod(i, options.clips_per_recording)
            recording = f"{name}-{r:03d}"
            sounds = _sounds(options, recording, number, name, mixed[i])
            file = f"labelled/{recording}-{number}.flac"
            yield Item(file, recording, number, sounds, sounds, r % options.n_folds + 1)


def noisy_items(options: SynthOptions) -> Iterator[Item]:
    """Clips with unverified labels, from separate recordings; the classes alternate.

    They are in no fold.
    """
    n, seed = options.n_noisy, options.seed
    mixed = _shared_out(seed, "noisy mixtures", options.mixtures, _GOLDEN, n)
    wrong = _shared_out(seed, "noisy wrong", options.noisy_wrong, _SILVER, n)
    for i in range(n):
        q, number = divmod(i, options.clips_per_recording)
        recording = f"noisy-{q:06d}"
        name = options.classes[q % options.n_classes]
        sounds = labels = _sounds(options, recording, number, name, mixed[i])
        if wrong[i]:  # the first label becomes a class that is not there
            absent = [name for name in options.classes if name not in sounds]
            rng = generator(seed, "synth label noise", recording, number)
            false = (absent[int(rng.integers(len(absent)))],) if absent else ()
            labels = (*false, *sounds[1:])
        file = f"noisy/{i // _FOLDER_SIZE:04d}/{i:07d}.flac"
        yield Item(file, recording, number, sounds, labels)


def pool_items(options: SynthOptions) -> Iterator[Item]:
    """The unlabelled clips; the classes alternate, in an order shuffled every round."""
    n, seed = options.n_pool, options.seed
    outside = (*CLASSES[options.n_classes :], *OUTSIDE)
    strange = _shared_out(seed, "pool outside", _OUTSIDE_SHARE, _GOLDEN, n)
    mixed = _shared_out(seed, "pool mixtures", options.mixtures, _SILVER, n)
    turn: list[int] = []
    for i in range(n):
        q, number = divmod(i, options.clips_per_recording)
        lap, at = divmod(q, options.n_classes)
        if at == 0 and number == 0:
            turn = generator(seed, "synth pool order", lap).permutation(options.n_classes).tolist()
        name = options.classes[turn[at]]
        if strange[q]:
            rng = generator(seed, "synth pool outside", q)
            name = outside[int(rng.integers(len(outside)))]
        recording = f"pool-{q:06d}"
        sounds = _sounds(options, recording, number, name, mixed[i])
        yield Item(f"pool/{i // _FOLDER_SIZE:04d}/{i:07d}.flac", recording, number, sounds)


def _sounds(
    options: SynthOptions, recording: str, number: int, name: str, mixed: bool
) -> tuple[str, ...]:
    """A sound and, in a mixture, one or, in a quarter of cases, two other classes."""
    if not mixed:
        return (name,)
    rng = generator(options.seed, "synth companions", recording, number)
    others = [other for other in options.classes if other != name]
    order = rng.permutation(len(others)).tolist()
    return name, *(others[k] for k in order[: 1 + int(rng.random() < 0.25)])


def _shared_out(seed: int, name: str, share: float, step: float, n: int) -> list[bool]:
    """A share of the numbers 0, 1, 2 … spread evenly.

    Of the first n numbers, for any n, about ``share * n`` are chosen (within two), and
    whether a number is chosen does not depend on n: multiples of an irrational step fill
    the circle evenly.
    """
    start = float(generator(seed, "synth share", name).random())
    return [(start + i * step) % 1.0 < share for i in range(n)]


# The set as files.


def make_in_cache(options: SynthOptions) -> Path:
    """Make the set in the user's cache, where all runs find it; return its folder."""
    folder = cache_part("sounds") / f"synth-{digest(options)}"
    make_synth(folder, options)
    return folder


def make_synth(
    folder: str | os.PathLike[str],
    options: SynthOptions = SynthOptions(),
    workers: int | None = None,
) -> None:
    """Make the set in ``folder``, or its missing files.

    A complete set is not changed. A killed call is continued, as files are written atomically. A
    later call may request more clips and keeps the existing ones; with fewer, the surplus files
    stay but are in no table.

    Parameters
    ----------
    folder : path
        A new or empty folder, or one with a set of the same options.
    options : SynthOptions, optional
    workers : int, optional
        Number of threads; by default one per processor. The result does not depend on it.

    Raises
    ------
    OptionError, DataError
        When the folder contains something else.
    """
    root = Path(folder)
    about = {"format": FORMAT, "options": to_dict(options), "classes": list(options.classes)}
    claim_folder(root, "a synth set", "synth.json", about, {*_ONLY_IN_TABLES})
    labelled, pool = list(labelled_items(options)), list(pool_items(options))
    noisy = list(noisy_items(options))
    missing = [item for item in (*labelled, *noisy, *pool) if not (root / item.file).exists()]
    if missing:
        _render_all(root, missing, options, count_workers(workers))
    _write_table(root / "labels.csv", labelled, ("file", "label", "group", "fold", "true_label"))
    if noisy or (root / NOISY).exists():
        _write_table(root / NOISY, noisy, ("file", "label", "group", "true_label"))
    _write_table(root / "pool.csv", pool, ("file", "group", "true_label"))


def _render_all(root: Path, items: list[Item], options: SynthOptions, workers: int) -> None:
    """Make the audio of all items, the clips of one recording in a row."""
    from semisonic.data.synth import render

    for part in root.glob("*/**/.*.part"):  # halves of files that a killed call left
        if time.time() - part.stat().st_mtime > 60:
            part.unlink(missing_ok=True)

    def make(recording: list[Item]) -> int:
        for item in recording:
            wave = render.render(options, item.recording, item.number, item.sounds)
            samples = np.round(wave * 32767.0).astype(np.int16)
            with replacing(root / item.file) as part:
                soundfile.write(part, samples, options.sample_rate, "PCM_16", format="FLAC")
        return len(recording)

    recordings = (list(group) for _, group in itertools.groupby(items, attrgetter("recording")))
    with progress.bar(len(items), "synth", "clip") as bar:
        for n_made in in_threads(make, recordings, workers):
            bar.update(n_made)


def _write_table(file: Path, items: list[Item], columns: tuple[str, ...]) -> None:
    cells = (
        {
            "file": item.file,
            "label": LABEL_SEPARATOR.join(item.labels),
            "group": item.recording,
            "fold": str(item.fold),
            "true_label": LABEL_SEPARATOR.join(item.sounds),
        }
        for item in items
    )
    text = "".join(map(csv_line, (columns, *([row[name] for name in columns] for row in cells))))
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def load_synth(folder: str | os.PathLike[str], *, true_labels: bool = False) -> tuple[Clips, Clips]:
    """The labelled clips and the pool of a set that :func:`make_synth` wrote.

    Parameters
    ----------
    folder : path
        The folder of the set.
    true_labels : bool
        Return the true labels, for the pool too, to measure how well wrong labels are found or
        labels predicted. A pool clip with only sounds outside the classes has no label even then.

    Returns
    -------
    labelled, pool : Clips
        The classes are in the order of the set. Noisy clips are among the labelled ones, with the
        label type "uncertain". The pool has groups but, by default, neither labels nor classes.

    Raises
    ------
    DataError
        When the folder does not contain a finished set.
    """
    root = Path(folder)
    try:
        classes = tuple(map(str, read_json(root / "synth.json")["classes"]))
    except FileNotFoundError:
        raise DataError(
            f"{root}: not a synth set (no synth.json). Make one with 'semisonic data synth'"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / 'synth.json'}: damaged ({error}). Make the set again") from error
    column = "true_label" if true_labels else "label"
    rows = _rows(root / "labels.csv", column, classes)
    if (root / NOISY).exists():
        noisy = _rows(root / NOISY, column, classes)
        rows += [row | {"label_type": UNCERTAIN} for row in noisy]
    pool_rows = _rows(root / "pool.csv", "true_label", classes)
    pool = Clips.from_rows(root, pool_rows, classes, "synth pool")
    labelled = Clips.from_rows(root, rows, classes, "synth")
    return labelled, pool if true_labels else pool.without_labels()


def _rows(file: Path, column: str, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    if not file.exists():
        raise DataError(
            f"{file}: missing, so the synth set is not finished. Make it again with the same "
            "options; finished files are kept"
        )
    return [
        {
            "file": row["file"],
            "labels": [name for name in row[column].split(LABEL_SEPARATOR) if name in classes],
            "group": row["group"],
            "fold": row.get("fold", 0),
        }
        for row in read_csv(file)
    ]
