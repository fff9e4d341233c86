"""Two evaluated or trained runs beside each other, on the same clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.model_file import MODEL
from semisonic.core.errors import DataError
from semisonic.core.files import read_csv, read_json
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.evaluation.comparison import Comparison, compare
from semisonic.evaluation.metrics import average_precision
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.tagging import TagScores, compare_tags

# The scored clips of a finished run, as its tables tell them.


TEST, VALIDATION = "test", "validation"
_FILES = {TEST: "scores.csv", VALIDATION: "validation.csv"}
_OWN = ("clip", "label", "group", "predicted", "score")


@dataclass(frozen=True)
class ScoredClip:
    """One clip of a run.

    Attributes
    ----------
    labels : tuple of str
    predicted : str
        The class with the highest score.
    group : str
        The recording; the clip itself where the table does not tell.
    scores : mapping of str to float
        By class; empty where the table has the best one only.
    """

    labels: tuple[str, ...]
    predicted: str
    group: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class ScoredRun:
    """A run with the clips that it scored.

    Attributes
    ----------
    folder : Path
    part : {"test", "validation"}
        Validation clips have chosen the epoch, so they flatter.
    clips : mapping of str to ScoredClip
        By the clip's name.
    measures : mapping of str to float
    options : mapping
        What ``run.json`` says was asked for.
    """

    folder: Path
    part: str
    clips: Mapping[str, ScoredClip]
    measures: Mapping[str, float]
    options: Mapping[str, Any]

    @property
    def is_multi_label(self) -> bool:
        """Whether some clip carries several labels, or none."""
        return any(len(one.labels) != 1 for one in self.clips.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels and predictions that occur, and classes with a score; sorted."""
        found: set[str] = set()
        for one in self.clips.values():
            found |= {*one.labels, one.predicted, *one.scores}
        return tuple(sorted(found))

    def targets(self, clips: Iterable[str], classes: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which labels some clips carry, shape (n, n_classes)."""
        return np.array([[name in self.clips[c].labels for name in classes] for c in clips])


def scored_run(folder: Path) -> ScoredRun:
    """What a run of ``evaluate`` or ``train`` scored.

    Raises
    ------
    DataError
        When it scored nothing clip by clip.
    """
    record = _json(folder / "run.json")
    for part, name in _FILES.items():
        table = folder / name
        if not table.is_file():
            continue
        metrics = _json(folder / "metrics.json")
        numbers = metrics if part == TEST else metrics.get(part, {})
        measures = {
            key: float(value)
            for key, value in {**numbers, **metrics.get("cost", {})}.items()
            if isinstance(value, int | float)
        }
        options = record.get("options", {})
        return ScoredRun(folder, part, _clips(table), measures, options)
    raise DataError(
        f"{folder.name}: no scores clip by clip; 'semisonic evaluate {folder} LABELLED' makes them"
    )


def measured_in(model: Path, others: Iterable[Path]) -> list[Path]:
    """Those of some run folders in which ``evaluate`` measured the model of a folder."""
    wanted = {model.resolve(), (model / MODEL).resolve()}
    found = []
    for folder in others:
        record = _json(folder / "run.json")
        asked = record.get("options", {}).get("model")
        is_measure = record.get("command") == "evaluate" and (folder / _FILES[TEST]).is_file()
        if is_measure and isinstance(asked, str) and Path(asked).resolve() in wanted:
            found.append(folder)
    return found


def _clips(table: Path) -> dict[str, ScoredClip]:
    rows = read_csv(table)
    found = {}
    try:
        for row in rows:
            labels = tuple(filter(None, row["label"].split(LABEL_SEPARATOR)))
            scores = {name: float(value) for name, value in row.items() if name not in _OWN}
            group = row.get("group") or row["clip"]
            found[row["clip"]] = ScoredClip(labels, row["predicted"], group, scores)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{table}: not a table of scored clips: {error}") from None
    if not found:
        raise DataError(f"{table}: holds no clip")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# Two finished runs side by side: numbers, the paired test, classes, clips and settings.


FREE = ("output", "cache", "workers", "device")
"""Options on which no result depends."""


@dataclass(frozen=True)
class ClassPair:
    """One class under both runs.

    Attributes
    ----------
    label : str
    n : int
        Clips that carry it.
    a, b : float
        Share of these that is found, 0 to 1; with several labels per clip, average precision.
    """

    label: str
    n: int
    a: float
    b: float


@dataclass(frozen=True)
class ClipPair:
    """A clip that the runs call differently; ``right`` is "a", "b" or "" for neither."""

    clip: str
    label: str
    a: str
    b: str
    right: str


@dataclass(frozen=True)
class RunComparison:
    """What stands between two runs.

    Attributes
    ----------
    measures : tuple of (str, float or None, float or None)
        Numbers of each run over all of its own clips.
    comparison : Comparison or None
        The paired test over the clips that both scored; None without any.
    reason : str
        Why there is none.
    n_common, n_a, n_b : int
        Clips that both scored, and each.
    classes : tuple of ClassPair
        The largest difference first.
    clips : tuple of ClipPair
        Those on which one is right first.
    settings : tuple of (str, str, str)
        Options that differ.
    cautions : tuple of str
    """

    measures: tuple[tuple[str, float | None, float | None], ...]
    comparison: Comparison | None
    reason: str
    n_common: int
    n_a: int
    n_b: int
    classes: tuple[ClassPair, ...]
    clips: tuple[ClipPair, ...]
    settings: tuple[tuple[str, str, str], ...]
    cautions: tuple[str, ...]


def compare_runs(a: ScoredRun, b: ScoredRun, *, seed: int = 0) -> RunComparison:
    """Hold run ``b`` against run ``a``, over the clips that both scored.

    Raises
    ------
    DataError
        When clips of the same name carry other labels: they are not the same clips.
    """
    common = sorted(a.clips.keys() & b.clips.keys())
    for clip in common:
        if a.clips[clip].labels != b.clips[clip].labels:
            one, other = (LABEL_SEPARATOR.join(run.clips[clip].labels) for run in (a, b))
            raise DataError(
                f"the clip '{clip}' is labelled '{one}' in {a.folder.name} and '{other}' in "
                f"{b.folder.name}: the runs were measured on different sets"
            )
    test, reason = None, ""
    if a.folder.resolve() == b.folder.resolve():
        reason = "It is the same run twice."
    elif len(common) < 2:
        reason = "They scored no clips in common, so their numbers cannot be compared."
    else:
        test = _test(a, b, common, seed)
    return RunComparison(
        _measures(a, b),
        test,
        reason,
        len(common),
        len(a.clips),
        len(b.clips),
        _classes(a, b, common),
        _differing(a, b, common),
        _settings(a, b),
        _cautions(a, b, len(common)),
    )


def _test(a: ScoredRun, b: ScoredRun, common: list[str], seed: int) -> Comparison | None:
    name_a, name_b = _names(a, b)
    group = [a.clips[clip].group for clip in common]
    if a.is_multi_label or b.is_multi_label:
        return _tag_test((name_a, a), (name_b, b), common, seed)
    classes = tuple(sorted({*a.classes, *b.classes}))
    number = {label: k for k, label in enumerate(classes)}
    target = np.array([number[a.clips[clip].labels[0]] for clip in common])
    arms = []
    for name, run in ((name_a, a), (name_b, b)):
        chosen = np.array([number[run.clips[clip].predicted] for clip in common])
        sure = np.eye(len(classes))[chosen]  # the test asks about right and wrong alone
        arms.append(
            Predictions.of(common, target, sure, classes, group=group, arm=name, predicted=chosen)
        )
    return compare(Predictions.concat(arms), name_a, name_b, seed=seed)


def _tag_test(
    one: tuple[str, ScoredRun], other: tuple[str, ScoredRun], common: list[str], seed: int
) -> Comparison | None:
    """With several labels per clip; None where the tables do not hold all scores."""
    known = [set(run.clips[clip].scores) for _, run in (one, other) for clip in common]
    classes = tuple(sorted(set.intersection(*known)))
    targets = one[1].targets(common, classes)
    labelled = np.asarray(targets.any(axis=1), np.bool_)
    if len(classes) < 2 or labelled.sum() < 2:
        return None
    clips = [clip for clip, yes in zip(common, labelled.tolist(), strict=True) if yes]
    tables = [
        TagScores.of(
            clips,
            targets[labelled],
            [[run.clips[clip].scores[label] for label in classes] for clip in clips],
            classes,
            group=[run.clips[clip].group for clip in clips],
        )
        for _, run in (one, other)
    ]
    return compare_tags(one[0], [tables[0]], other[0], [tables[1]], seed=seed)


def _names(a: ScoredRun, b: ScoredRun) -> tuple[str, str]:
    one, other = a.folder.name, b.folder.name
    return (one, other) if one != other else (f"{one} (first)", f"{other} (second)")


def _measures(a: ScoredRun, b: ScoredRun) -> tuple[tuple[str, float | None, float | None], ...]:
    names = [*a.measures, *(name for name in b.measures if name not in a.measures)]
    return tuple((name, a.measures.get(name), b.measures.get(name)) for name in names)


def _classes(a: ScoredRun, b: ScoredRun, common: list[str]) -> tuple[ClassPair, ...]:
    classes = tuple(sorted({label for clip in common for label in a.clips[clip].labels}))
    targets = a.targets(common, classes) if common else np.zeros((0, len(classes)), np.bool_)
    several = a.is_multi_label or b.is_multi_label
    found = []
    for k, label in enumerate(classes):
        values = []
        for run in (a, b):
            if several:
                scores = np.array([run.clips[clip].scores.get(label, 0.0) for clip in common])
                values.append(float(average_precision(targets[:, k], scores)))
            else:
                right = np.array([run.clips[clip].predicted == label for clip in common])
                values.append(float(right[targets[:, k]].mean()))
        found.append(ClassPair(label, int(targets[:, k].sum()), values[0], values[1]))
    return tuple(sorted(found, key=lambda pair: (-abs(pair.b - pair.a), pair.label)))


def _differing(a: ScoredRun, b: ScoredRun, common: list[str]) -> tuple[ClipPair, ...]:
    found = []
    for clip in common:
        one, other, labels = a.clips[clip].predicted, b.clips[clip].predicted, a.clips[clip].labels
        if one != other:
            right = "a" if one in labels else "b" if other in labels else ""
            found.append(ClipPair(clip, LABEL_SEPARATOR.join(labels), one, other, right))
    return tuple(sorted(found, key=lambda pair: (not pair.right, pair.right, pair.clip)))


def _settings(a: ScoredRun, b: ScoredRun) -> tuple[tuple[str, str, str], ...]:
    one, other = _flat(a.options), _flat(b.options)
    names = [*one, *(name for name in other if name not in one)]
    return tuple(
        (name, one.get(name, "–"), other.get(name, "–"))
        for name in names
        if one.get(name) != other.get(name) and name.split(".")[0] not in FREE
    )


def _flat(options: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = str(value)
    return found


def _cautions(a: ScoredRun, b: ScoredRun, n_common: int) -> tuple[str, ...]:
    said = []
    if VALIDATION in (a.part, b.part):
        said.append(
            "Validation clips chose the epoch, so their numbers flatter; 'semisonic evaluate' "
            "measures on clips that chose nothing."
        )
    if a.part != b.part:
        said.append("One was measured on test clips, the other on validation clips.")
    if n_common < max(len(a.clips), len(b.clips)):
        said.append(
            f"They scored {len(a.clips)} and {len(b.clips)} clips, {n_common} of them in common: "
            "test, classes and clips are about these, the numbers above about all."
        )
    return tuple(said)
