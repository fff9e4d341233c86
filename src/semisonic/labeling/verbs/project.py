"""``project suggest`` and ``project learn``: the two halves of a round."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import check
from semisonic.labeling.filled import take_answers
from semisonic.labeling.loop import Round
from semisonic.labeling.project import QUEUE, Project
from semisonic.labeling.project_options import ProjectLearnOptions, ProjectSuggestOptions
from semisonic.labeling.queue import check_table
from semisonic.labeling.queue_page import check_page, write_queue_page
from semisonic.labeling.verbs.suggest import SuggestResult


@dataclass(frozen=True)
class LearnResult:
    """What a round gave.

    Attributes
    ----------
    round : Round
    n_taken : int
        Answers that were taken from a table.
    problems : tuple of (str, str)
        Lines of the log that are no entries.
    """

    round: Round
    n_taken: int
    problems: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """For a terminal."""
        taken = [f"{self.n_taken} new answers from the table"] if self.n_taken else []
        return "\n".join([*taken, self.round.summary()])


def suggest_in_project(options: ProjectSuggestOptions) -> SuggestResult:
    """Write the next queue of a project; answers in the one before go into the log first.

    Raises
    ------
    DataError
        When there is no project, nothing is left to ask about, or the queue that is there cannot
        be read.
    OptionError
        When another table is in the way.
    """
    check(options)
    project = Project.open(options.project)
    own = project.folder / QUEUE
    table: Path = options.output or own
    check_page(table)
    taken = 0
    if os.path.abspath(table) == os.path.abspath(own) and own.is_file():
        found = take_answers(
            project.log,
            own,
            annotator=options.annotator,
            by_anyone=True,
            check=project.require_fit,
        )
        taken = len(found)
    else:
        check_table(table)
    queue = project.suggest(
        options.n, strategy=options.strategy, random_share=options.random_share,
        apart=options.apart,
    )  # fmt: skip
    queue.write_over(table)
    write_queue_page(table, queue)
    return SuggestResult(queue, table, len(project.index), n_taken=taken)


def learn_in_project(options: ProjectLearnOptions) -> LearnResult:
    """Take answers from a table, if one is named, and learn from all there are.

    Raises
    ------
    DataError
        When there is no project, or answers of fewer than two classes.
    """
    check(options)
    project = Project.open(options.project)
    if options.several_labels is not None:
        project.set_several_labels(options.several_labels)
    taken = 0
    if options.answers is not None:
        taken = len(
            take_answers(
                project.log,
                options.answers,
                annotator=options.annotator,
                check=project.require_fit,
            )
        )
    found = project.learn(options.learn)
    return LearnResult(found, taken, project.log.problems())
