"""Import selection tables and label tracks of other programs as answers of a project."""

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
"""Prefix of the source of imported answers; the name of the file follows."""


@dataclass(frozen=True)
class ImportedLabels:
    """The result of an import.

    Attributes
    ----------
    n_answers, n_known : int
        Number of new answers, and of those that the log already contained.
    problems : tuple of (place, reason)
        Rows that could not be used, for example without a recording of the project.
    notes : tuple of str
        Decisions that users should know.
    spelled : dict of str to str
        Labels that differ from a class of the project only in case or spaces, with this class.
        Unless ``respell`` is set, nothing is imported then.
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
    """Import a label file of any known format into the log of a project.

    The label ``-`` means that none of the classes is present, ``?`` means uncertain. Labels with
    the score of a program are unverified. Answers of the same annotator that the log already
    contains are not added again.

    Parameters
    ----------
    project : Project
    path : Path
        See :func:`semisonic.data.formats.label_files.collect_labels`.
    annotator : str
    respell : bool
        Whether a label that differs from a class only in case or spaces is this class.
    require_inside : callable
        Raises DataError for a segment that the project cannot have.
    more : mapping, optional
        Fields of all new answers.

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
    """Add labels of segments to the log of a project, except those that it contains.

    Parameters
    ----------
    rows : mapping
        Labels by segment and presence.
    source : str
        Their source.
    annotator, respell, require_inside, more
        As for :func:`import_labels`.
    problems, notes
        Earlier problems and notes.
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
    """Labels that differ only in spelling from a class or from an earlier label."""
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
