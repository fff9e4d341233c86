"""Train the encoder of a project on its own recordings, for better vectors.

A project starts at once with the encoder of the package. Contrastive learning on the project's
segments, without labels, takes minutes. The same segments then get new vectors; answers belong to
files and times, so they are kept, as are the groups.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

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
"""Folder of the new vectors, in the project folder."""
IMPROVE_STEPS = (CONTRAST, VECTORS)


@dataclass(frozen=True)
class Improvement:
    """The result.

    Attributes
    ----------
    is_used : bool
        Whether the project uses the new vectors.
    said : str
        The reason, in a sentence.
    """

    is_used: bool
    said: str


def why_not(project: Project) -> str:
    """Why the encoder of a project cannot be trained on its recordings; "" if it can."""
    if project.vectors_said:
        return project.vectors_said
    begun = project.folder / BEGUN
    used = read_json(begun, {"encoder": str})["encoder"] if begun.is_file() else None
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
    """Train the encoder and compute new vectors, which the project does not use yet.

    The same call continues after an interruption.

    Parameters
    ----------
    folder : Path
        Of the project.
    device : str
    workers : int, optional
    tell : callable, optional
        Called with each of ``IMPROVE_STEPS`` as it begins.

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
            hop=read_json(folder / BEGUN, {"hop": (int, float, NoneType)})["hop"],
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
    """Use the vectors of :func:`learn_vectors`, unless they are worse for the answers.

    With 20 answers or more, classifiers trained on other recordings predict each of them with the
    old and with the new vectors; new vectors with fewer right answers are not used.
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
    """Number of answers predicted correctly when their recording is left out, and of all."""
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
    """Train the encoder of a project on its recordings, and use its vectors if not worse.

    An existing classifier is trained again on all answers.

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
