"""Selection tables and label tracks of other programs as answers of a project."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.datasets.load import Failures
from semisonic.data.events import NEGATIVE, POINT_DURATION, POSITIVE, UNCERTAIN
from semisonic.data.formats.label_files import collect_labels
from semisonic.data.label_log import NONE_HEARD, PASSED_OVER, Segment, label_fault, spelling
from semisonic.labeling.project import Project

SOURCE = "import:"
"""How the source of an answer begins that came from a file; the file's name follows."""


@dataclass(frozen=True)
class ImportedLabels:
    """What became of a label file.

    Attributes
    ----------
    n_answers, n_known : int
        Answers that went into the log, and those that it held already.
    problems : tuple of (place, reason)
        What could not be used, such as rows that name no recording of the project.
    notes : tuple of str
        What was decided.
    spelled : dict of str to str
        Labels that differ from a class of the project in case or blanks alone, and that class.
        Unless they may be taken for it nothing is imported.
    """

    n_answers: int
    n_known: int
    problems: Failures
    notes: tuple[str, ...]
    spelled: dict[str, str]


def import_labels(
    project: Project,
    path: Path,
    *,
    annotator: str = "",
    respell: bool = False,
    require_inside: Callable[[Segment], None] = lambda segment: None,
    more: Mapping[str, Any] | None = None,
) -> ImportedLabels:
    """Read a label file of any known format into the log of a project.

    ``-`` as a label says that none of the classes is heard, ``?`` that one cannot tell. Labels with
    the score of a program are unverified. What the log holds already from the same annotator is
    not added again.

    Parameters
    ----------
    project : Project
    path : Path
        See :func:`semisonic.data.formats.label_files.collect_labels`.
    annotator : str
    respell : bool
        Whether a label that differs from a class in case or blanks alone is that class.
    require_inside : callable
        Raises DataError for a segment of which the project can have no answer.
    more : mapping, optional
        What the new answers have in common.

    Raises
    ------
    DataError
        When the file cannot be read at all.
    """
    log = project.log
    found = collect_labels(path, root=log.root)
    problems, rows, notes = list(found.problems), defaultdict(list), list(found.notes)
    n_points = n_scored = 0
    for event in found.events.to_dict("records"):
        label, presence = str(event["label"]), str(event["presence"])
        start, end = float(event["start_time"]), float(event["end_time"])
        if label in ("", NONE_HEARD, PASSED_OVER):
            label, presence = "", NEGATIVE if label == NONE_HEARD else UNCERTAIN
        elif presence == POSITIVE and not math.isnan(event["score"]):
            presence, n_scored = UNCERTAIN, n_scored + 1
        if start == end:
            n_points += 1
            start = max(0.0, start - POINT_DURATION / 2)
            end = start + POINT_DURATION
        limits = {name: None if math.isnan(event[name]) else event[name] for name in _LIMITS}
        segment = Segment(log.name_of(str(event["file"])), start, end, **limits)
        if reason := label_fault(label) if label else "":
            problems.append((_place(segment, label), reason))
        else:
            rows[segment, presence].append(label)
    if n_points:
        notes.append(
            f"{count_text(n_points, 'point')} in time became segments of {POINT_DURATION:g} s"
        )
    if n_scored:
        notes.append(
            f"{count_text(n_scored, 'label')} with the score of a program, imported as unverified"
        )
    return add_answers(
        project,
        rows,
        source=SOURCE + path.name,
        annotator=annotator,
        respell=respell,
        require_inside=require_inside,
        more=more,
        problems=problems,
        notes=notes,
    )


def add_answers(
    project: Project,
    rows: Mapping[tuple[Segment, str], Sequence[str]],
    *,
    source: str,
    annotator: str = "",
    respell: bool = False,
    require_inside: Callable[[Segment], None] = lambda segment: None,
    more: Mapping[str, Any] | None = None,
    problems: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> ImportedLabels:
    """Add the labels of segments to the log of a project, but for those that it holds.

    Parameters
    ----------
    rows : mapping
        Labels by segment and presence.
    source : str
        Where they are from.
    annotator, respell, require_inside, more
        As for :func:`import_labels`.
    problems, notes
        What is known already.
    """
    faults, log = list(problems), project.log
    spelled = _spelled(project, [label for labels in rows.values() for label in labels if label])
    if spelled and not respell:
        return ImportedLabels(0, 0, tuple(faults), tuple(notes), spelled)
    check = project.label_check()
    held = {
        (one.box, frozenset(one.labels), one.presence)
        for one in log.standing()
        if one.annotator == annotator
    }
    new, n_known = [], 0
    for (segment, presence), its in rows.items():
        labels = tuple(dict.fromkeys(spelled.get(label, label) for label in its if label))
        try:
            check(labels)
            require_inside(segment)
        except DataError as error:
            faults.append((_place(segment, ", ".join(labels)), str(error)))
            continue
        if (segment.box, frozenset(labels), presence) in held:
            n_known += 1
            continue
        new.append(
            {
                **vars(segment),
                "labels": labels,
                "presence": presence,
                "annotator": annotator,
                "source": source,
                "more": dict(more or {}),
            }
        )
    log.extend(new)
    return ImportedLabels(len(new), n_known, tuple(faults), tuple(notes), spelled)


_LIMITS = ("fmin_hz", "fmax_hz")


def _place(segment: Segment, label: str) -> str:
    return f"{segment.file}, {segment.start_time:g} to {segment.end_time:g} s, '{label}'"


def _spelled(project: Project, labels: list[str]) -> dict[str, str]:
    """Labels that differ in spelling alone from a class, or from one that stands before them."""
    known: dict[str, set[str]] = defaultdict(set)
    for label in (label for one in project.log.standing() for label in one.labels):
        known[spelling(label)].add(label)
    found: dict[str, str] = {}
    for label in labels:
        same = known[spelling(label)]
        if same and label not in same:
            found[label] = min(same)
        else:
            same.add(label)
    return found
