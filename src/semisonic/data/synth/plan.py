"""Which clips a set consists of: names, folds, labels. No audio is made here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from semisonic.core.seeds import generator
from semisonic.data.options import CLASSES, OUTSIDE, SynthOptions

_GOLDEN = (math.sqrt(5) - 1) / 2
_SILVER = math.sqrt(2) - 1
_OUTSIDE_SHARE = 0.2  # of the pool, with sounds that are no class
_FOLDER_SIZE = 1000  # pool clips in one folder


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
