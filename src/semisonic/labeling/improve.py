"""Better vectors for a project, while one listens: its encoder learns from its own recordings.

A project begins at once with the encoder that comes with the package. That encoder can learn from
the project's segments by contrast, without labels, which takes minutes. The same segments then get
new vectors; answers belong to files and times, so they stay, and so do the groups.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisonic.classifier.start import SYNTH
from semisonic.core.errors import DataError
from semisonic.core.files import FolderLock, read_json, replacing
from semisonic.core.text import count_text
from semisonic.labeling.answers import label_index
from semisonic.labeling.embed import make_index
from semisonic.labeling.embedder import open_embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.probe import score_out_of_fold
from semisonic.labeling.project import ENCODER, Project
from semisonic.labeling.rounds import FEWEST_CALIBRATED, judged_right
from semisonic.labeling.start import BEGUN, CONTRAST, FEWEST_HEARD, VECTORS, learn_by_contrast

BETTER = "better"
"""Folder of the new vectors in that of the project."""
IMPROVE_STEPS = (CONTRAST, VECTORS)


@dataclass(frozen=True)
class Improvement:
    """What came of it.

    Attributes
    ----------
    is_used : bool
        Whether the project uses the new vectors.
    said : str
        Why, in a sentence.
    """

    is_used: bool
    said: str


def why_not(project: Project) -> str:
    """Why the encoder of a project cannot learn from its recordings; "" if it can."""
    if project.vectors_said:
        return project.vectors_said
    begun = project.folder / BEGUN
    used = read_json(begun).get("encoder") if begun.is_file() else None
    if used != SYNTH:
        return "the embeddings are not from the encoder that comes with Semisonic"
    if len(project.index) < FEWEST_HEARD:
        n = count_text(len(project.index), "segment")
        return f"found {n}, expected at least {FEWEST_HEARD} to learn from"
    return ""


def learn_vectors(
    folder: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    tell: Callable[[str], None] = lambda step: None,
) -> None:
    """Let the encoder learn, and make the new vectors; the project does not use them yet.

    After an interruption the same call goes on.

    Parameters
    ----------
    folder : Path
        Of the project.
    device : str
    workers : int, optional
    tell : callable, optional
        Is given each of ``IMPROVE_STEPS`` as it begins.

    Raises
    ------
    DataError
        When the project cannot be improved; see :func:`why_not`.
    """
    lock = FolderLock(folder)
    lock.acquire()
    try:
        project = Project(folder)
        if reason := why_not(project):
            raise DataError(f"{folder}: {reason}")
        clips = project.index.clips
        encoder = _encoder(folder)
        if not encoder.is_file():
            tell(CONTRAST)
            made, _ = learn_by_contrast(
                folder, clips, seed=project.seed, device=device, workers=workers
            )
            with replacing(encoder) as part:
                shutil.copyfile(made, part)
        tell(VECTORS)
        made_index = make_index(
            open_embedder(encoder),
            clips,
            folder / BETTER,
            hop=read_json(folder / BEGUN).get("hop"),
            device=device,
            workers=workers,
        )
        if len(made_index.index) != len(clips):
            raise DataError(
                f"{folder}: found {len(made_index.index)} of {len(clips)} segments that can "
                "still be read; the embeddings are not changed"
            )
        made_index.index.set_clusters(project.index.cluster)
    finally:
        lock.release()


def _encoder(folder: Path) -> Path:
    return folder / ENCODER / "better.zip"


def take_vectors(project: Project) -> Improvement:
    """Use what :func:`learn_vectors` made, unless the answers speak against it.

    With 20 answers or more, each is predicted by classifiers that learned from other recordings,
    with the vectors before and with the new ones; new ones with fewer right answers are not used.
    """
    folder = Path(os.path.abspath(project.folder))
    better = EmbeddingIndex.open(folder / BETTER, open_embedder(_encoder(folder)))
    before, n = _n_right(project, project.index)
    after, _ = _n_right(project, better) if n >= FEWEST_CALIBRATED else (0, 0)
    is_used = n < FEWEST_CALIBRATED or after >= before
    said = "An encoder that was trained on these recordings "
    said += "makes the embeddings" if is_used else "was tried, but is not used"
    if n >= FEWEST_CALIBRATED:
        said += f": {after} of {n} answers are right when left out, {before} before"
    if is_used:
        project.take_vectors(said, _encoder(folder), folder / BETTER)
    else:
        project.take_vectors(said)
    return Improvement(is_used, said)


def _n_right(project: Project, index: EmbeddingIndex) -> tuple[int, int]:
    """Answers that are predicted rightly when their recording is left out, of how many."""
    try:
        labelled, matched, _ = label_index(
            project.log, index, several_labels=project.several_labels
        )
    except DataError:  # fewer than two classes
        return 0, 0
    logits, _ = score_out_of_fold(index, labelled, matched.rows, seed=project.seed)
    right, is_judged = judged_right(logits, labelled, project.several_labels)
    counted = is_judged & labelled.is_verified
    return int(np.sum(right & counted)), int(np.sum(counted))


def improve_project(
    folder: Path, *, device: str = "auto", workers: int | None = None
) -> Improvement:
    """Let the encoder of a project learn from its recordings, and use its vectors if not worse.

    A classifier that is there learns anew from all answers.

    Parameters
    ----------
    folder : Path
        Of the project.
    device : str
    workers : int, optional

    Raises
    ------
    DataError
        When the project cannot be improved; see :func:`why_not`.
    """
    learn_vectors(folder, device=device, workers=workers)
    found = take_vectors(Project(folder))
    project = Project(folder)
    if found.is_used and project.model is not None:
        project.learn()
    return found
