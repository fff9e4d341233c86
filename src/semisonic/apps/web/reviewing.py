"""Answers that look wrong: which they are, and what became of them."""

from __future__ import annotations

from semisonic.apps.web.asked import Asked
from semisonic.data.answers import Entry
from semisonic.data.standing import stretch
from semisonic.labeling.doubted import Doubted
from semisonic.labeling.kept_probe import Tell
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.project import Project

REVIEW = "review"
"""In an entry: what became of an answer that looked wrong."""
KEPT, CHANGED = "kept", "changed"


def doubted(project: Project, tell: Tell | None = None) -> list[Doubted]:
    """Answers that look wrong and that nobody has looked at since, the most suspicious first."""
    seen = {
        stretch(one.file, one.start_time, one.end_time)
        for one in project.log.in_force()
        if REVIEW in one.more
    }
    return [
        one
        for one in project.doubted(tell=tell)
        if stretch(one.file, one.start_time, one.end_time) not in seen
    ]


def review(log: LabelLog, said: Asked) -> Entry:
    """Write down what became of a doubt; a change stands in place of what others said."""
    more = {REVIEW: said.review}
    if said.review == CHANGED:
        return log.correct(
            said.file, said.start_time, said.end_time, said.labels, note=said.note,
            annotator=said.annotator, presence=said.presence, more=more,
        )  # fmt: skip
    return log.append(
        said.file, said.start_time, said.end_time, said.labels, note=said.note,
        annotator=said.annotator, presence=said.presence, source=said.source, more=more,
    )  # fmt: skip
