r"""Which recording a clip was cut from, where the names of the files tell it.

Two schemes are known and are used without asking: that of ESC-10 and ESC-50 (fold, recording at
Freesound, take, perhaps class: ``1-187207-A.ogg``, ``2-103426-A-3.wav``) and that of UrbanSound8K
(recording, class, occurrence, slice: ``100032-3-0-0.wav``). Any other is a guess, such as a stem
before a counter (``laugh_1.m4a_77.wav``): it is offered as a pattern and never applied, for a stem
may as well be the class (``dog_1.wav``) or the recorder.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from semisonic.data.clips import Clips
from semisonic.data.recorder_names import day_of, read_names

_ESC = re.compile(r"^[1-9]-(\d{3,})-[A-Za-z]{1,2}(?:-(\d{1,3}))?$")
_URBANSOUND = re.compile(r"^(\d{3,})-(\d)-\d+-\d+$")

PATTERNS = (
    r"(.+?)(?:[ _-]+\d+(?:\.\d+)?s?){2}\.[^./]+$",
    r"(.+?)(?:[ _-]+[a-z]*\d+)?\.[^./]+$",
    r"(.+?)(?:[ _-]+[A-Za-z])?\.[^./]+$",
)
"""What may stand behind the name of a recording: begin and end, a counter, a letter."""


@dataclass(frozen=True)
class Suggestion:
    """A guess which clips belong together.

    Attributes
    ----------
    group : str
        For the option ``group``.
    n_recordings, n_clips : int
        What it would give.
    file, recording : str
        An example.
    """

    group: str
    n_recordings: int
    n_clips: int
    file: str
    recording: str

    def __str__(self) -> str:
        return (
            f"The file names look as if they told it ('{self.recording}' of '{self.file}'): "
            f"--group '{self.group}' would give {self.n_recordings} recordings of "
            f"{self.n_clips} clips"
        )


def named_recordings(
    files: Sequence[str], labels: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """The recording of each file by the known schemes, else the file itself, and what to say.

    Parameters
    ----------
    files : sequence of str
        Relative names.
    labels : sequence of str, optional
        The label of each; a class number in the names must go with it.
    """
    for title, scheme in (("ESC-50", _ESC), ("UrbanSound8K", _URBANSOUND)):
        found = [scheme.match(_stem(file)) for file in files]
        if 2 * sum(one is not None for one in found) <= len(files):
            continue
        numbers = {
            (one[2], label)
            for one, label in zip(found, labels, strict=False)
            if one and one[2] and label
        }
        # Of UrbanSound8K's names only the class number shows that they are no dates.
        if (labels and not _one_to_one(numbers)) or (scheme is _URBANSOUND and not numbers):
            continue
        groups = [one[1] if one else file for one, file in zip(found, files, strict=True)]
        n = len(set(groups))
        note = (
            f"files are named as in {title}, which tells the recordings: {n} of {len(files)} files"
        )
        return groups, [note]
    return list(files), []


def suggest_recordings(clips: Clips) -> Suggestion | None:
    """A way to group clips by their names that gives sensible numbers, if there is one.

    Sensible: some recordings have several clips, most classes have several recordings, and
    no recording has most of the clips.
    """
    files = clips.file.tolist()
    names = read_names(files)
    if 2 * sum(name.recorded_at is not None for name in names) > len(files):
        days = [
            day_of(file, name, class_folders=True) or file
            for file, name in zip(files, names, strict=True)
        ]
        return _judged(clips, "day", days)
    found = []
    for pattern in PATTERNS:
        match = re.compile(pattern).search
        groups = [one[1] if (one := match(file)) else file for file in files]
        suggestion = _judged(clips, pattern, groups)
        if suggestion is not None:
            found.append(suggestion)
    return min(found, key=lambda one: one.n_recordings, default=None)


def _judged(clips: Clips, rule: str, groups: list[str]) -> Suggestion | None:
    sizes = Counter(group.casefold() for group in groups)
    in_class: dict[str, set[str]] = defaultdict(set)
    for group, labels in zip(groups, clips.labels, strict=True):
        for label in labels or ("",):
            in_class[label].add(group.casefold())
    several = sum(len(found) > 1 for found in in_class.values())
    largest = max(sizes.values(), default=0)
    if largest < 2 or 2 * largest > len(groups) or 2 * several <= len(in_class):
        return None
    row = next(i for i, group in enumerate(groups) if sizes[group.casefold()] > 1)
    file = str(clips.file[row])
    shown = groups[row].rpartition("/")[2]
    return Suggestion(rule, len(sizes), len(groups), file.rpartition("/")[2], shown)


def _one_to_one(pairs: set[tuple[str, str]]) -> bool:
    """Whether each number has one label and each label one number."""
    return len(pairs) == len({number for number, _ in pairs}) == len({name for _, name in pairs})


def _stem(file: str) -> str:
    return file.rpartition("/")[2].rpartition(".")[0]
