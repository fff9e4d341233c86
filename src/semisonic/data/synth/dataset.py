"""The synthetic data set: written as audio files and tables, and read again.

The folder::

    synth.json      the options and the classes
    labels.csv      file,label,group,fold,true_label
    noisy.csv       file,label,group,true_label of clips with unchecked labels, if any
    pool.csv        file,group,true_label
    labelled/       rain-000-0.flac …
    noisy/0000/     0000000.flac …
    pool/0000/      0000000.flac …

Several labels stand in one cell, joined with ';'. ``true_label`` is there for measuring:
it has no wrong label, and in ``pool.csv`` it names what a learner must not see.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
from semisonic.core.options import to_dict
from semisonic.core.parallel import count_workers, in_threads
from semisonic.core.seeds import generator
from semisonic.core.user_cache import cache_part
from semisonic.data.clips import LABEL_SEPARATOR, UNCERTAIN, Clips
from semisonic.data.options import CLASSES, OUTSIDE, SynthOptions, checked_synth
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
class Take:
    """One clip to be made.

    Attributes
    ----------
    seed : int
        The set's seed.
    recording : str
        The name of the recording, from which its conditions are drawn.
    number : int
        Which clip of the recording.
    sounds : tuple of str
        The sounds in it, the first the loudest or nearly so; empty for background only.
    duration : float
        Seconds.
    sample_rate : int
        Hz.
    snr_db : float
        Middle of the recordings' signal-to-noise ratios.
    """

    seed: int
    recording: str
    number: int
    sounds: tuple[str, ...]
    duration: float
    sample_rate: int
    snr_db: float

    @property
    def n_samples(self) -> int:
        """The length of the clip in samples."""
        return round(self.duration * self.sample_rate)


@dataclass(frozen=True)
class Item:
    """A row of the set: the file, what it is to hold and what the tables say of it.

    ``labels`` is what a user gets to see, with wrong ones among the unverified; ``take.sounds`` is
    the truth.
    """

    file: str
    take: Take
    labels: tuple[str, ...] = ()
    fold: int = 0


def labelled_items(options: SynthOptions) -> Iterator[Item]:
    """The labelled clips, class by class."""
    for name in options.classes:
        mixed = _Share(options.seed, f"mixtures {name}", options.mixtures, _GOLDEN)
        for i in range(options.clips_per_class):
            r, number = divmod(i, options.clips_per_recording)
            recording = f"{name}-{r:03d}"
            others = _companions(options, recording, number, name) if mixed.has(i) else ()
            take = _take(options, recording, number, (name, *others))
            file = f"labelled/{recording}-{number}.flac"
            yield Item(file, take, take.sounds, fold=r % options.n_folds + 1)


def noisy_items(options: SynthOptions) -> Iterator[Item]:
    """Clips with unverified labels, of recordings of their own; the classes take turns.

    They stand in no fold.
    """
    mixed = _Share(options.seed, "noisy mixtures", options.mixtures, _GOLDEN)
    wrong = _Share(options.seed, "noisy wrong", options.noisy_wrong, _SILVER)
    for i in range(options.n_noisy):
        q, number = divmod(i, options.clips_per_recording)
        name = options.classes[q % options.n_classes]
        recording = f"noisy-{q:06d}"
        others = _companions(options, recording, number, name) if mixed.has(i) else ()
        take = _take(options, recording, number, (name, *others))
        labels = take.sounds
        if wrong.has(i):
            labels = _mislabelled(options, recording, number, labels)
        yield Item(f"noisy/{i // _FOLDER_SIZE:04d}/{i:07d}.flac", take, labels)


def pool_items(options: SynthOptions) -> Iterator[Item]:
    """The unlabelled clips; the classes take turns, in an order shuffled every round."""
    outside = (*CLASSES[options.n_classes :], *OUTSIDE)
    strange = _Share(options.seed, "pool outside", _OUTSIDE_SHARE, _GOLDEN)
    mixed = _Share(options.seed, "pool mixtures", options.mixtures, _SILVER)
    turn: list[int] = []
    for i in range(options.n_pool):
        q, number = divmod(i, options.clips_per_recording)
        lap, at = divmod(q, options.n_classes)
        if at == 0 and number == 0:
            rng = generator(options.seed, "synth pool order", lap)
            turn = rng.permutation(options.n_classes).tolist()
        name = options.classes[turn[at]]
        recording = f"pool-{q:06d}"
        if strange.has(q):
            rng = generator(options.seed, "synth pool outside", q)
            name = outside[int(rng.integers(len(outside)))]
        others = _companions(options, recording, number, name) if mixed.has(i) else ()
        file = f"pool/{i // _FOLDER_SIZE:04d}/{i:07d}.flac"
        yield Item(file, _take(options, recording, number, (name, *others)))


def _take(o: SynthOptions, recording: str, number: int, sounds: tuple[str, ...]) -> Take:
    return Take(o.seed, recording, number, sounds, o.duration, o.sample_rate, o.snr_db)


def _companions(options: SynthOptions, recording: str, number: int, name: str) -> tuple[str, ...]:
    """One or, in a quarter of cases, two other classes in the same clip."""
    rng = generator(options.seed, "synth companions", recording, number)
    others = [other for other in options.classes if other != name]
    order = rng.permutation(len(others)).tolist()
    return tuple(others[k] for k in order[: 1 + int(rng.random() < 0.25)])


def _mislabelled(
    options: SynthOptions, recording: str, number: int, truth: tuple[str, ...]
) -> tuple[str, ...]:
    """The labels with the first one replaced by a class that is not there."""
    absent = [name for name in options.classes if name not in truth]
    if not absent:
        return truth[1:]
    rng = generator(options.seed, "synth label noise", recording, number)
    return (absent[int(rng.integers(len(absent)))], *truth[1:])


class _Share:
    """Choose a share of the numbers 0, 1, 2 … spread evenly.

    Of the first n numbers, for any n, about ``share * n`` are chosen (within two), and
    whether a number is chosen does not depend on n: multiples of an irrational step fill
    the circle evenly.
    """

    def __init__(self, seed: int, name: str, share: float, step: float) -> None:
        self.share = share
        self.step = step
        self.start = float(generator(seed, "synth share", name).random())

    def has(self, i: int) -> bool:
        """Whether number ``i`` is chosen."""
        return (self.start + i * self.step) % 1.0 < self.share


# The set as files.


def make_in_cache(options: SynthOptions | None = None, workers: int | None = None) -> Path:
    """Make the set in the user's cache, where all runs find it; its folder.

    See :func:`make` for the parameters and for what is raised.
    """
    options = checked_synth(options or SynthOptions())
    folder = cache_part("sounds") / f"synth-{digest(options)}"
    make_synth(folder, options, workers)
    return folder


def make_synth(
    folder: str | os.PathLike[str],
    options: SynthOptions | None = None,
    workers: int | None = None,
) -> None:
    """Make the set in ``folder``, or what is missing of it.

    A set that is already there is left alone. A killed call is continued: files appear
    whole or not at all. More clips can be asked for later; those that exist are kept, and
    with fewer the surplus files stay but are in no table.

    Parameters
    ----------
    folder : path
        A new or empty folder, or one with a set of the same options.
    options : SynthOptions, optional
        The defaults when left out.
    workers : int, optional
        Threads; one for each processor by default. The result does not depend on it.

    Raises
    ------
    OptionError
        For options that cannot be met.
    DataError
        When the folder holds something else.
    """
    options = checked_synth(options or SynthOptions())
    root = Path(folder)
    about = {"format": FORMAT, "options": to_dict(options), "classes": list(options.classes)}
    claim_folder(root, "a synth set", "synth.json", about, {*_ONLY_IN_TABLES})
    labelled, pool = list(labelled_items(options)), list(pool_items(options))
    noisy = list(noisy_items(options))
    missing = [item for item in (*labelled, *noisy, *pool) if not (root / item.file).exists()]
    if missing:
        _sweep(root)
        _render_all(root, missing, count_workers(workers))
    _write_table(root / "labels.csv", labelled, ("file", "label", "group", "fold", "true_label"))
    if noisy or (root / NOISY).exists():
        _write_table(root / NOISY, noisy, ("file", "label", "group", "true_label"))
    _write_table(root / "pool.csv", pool, ("file", "group", "true_label"))


def read_about(root: Path) -> dict[str, Any]:
    """What ``synth.json`` says.

    Raises
    ------
    DataError
        When there is none or it is damaged.
    """
    try:
        about: dict[str, Any] = read_json(root / "synth.json")
        about["format"], about["options"]["n_classes"], about["classes"]
    except FileNotFoundError:
        raise DataError(
            f"{root}: no synth set here (no synth.json). Make one with 'semisonic data synth'"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / 'synth.json'}: damaged ({error}). Make the set anew") from error
    return about


def _sweep(root: Path) -> None:
    """Remove halves of files that a killed call left more than a minute ago."""
    for part in root.glob("*/**/.*.part"):
        if time.time() - part.stat().st_mtime > 60:
            part.unlink(missing_ok=True)


def _render_all(root: Path, items: list[Item], workers: int) -> None:
    """Make the audio of all items, the clips of one recording in a row."""
    by_recording = (
        list(group) for _, group in itertools.groupby(items, key=lambda item: item.take.recording)
    )
    with progress.bar(len(items), "synth", "clip") as bar:
        for n_made in in_threads(lambda group: _render_group(root, group), by_recording, workers):
            bar.update(n_made)


def _render_group(root: Path, items: list[Item]) -> int:
    from semisonic.data.synth.render import render

    for item in items:
        samples = np.round(render(item.take) * 32767.0).astype(np.int16)
        with replacing(root / item.file) as part:
            soundfile.write(part, samples, item.take.sample_rate, format="FLAC", subtype="PCM_16")
    return len(items)


def _write_table(file: Path, items: list[Item], columns: tuple[str, ...]) -> None:
    cells = (
        {
            "file": item.file,
            "label": LABEL_SEPARATOR.join(item.labels),
            "group": item.take.recording,
            "fold": str(item.fold),
            "true_label": LABEL_SEPARATOR.join(item.take.sounds),
        }
        for item in items
    )
    text = "".join(map(csv_line, (columns, *([row[name] for name in columns] for row in cells))))
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


# Read a set that :func:`semisonic.data.synth.dataset.make_synth` wrote.


def load_synth(folder: str | os.PathLike[str], *, true_labels: bool = False) -> tuple[Clips, Clips]:
    """The labelled clips and the pool.

    Parameters
    ----------
    folder : path
        Where the set was made.
    true_labels : bool
        Give the labels without wrong ones, and give the pool its labels too: for
        measuring how well wrong labels are found or labels predicted. A pool clip with
        nothing but sounds outside the classes has no label even then.

    Returns
    -------
    labelled, pool : Clips
        The classes stand in the set's own order. Noisy clips are among the labelled ones, of the
        label type "uncertain". The pool carries groups but, by default,
        neither labels nor classes.

    Raises
    ------
    DataError
        When there is no finished set in the folder.
    """
    root = Path(folder)
    classes = tuple(str(name) for name in read_about(root)["classes"])
    column = "true_label" if true_labels else "label"
    rows = [_row(row, column, classes) for row in _table(root / "labels.csv")]
    if (root / NOISY).exists():
        noisy = (_row(row, column, classes) for row in _table(root / NOISY))
        rows += [row | {"label_type": UNCERTAIN} for row in noisy]
    labelled = Clips.from_rows(root, rows, classes, "synth")
    pool = Clips.from_rows(
        root,
        (_row(row, "true_label", classes) for row in _table(root / "pool.csv")),
        classes,
        "synth pool",
    )
    return labelled, pool if true_labels else pool.without_labels()


def _row(row: dict[str, str], column: str, classes: tuple[str, ...]) -> dict[str, Any]:
    names = row[column].split(LABEL_SEPARATOR)
    return {
        "file": row["file"],
        "labels": [name for name in names if name in classes],
        "group": row["group"],
        "fold": row.get("fold", 0),
    }


def _table(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        raise DataError(
            f"{file}: not there, so the synth set was not finished. Make it again with the same "
            "options; what is done is kept"
        )
    return read_csv(file)
