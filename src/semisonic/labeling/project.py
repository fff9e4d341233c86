"""``Project``: from a folder of recordings without labels to a first classifier.

The project folder::

    project.json   which recordings, how they are cut and embedded
    encoder/       an encoder that learned from all of them without labels
    index/         their vectors, and the clusters that were found
    predictions.csv   of all segments, where their vectors were made elsewhere
    better/        vectors of an encoder that has learned from the recordings, if there are any
    labels.jsonl   the answers (nothing else is made by hand; keep it)
    queue.csv      what to listen to next
    model.zip      the classifier of the last round
    history.csv    a row per round: answers, accuracy with its interval

The recordings are neither moved nor changed.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.model_file import MODEL
from semisonic.classifier.unknown import features_of_noise
from semisonic.core.errors import DataError
from semisonic.core.files import read_json, write_json
from semisonic.core.options import nearest
from semisonic.core.text import count_text
from semisonic.data.datasets.load import Failures, name_from
from semisonic.data.label_log import RENAMED, label_fault, present_names, spelling
from semisonic.labeling.answers import match
from semisonic.labeling.clusters import find_clusters, nearest_to_centres
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.nearest import nearest as nearest_rows
from semisonic.labeling.options import MIX, RANDOM_SHARE, QueueOptions
from semisonic.labeling.probe import LabelIssue, Tell, find_label_issues
from semisonic.labeling.queue import (
    NOISE,
    TYPICAL,
    Queue,
    Suggestion,
    check_table,
    named_by,
    take_answers,
    written_text,
)
from semisonic.labeling.rounds import LearningRound, learn_round, read_history
from semisonic.labeling.suggest import CandidatePool, candidate_pool, choose

if TYPE_CHECKING:
    import pandas as pd

ABOUT, LOG, INDEX, ENCODER, QUEUE = (
    "project.json",
    "labels.jsonl",
    "index",
    "encoder",
    "queue.csv",
)
FORMAT = 2
_ENTRIES = {"recordings": str, "encoder": str, "seed": int, "several_labels": bool}
_NOISES, _MOST_NOISY = 4, 100
"""Number of waves of each kind of synthetic noise, and of rows compared with each."""
_APART = 0.1
"""Share of synthetic noise that may be farther from the rest than a group like noise is."""


@dataclass(frozen=True)
class ProjectCluster:
    """Recordings that sound alike.

    Attributes
    ----------
    number : int
        From 0, the largest group first.
    size : int
        Number of segments.
    typical : tuple of Suggestion
        Central segments to listen to, from different recordings if possible.
    answers : mapping of str to int
        Number of segments with each label.
    is_noise : bool
        Whether most segments sound like steady noise, as near to synthetic noise as most synthetic
        noise is to other such noise.
    """

    number: int
    size: int
    typical: tuple[Suggestion, ...]
    answers: dict[str, int]
    is_noise: bool = False


class Project:
    """A project that is ready for labelling; see :func:`semisonic.labeling.start.start_project`.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    folder, recordings : Path
    encoder : Path
        The file of the encoder.
    seed : int
    several_labels : bool
        Whether a clip may carry several labels at once; :meth:`set_several_labels` changes it.
    vectors_said : str
        The result of training the encoder on the recordings; "" before. See
        :func:`semisonic.labeling.improve.improve_project`.
    is_stopped : bool
        Whether somebody stopped that; :meth:`stop_vectors` says so.
    class_looks : dict of str to dict
        ``colour`` (as ``#4aa19f``) and ``key`` of classes, if set; :meth:`set_class_look` changes
        them.
    log : LabelLog

    Raises
    ------
    DataError
        When there is none, or its start was not finished.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        if not (self.folder / ABOUT).is_file():
            raise DataError(
                f"{folder}: no project; 'semisonic project new RECORDINGS -o {folder}' starts "
                "one, or continues an interrupted start"
            )
        about = read_json(self.folder / ABOUT, _ENTRIES)
        if about.get("format") != FORMAT:
            raise DataError(
                f"{self.folder / ABOUT}: found format {about.get('format')}, expected {FORMAT}"
            )
        self.recordings, self.encoder = (
            Path(os.path.abspath(self.folder / about[name])) for name in ("recordings", "encoder")
        )
        self.seed, self.several_labels = int(about["seed"]), bool(about["several_labels"])
        self.class_looks: dict[str, dict[str, str]] = about.get("classes", {})
        self._index = self.folder / about.get("index", INDEX)
        self.vectors_said: str = about.get("vectors", "")
        self.is_stopped: bool = about.get("stopped", False)
        is_table = not self.recordings.is_dir()
        self.log = LabelLog(
            self.folder / LOG, self.recordings.parent if is_table else self.recordings
        )

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Project:
        """Open the project in a folder; the same as ``Project(folder)``."""
        return cls(folder)

    @cached_property
    def index(self) -> EmbeddingIndex:
        """The vectors of all segments."""
        return EmbeddingIndex.open(self._index, open_embedder(self.encoder))

    @property
    def model(self) -> Path | None:
        """The classifier of the last round; None before the first."""
        path = self.folder / MODEL
        return path if path.is_file() else None

    @property
    def history(self) -> pd.DataFrame:
        """A row per round, oldest first; see :func:`semisonic.labeling.rounds.read_history`."""
        return read_history(self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels given, sorted."""
        return self.log.current().classes

    def pool(self) -> CandidatePool:
        """All segments, with the scores of the last classifier if there is one."""
        return candidate_pool(self.model, self.index, self.folder)

    def suggest(
        self, n: int = 20, *, strategy: str = MIX, random_share: float = RANDOM_SHARE
    ) -> Queue:
        """Suggest segments to label next, with the file names of the log.

        Parameters as for :func:`semisonic.suggest`.
        """
        queue = choose(self.pool(), n, strategy, self.seed, self.log, random_share)
        return named_by(self.log, queue)

    def learn(self, *, tell: Tell | None = None) -> LearningRound:
        """Train a classifier on all answers; see :func:`semisonic.labeling.rounds.learn_round`."""
        return learn_round(
            self.log,
            self.index,
            self.folder,
            seed=self.seed,
            several_labels=self.several_labels,
            tell=tell,
        )

    def label_issues(self, *, tell: Tell | None = None) -> tuple[LabelIssue, ...]:
        """Find suspicious answers; see :func:`semisonic.labeling.probe.find_label_issues`."""
        return find_label_issues(
            self.log, self.index, seed=self.seed, several_labels=self.several_labels, tell=tell
        )

    def set_several_labels(self, several_labels: bool) -> None:
        """Set whether a clip may have several labels; no answer is changed.

        With one label per clip, clips with several labels are not used for training.
        """
        self._write_about(several_labels=several_labels)
        self.several_labels = several_labels

    def take_vectors(
        self, said: str, encoder: Path | None = None, index: Path | None = None
    ) -> None:
        """Record the result of new vectors; if an encoder and its index are given, use them.

        Open the project again afterwards.
        """
        here = Path(os.path.abspath(self.folder))
        named = {"encoder": encoder, "index": index}
        changed = {key: name_from(here, path) for key, path in named.items() if path is not None}
        self._write_about(vectors=said, **changed)
        self.vectors_said = said

    def stop_vectors(self, stopped: bool) -> None:
        """Say whether the app is to begin no other vectors by itself."""
        self._write_about(stopped=stopped)
        self.is_stopped = stopped

    def set_class_look(self, name: str, *, colour: str = "", key: str = "") -> None:
        """Set how the app shows a class; another class with the same key loses it.

        Parameters
        ----------
        name : str
        colour : str
            Such as ``#4aa19f``; "" for the default by its position among the classes.
        key : str
            One letter or digit; "" for the default by its position.
        """
        looks = {
            one: {**look, "key": ""} if key and look.get("key") == key else look
            for one, look in self.class_looks.items()
        }
        self._set_looks({**looks, name: {"colour": colour, "key": key}})

    def _set_looks(self, looks: dict[str, dict[str, str]]) -> None:
        self.class_looks = {name: look for name, look in looks.items() if any(look.values())}
        self._write_about(classes=self.class_looks)

    def _write_about(self, **changed: Any) -> None:
        write_json(self.folder / ABOUT, {**read_json(self.folder / ABOUT), **changed})

    def rename_class(
        self,
        name: str,
        to: str,
        *,
        merge: bool = False,
        annotator: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> int:
        """Rename a class in all answers, or merge it with another class.

        Answers keep their annotators. The classifier knows the name after the next round.

        Parameters
        ----------
        name, to : str
        merge : bool
            Whether ``to`` may be an existing class, so that the two are merged.
        annotator : str
            Who renames it.
        more : mapping, optional
            Fields of all new answers; see :meth:`LabelLog.change`.

        Returns
        -------
        int
            Number of changed answers.

        Raises
        ------
        DataError
            When there is no such class, or the new name is invalid or used by another class.
        """
        to = to.strip()
        answers = self.log.standing()
        known = {label for one in answers for label in one.labels}
        if name not in known:
            later = present_names([name], self.log.renames())[0]
            why = f"it was renamed '{later}'" if later != name else nearest(name, known)
            raise DataError(f"found no answer with the label '{name}'; {why}")
        if reason := label_fault(to):
            raise DataError(f"'{name}' cannot be renamed: {reason}")
        same = sorted(one for one in known - {name} if spelling(one) == spelling(to))
        if same and (to not in same or not merge):
            raise DataError(
                f"there is already a class '{same[0]}'; merge '{name}' with it, or choose "
                "another name"
            )
        if merge and to not in known:
            later = present_names([to], self.log.renames())[0]
            why = f"it was renamed '{later}'" if later != to else nearest(to, known)
            raise DataError(f"'{name}' cannot be merged with '{to}': there is no such class; {why}")
        changes = [
            (one, {"labels": tuple(dict.fromkeys(to if n == name else n for n in one.labels))})
            for one in answers
            if name in one.labels
        ]
        self.log.change(changes, annotator=annotator, more={**(more or {}), RENAMED: [name, to]})
        looks = dict(self.class_looks)
        look = looks.pop(name, {})
        self._set_looks({to: look, **looks})
        return len(changes)

    def label_check(self) -> Callable[[Sequence[str]], None]:
        """A function that checks the labels of each new answer.

        Raises
        ------
        DataError
            Raised by the function: when an answer has several labels in a project of one label per
            clip, or a label differs from an existing or checked one only in case or spaces.
        """
        known: dict[str, set[str]] = defaultdict(set)
        for label in (label for one in self.log.standing() for label in one.labels):
            known[spelling(label)].add(label)

        def check(labels: Sequence[str]) -> None:
            if len(labels) > 1 and not self.several_labels:
                raise DataError(
                    f"found the labels {', '.join(labels)}, expected one, as a clip of this "
                    "project has one label. Give one, or first allow several: on the page under "
                    "'Label', or with 'semisonic project learn --several-labels'"
                )
            for label in labels:
                same = known[spelling(label)]
                if same and label not in same:
                    raise DataError(
                        f"found the label '{label}', but there is '{min(same)}', which differs "
                        "only in case or spaces; use that, or rename it first"
                    )
                same.add(label)

        return check

    def clusters(self, n_typical: int = 3) -> tuple[ProjectCluster, ...]:
        """Groups of similar segments, the largest first, for naming by listening.

        An answer about a typical segment is an ordinary entry of the log and labels this segment
        only.
        """
        number, clips = self.index.cluster, self.index.clips
        matched = match(self.log.current().clips(), clips)
        labels = dict(zip(matched.rows.tolist(), matched.labels, strict=True))
        found = []
        for cluster, rows in enumerate(
            nearest_to_centres(self.index.vectors, number, clips.group, n_typical)
        ):
            own = np.flatnonzero(number == cluster).tolist()
            is_noise = self._sounds_like_noise(self.index.vectors[own])
            counts = Counter(name for row in own for name in labels.get(row, ()))
            each = (Suggestion.of_row(clips, row, TYPICAL, cluster=cluster) for row in rows)
            typical = named_by(self.log, Queue(clips.root, tuple(each)))
            found.append(ProjectCluster(cluster, len(own), typical.rows, dict(counts), is_noise))
        return tuple(found)

    def noise_like(self, n: int) -> tuple[Suggestion, ...]:
        """Segments that sound most like synthetic noise and hum, from different recordings.

        To find segments without sounds of interest, listen to these first.
        """
        clips, found = self.index.clips, dict[str, int]()
        for row in self._noise_order:
            found.setdefault(str(clips.group[row]), row)
        each = (Suggestion.of_row(clips, row, NOISE) for row in [*found.values()][:n])
        return named_by(self.log, Queue(clips.root, tuple(each))).rows

    @cached_property
    def _noise_order(self) -> list[int]:
        """Rows by similarity to their nearest synthetic noise, the most similar first."""
        noise = self._noise
        if not len(noise):
            return []
        k = min(_MOST_NOISY, len(self.index))
        rows, values = nearest_rows(self.index.vectors, noise, k)
        order = np.argsort(-values.ravel(), kind="stable")
        return list(dict.fromkeys(rows.ravel()[order].tolist()))

    @cached_property
    def _noise(self) -> NDArray[np.float32]:
        """Vectors of synthetic noise, (n, dim); none where it cannot be embedded."""
        if self.index.is_elsewhere:
            return np.empty((0, self.index.vectors.shape[1]), np.float32)
        embedder = self.index.embedder()
        noise = features_of_noise(embedder.mel, seed=self.seed, per_kind=_NOISES, beyond_db=0.0)
        return np.asarray(embedder(noise, "cpu")[0], np.float32)

    def _sounds_like_noise(self, vectors: NDArray[np.float32]) -> bool:
        """Whether most of some vectors are as near to synthetic noise as it is to its own kind."""
        noise = self._noise
        if not len(noise):
            return False
        between = nearest_rows(noise, noise, 2).values[:, 1]  # the nearest one is itself
        to_noise = nearest_rows(noise, vectors, 1).values[:, 0]
        return bool(np.median(to_noise) >= np.quantile(between, _APART))

    def split_cluster(self, number: int) -> None:
        """Split a group in two; the larger part keeps its number, the other one gets a new one.

        Raises
        ------
        DataError
            When there is no such group, or its segments do not differ.
        """
        cluster = self.index.cluster.copy()
        rows = np.flatnonzero(cluster == number)
        is_whole = number < 0 or len(rows) < 2
        if not is_whole:
            parts = find_clusters(self.index.vectors[rows], "2", seed=self.seed)
            is_whole = parts.count < 2
        if is_whole:
            raise DataError(
                f"group {number + 1}: found {count_text(len(rows), 'segment')} that do not "
                "differ, expected at least two that do; name its sounds one by one"
            )
        cluster[rows[parts.number == 1]] = cluster.max() + 1
        self.index.set_clusters(cluster)

    def __repr__(self) -> str:
        return f"Project({self.folder})"

    def _repr_html_(self) -> str:
        from semisonic.core.html import card, facts, frame_table

        said = self.describe()
        classes = ", ".join(said.pop("classes"))
        values = {"folder": self.folder, **said, "classes": classes, "encoder": self.encoder}
        values["several_labels"] = "yes" if self.several_labels else ""
        named = {name.replace("_", " "): value for name, value in values.items()}
        columns = ["time", "n_answers", "n_classes", "random_accuracy", "random_low", "random_high"]
        return card("Project", facts(named), frame_table(self.history[columns]))

    def describe(self) -> dict[str, Any]:
        """Numbers about the project: segments, answers, classes, rounds."""
        current = self.log.current()
        return {
            "recordings": str(self.recordings),
            "segments": len(self.index),
            "clusters": int(self.index.cluster.max(initial=-1)) + 1,
            "several_labels": self.several_labels,
            "answers": len(current),
            "classes": list(current.classes),
            "disagreements": len(current.disagreements),
            "rounds": len(self.history),
        }


# ``project suggest`` and ``project learn``: the two halves of a round.


def suggest_in_project(
    project: Project, wanted: QueueOptions, table: Path | None = None, *, annotator: str = ""
) -> str:
    """Write the next queue of a project, after adding answers of the previous one to the log.

    Parameters
    ----------
    project : Project
    wanted : QueueOptions
        The options of the queue.
    table : path, optional
        Its table; by default ``queue.csv`` in the project.
    annotator : str
        Who filled in the previous queue.

    Returns
    -------
    str
        Text for a terminal.

    Raises
    ------
    DataError
        When nothing is left to ask about, or the existing queue cannot be read.
    OptionError
        When another table is in the way.
    """
    own = project.folder / QUEUE
    table = table or own
    goes_on = own.is_file() and os.path.abspath(table) == os.path.abspath(own)
    check_table(table, over=goes_on)
    said = ""
    if goes_on:
        fit = project.label_check()
        taken = take_answers(project.log, own, annotator=annotator, by_anyone=True, check=fit)
        n_taken = count_text(len(taken), "new answer")
        said = f"{n_taken} of the previous queue went into the log\n" if taken else ""
    queue = project.suggest(wanted.n, strategy=wanted.strategy, random_share=wanted.random_share)
    queue.write(table, over=True, page=True)
    return said + written_text(queue, table, len(project.index))


def learn_in_project(
    project: Project, answers: Path | None = None, *, annotator: str = ""
) -> tuple[str, Failures]:
    """Add answers of a table, if one is given, and train on all answers.

    Parameters
    ----------
    project : Project
    answers : path, optional
        A queue whose column ``label`` was filled in.
    annotator : str
        Who filled it in.

    Returns
    -------
    str, failures
        Text for a terminal, and lines of the log that are not entries.

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    """
    said = ""
    if answers is not None:
        fit = project.label_check()
        taken = take_answers(project.log, answers, annotator=annotator, check=fit)
        said = f"{count_text(len(taken), 'new answer')} from the table\n" if taken else ""
    return said + project.learn().summary(), project.log.problems()
