"""How good the classifier is, from answers alone: an honest number needs clips drawn by chance.

Answers that a strategy chose are the hard ones, so accuracy on them says little. The random parts
of all queues together are one sample of the pool, taken in one order of chance
(:func:`semisonic.labeling.spreading.chance_key`). A clip of that sample that a strategy had asked
about before belongs to it all the same: else the sample would be short of hard clips.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.data.answers import Entry
from semisonic.data.standing import Stretch, stretch
from semisonic.evaluation.share_by_group import wilson_by_group
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.queue import RANDOM, SOURCE
from semisonic.labeling.spreading import chance_key


@dataclass(frozen=True)
class Estimate:
    """An accuracy, and how sure it is.

    Attributes
    ----------
    n_right, n : int
        Right predictions of so many clips.
    accuracy : float
        0 to 1; NaN without clips.
    low, high : float
        Wilson's 95 % interval; clips of one recording are right or wrong together
        (:func:`semisonic.evaluation.wilson_by_group`).
    n_recordings : int
    """

    n_right: int
    n: int
    accuracy: float
    low: float
    high: float
    n_recordings: int

    @classmethod
    def of(cls, right: Sequence[bool], groups: Sequence[str]) -> Estimate:
        """From answers, and the recording of each; nothing is claimed of no clips."""
        n, n_right = len(right), sum(right)
        if not n:
            return cls(0, 0, float("nan"), 0.0, 1.0, 0)
        ends = wilson_by_group(right, groups)
        return cls(n_right, n, n_right / n, *ends, len(set(groups)))

    def __str__(self) -> str:
        if not self.n:
            return "unknown"
        of = f", of {self.n_recordings} recordings" if self.n_recordings < self.n else ""
        return (
            f"{100 * self.accuracy:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f} %, "
            f"{self.n_right} of {self.n}{of})"
        )


def random_sample(entries: Iterable[Entry], root: Path, seed: int = 0) -> frozenset[Stretch]:
    """The stretches that answers in force make a sample of the pool by chance.

    All stretches of queues that come before the last random one in the order of chance: some
    were asked by chance, some for another reason.

    Parameters
    ----------
    entries : iterable of Entry
        In force: see :func:`semisonic.data.standing.in_force`.
    root : Path
        The folder of the recordings.
    seed : int
        That of the queues.
    """
    asked = [entry for entry in entries if entry.source.startswith(SOURCE)]
    base = os.path.abspath(root)
    keys = {
        entry.id: chance_key(
            os.path.normpath(os.path.join(base, entry.file)), entry.start_time, entry.end_time, seed
        )
        for entry in asked
    }
    last = max((keys[entry.id] for entry in asked if entry.source == SOURCE + RANDOM), default=-1)
    return frozenset(
        stretch(entry.file, entry.start_time, entry.end_time)
        for entry in asked
        if keys[entry.id] <= last
    )


def accuracy_by_random(
    log: LabelLog,
    predicted: Mapping[Stretch, tuple[str, ...]],
    *,
    groups: Mapping[Stretch, str] | None = None,
    seed: int = 0,
) -> Estimate:
    """Accuracy over the random sample of a log, with an interval over recordings.

    Parameters
    ----------
    log : LabelLog
    predicted : mapping of stretch to labels
        What a classifier that has not learned the answer says; a stretch without a prediction,
        or without one certain answer, does not count. With several labels per clip all of them must
        be right.
    groups : mapping of stretch to str, optional
        The recording of each, where an index knows it; else each file is one.
    seed : int
        That of the queues.
    """
    known = groups or {}
    sample = random_sample(log.in_force(), log.root, seed)
    clips = log.current().clips()
    right: list[bool] = []
    recordings: list[str] = []
    certain = clips.is_certain
    for row, labels in enumerate(clips.labels):
        key = stretch(
            str(clips.file[row]), float(clips.start_time[row]), float(clips.end_time[row])
        )
        if certain[row] and key in sample and key in predicted:
            right.append(set(predicted[key]) == set(labels))
            recordings.append(known.get(key, str(clips.group[row])))
    return Estimate.of(right, recordings)
