"""``Project``: from a folder of recordings without a label to a first classifier."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.model_file import MODEL
from semisonic.classifier.run_files import stamp
from semisonic.core.errors import DataError
from semisonic.core.files import read_json, write_json
from semisonic.core.options import check
from semisonic.core.text import count_text
from semisonic.data.datasets.load import Failures, name_from
from semisonic.labeling.answers import match
from semisonic.labeling.clusters import nearest_to_centres
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.options import MIX, RANDOM_SHARE, ProjectOptions, QueueOptions
from semisonic.labeling.probe import LabelIssue, Tell, find_label_issues
from semisonic.labeling.queue import TYPICAL, Queue, Suggestion, check_table, take_answers
from semisonic.labeling.rounds import HistoryRow, LearningRound, learn_round, read_history
from semisonic.labeling.suggest import CandidatePool, candidate_pool, choose

# ``Project``: from a folder of recordings without a label to a first classifier.
#
# A folder that holds everything of it::
#
#     project.json   which recordings, how they are cut and embedded
#     encoder/       an encoder that learned from all of them without labels
#     index/         their vectors, and the clusters that were found
#     labels.jsonl   the answers (nothing else is made by hand; keep it)
#     queue.csv      what to listen to next
#     model.zip      the classifier of the last round
#     history.csv    a row per round: answers, accuracy with its interval
#
# The recordings stay where they are and as they are.


ABOUT, LOG, INDEX, ENCODER, QUEUE = (
    "project.json",
    "labels.jsonl",
    "index",
    "encoder",
    "queue.csv",
)
FORMAT = 2


@dataclass(frozen=True)
class ProjectCluster:
    """Recordings that sound alike.

    Attributes
    ----------
    number : int
        From 0, the largest first.
    size : int
        Segments in it.
    typical : tuple of Suggestion
        Those in its middle, of different recordings if there are, to listen to.
    answers : mapping of str to int
        How often each label was given to a segment of it.
    """

    number: int
    size: int
    typical: tuple[Suggestion, ...]
    answers: dict[str, int]


class Project:
    """A project that is ready to be asked from; see :func:`semisonic.labeling.start.start_project`.

    Attributes
    ----------
    folder, recordings : Path
    encoder : Path
        The file of what makes vectors.
    seed : int
    several_labels : bool
        Whether a clip may carry several labels at once; :meth:`set_several_labels` changes it.
    log : LabelLog
    """

    def __init__(
        self,
        folder: Path,
        recordings: Path,
        encoder: Path,
        seed: int = 0,
        *,
        several_labels: bool = False,
    ) -> None:
        self.folder, self.recordings, self.encoder, self.seed = folder, recordings, encoder, seed
        self.several_labels = several_labels
        base = recordings if recordings.is_dir() else recordings.parent
        self.log = LabelLog(folder / LOG, base)

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Project:
        """Open the project in a folder.

        Raises
        ------
        DataError
            When there is none, or its making was not finished.
        """
        place = Path(folder)
        if not (place / ABOUT).is_file():
            raise DataError(
                f"{place}: no project; 'semisonic project new RECORDINGS -o {place}' starts one, "
                "and goes on with one that was interrupted"
            )
        about = read_json(place / ABOUT)
        if about.get("format") != FORMAT:
            raise DataError(
                f"{place / ABOUT}: found format {about.get('format')}, expected {FORMAT}"
            )
        recordings, encoder = (
            Path(os.path.abspath(place / about[name])) for name in ("recordings", "encoder")
        )
        return cls(
            place,
            recordings,
            encoder,
            int(about["seed"]),
            several_labels=bool(about["several_labels"]),
        )

    @cached_property
    def index(self) -> EmbeddingIndex:
        """The vectors of all segments."""
        return EmbeddingIndex.open(self.folder / INDEX, open_embedder(self.encoder))

    @property
    def model(self) -> Path | None:
        """The classifier of the last round; None before the first."""
        path = self.folder / MODEL
        return path if path.is_file() else None

    @property
    def history(self) -> tuple[HistoryRow, ...]:
        """A row per round, oldest first."""
        return read_history(self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every label that was given, sorted."""
        return self.log.current().classes

    def pool(self) -> CandidatePool:
        """All segments, with the scores of the last classifier if there is one."""
        return candidate_pool(self.model, self.index, self.folder)

    def suggest(
        self, n: int = 20, *, strategy: str = MIX, random_share: float = RANDOM_SHARE
    ) -> Queue:
        """What to listen to next; files are named as the log names them.

        The parameters are those of :func:`semisonic.suggest`.
        """
        queue = choose(self.pool(), n, strategy, self.seed, self.log, random_share)
        return self._named(queue)

    def learn(self, *, tell: Tell | None = None) -> LearningRound:
        """Learn from all answers; see :func:`semisonic.labeling.rounds.learn_round`."""
        return learn_round(
            self.log,
            self.index,
            self.folder,
            seed=self.seed,
            several_labels=self.several_labels,
            tell=tell,
        )

    def label_issues(self, *, tell: Tell | None = None) -> tuple[LabelIssue, ...]:
        """Answers that look wrong; see :func:`semisonic.labeling.probe.find_label_issues`."""
        return find_label_issues(
            self.log, self.index, seed=self.seed, several_labels=self.several_labels, tell=tell
        )

    def set_several_labels(self, several_labels: bool) -> None:
        """Say from now on whether a clip may carry several labels; no answer is changed.

        Back with one label per clip, clips that were given several are not learned from.
        """
        about = read_json(self.folder / ABOUT)
        write_json(self.folder / ABOUT, {**about, "several_labels": several_labels})
        self.several_labels = several_labels

    def require_fit(self, labels: Sequence[str]) -> None:
        """See that an answer has no more labels than a clip of this project may carry.

        Raises
        ------
        DataError
            When it has several and a clip carries one.
        """
        if len(labels) > 1 and not self.several_labels:
            raise DataError(
                f"found the labels {', '.join(labels)}, expected one: a clip of this project "
                "carries one label. Give one, or let clips carry several first: on the page under "
                "'Label', or with 'semisonic project learn --several-labels'"
            )

    def clusters(self, n_typical: int = 3) -> tuple[ProjectCluster, ...]:
        """Groups of segments that sound alike, the largest first; for naming by listening.

        An answer about a typical segment is appended to the log as any other, and labels that
        segment only.
        """
        index = self.index
        number = index.cluster
        clips = index.clips
        middle = nearest_to_centres(index.vectors, number, clips.group, n_typical)
        labels = self._labels_of_rows()
        found = []
        for cluster, rows in enumerate(middle):
            own = np.flatnonzero(number == cluster).tolist()
            counts = Counter(name for row in own for name in labels.get(row, ()))
            each = (Suggestion.of_row(clips, row, TYPICAL, cluster=cluster) for row in rows)
            typical = Queue(clips.root, tuple(each))
            found.append(ProjectCluster(cluster, len(own), self._named(typical).rows, dict(counts)))
        return tuple(found)

    def describe(self) -> dict[str, Any]:
        """Numbers about the project: segments, answers, classes, the last accuracy."""
        current = self.log.current()
        steps = self.history
        return {
            "recordings": str(self.recordings),
            "segments": len(self.index),
            "clusters": int(self.index.cluster.max(initial=-1)) + 1,
            "several_labels": self.several_labels,
            "answers": len(current),
            "classes": list(current.classes),
            "disagreements": len(current.disagreements),
            "rounds": len(steps),
        }

    def _named(self, queue: Queue) -> Queue:
        """A queue whose files are named as the log names them."""
        seen = queue.seen_from(self.log.root)
        rows = (replace(row, file=self.log.name_of(row.file)) for row in seen)
        return replace(seen, rows=tuple(rows))

    def _labels_of_rows(self) -> dict[int, tuple[str, ...]]:
        answers = self.log.current().clips()
        found = match(answers, self.index.clips)
        return dict(zip(found.rows.tolist(), found.labels, strict=True))


def write_project(folder: Path, options: ProjectOptions, recordings: Path, encoder: Path) -> None:
    """Write ``project.json``, the last step of making a project; what was changed later stays."""
    here = Path(os.path.abspath(folder))
    before = read_json(folder / ABOUT) if (folder / ABOUT).is_file() else {}
    write_json(
        folder / ABOUT,
        {
            "format": FORMAT,
            "recordings": name_from(here, recordings),
            "encoder": name_from(here, encoder),
            "seed": options.seed,
            "several_labels": before.get("several_labels", options.several_labels),
            "made": stamp("project new", options),
        },
    )


# ``project suggest`` and ``project learn``: the two halves of a round.


def suggest_in_project(
    folder: Path,
    output: Path | None = None,
    *,
    annotator: str = "",
    queue: QueueOptions | None = None,
) -> str:
    """Write the next queue of a project; answers in the one before go into the log first.

    Parameters
    ----------
    folder : path
        The project's.
    output : path, optional
        The table; ``queue.csv`` in the project by default.
    annotator : str
        Who filled in the queue before.
    queue : QueueOptions, optional
        What it is to hold.

    Returns
    -------
    str
        What was chosen, for a terminal.

    Raises
    ------
    DataError
        When there is no project, nothing is left to ask about, or the queue that is there cannot
        be read.
    OptionError
        When another table is in the way.
    """
    wanted = check(queue or QueueOptions())
    project = Project.open(folder)
    own = project.folder / QUEUE
    table = output or own
    goes_on = os.path.abspath(table) == os.path.abspath(own) and own.is_file()
    check_table(table, over=goes_on)
    lines = []
    if goes_on:
        fit = project.require_fit
        taken = take_answers(project.log, own, annotator=annotator, by_anyone=True, check=fit)
        if taken:
            lines = [
                f"{count_text(len(taken), 'new answer')} of the queue before went into the log"
            ]
    chosen = project.suggest(wanted.n, strategy=wanted.strategy, random_share=wanted.random_share)
    chosen.write(table, over=True, page=True)
    return "\n".join([*lines, chosen.summary(table, len(project.index))])


def learn_in_project(
    folder: Path,
    answers: Path | None = None,
    *,
    annotator: str = "",
    several_labels: bool | None = None,
) -> tuple[str, Failures]:
    """Take answers from a table, if one is named, and learn from all there are.

    Parameters
    ----------
    folder : path
        The project's.
    answers : path, optional
        A queue whose column ``label`` was filled in.
    annotator : str
        Who filled it in.
    several_labels : bool, optional
        Whether a clip may carry several labels from now on.

    Returns
    -------
    str, failures
        What was learned, for a terminal; and lines of the log that are no entries.

    Raises
    ------
    DataError
        When there is no project, or answers of fewer than two classes.
    """
    project = Project.open(folder)
    if several_labels is not None:
        project.set_several_labels(several_labels)
    lines = []
    if answers is not None:
        fit = project.require_fit
        taken = take_answers(project.log, answers, annotator=annotator, check=fit)
        if taken:
            lines = [f"{count_text(len(taken), 'new answer')} from the table"]
    return "\n".join([*lines, project.learn().summary()]), project.log.problems()
