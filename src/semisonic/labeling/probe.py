"""Train a classifier on an index and a few answers in about a second, without embedding again.

This is the recommended method for few labels (``docs/explanation/few-labels.md``): the encoder is
frozen, a linear class layer is solved for, and confident pseudo-labels of the pool are learned
with the answers. See :mod:`semisonic.classifier.probe` for its sources.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from semisonic.classifier.calibration import LEAST_KNOWN, recording_folds
from semisonic.classifier.config import MethodOptions
from semisonic.classifier.probe import ABSENT, ClassLine, FloatArray, solve_probe
from semisonic.classifier.scoring import BATCH_SIZE, NetworkOutputs, audible_windows, by_clip
from semisonic.classifier.unknown import PoolSounds, features_of_noise, fit_unknown, pool_rows
from semisonic.classifier.windows import stream_windows
from semisonic.core.errors import ModelError
from semisonic.core.seeds import generator
from semisonic.data.events import BACKGROUND
from semisonic.data.label_log import Segment
from semisonic.evaluation.label_errors import find_suspects
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.labeling.answers import LabelledRows, label_index
from semisonic.labeling.embedder import Embedding
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.models.decision import UnknownRules, probabilities
from semisonic.models.necks import Backbone
from semisonic.models.registry import create
from semisonic.models.sound_model import SoundModel

MOST_GUESSED = 2000
"""Largest number of rows of the pool with pseudo-labels; a random part is as good as all."""
THRESHOLD = 0.7
"""Least confidence of a pseudo-label, as in the recommended method."""
ALIGNMENT = 0.5
"""Strength of the alignment; it is not chosen by trial, as classes of a project are seldom balanced
and a round should take seconds."""

Rows = NDArray[np.int64]
Tell = Callable[[int, int], None]
"""Called with the number of finished parts and of all parts."""


@dataclass(frozen=True)
class EmbeddingProbe:
    """A class layer behind standardised embeddings."""

    line: ClassLine
    scale: StandardScaler
    classes: tuple[str, ...]

    def logits(self, vectors: NDArray[np.float32]) -> FloatArray:
        """Shape (n, n_classes)."""
        x = self.scale.transform(np.asarray(vectors, np.float64))
        return np.asarray(x @ self.line.weight.T + self.line.bias)


def learn_probe(
    vectors: NDArray[np.float32], labelled: LabelledRows, pool: Rows, *, seed: int = 0
) -> EmbeddingProbe:
    """Solve for the class layer.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        Vectors of an index; may be a memory map.
    labelled : LabelledRows
    pool : ndarray of int64
        Rows without an answer, for pseudo-labels; labelled ones are ignored.
    seed : int
    """
    pool = np.setdiff1d(pool, labelled.rows)
    if len(pool) > MOST_GUESSED:
        pool = np.sort(generator(seed, "guessed").choice(pool, MOST_GUESSED, replace=False))
    scale = StandardScaler()
    x = scale.fit_transform(np.asarray(vectors[np.r_[labelled.rows, pool]], np.float64))
    line, _, _ = solve_probe(
        x[: len(labelled)],
        labelled.targets,
        x[len(labelled) :],
        pool,
        MethodOptions(threshold=THRESHOLD, alignment=ALIGNMENT),
        labelled.multi_label,
        weights=labelled.weights,
    )
    return EmbeddingProbe(line, scale, labelled.classes)


def score_out_of_fold(
    index: EmbeddingIndex,
    labelled: LabelledRows,
    answered: Rows,
    *,
    seed: int = 0,
    tell: Tell | None = None,
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Logits of each labelled row by probes that were not trained on its recording.

    Parameters
    ----------
    index : EmbeddingIndex
    labelled : LabelledRows
    answered : ndarray of int64
        Answered rows, which get no pseudo-labels.
    seed : int
    tell : callable, optional
        Called before each part with the number of finished parts and of all parts.

    Returns
    -------
    logits : ndarray of float64, shape (n, n_classes)
        NaN if there are not two recordings.
    is_known : ndarray of bool, shape (n,)
        Whether the classifier knew the classes of the row.

    Notes
    -----
    Recordings are left out in ten parts, or in five from 200 answers.
    """
    from sklearn.model_selection import GroupKFold

    group = index.clips.group
    pool = np.setdiff1d(np.arange(len(index)), answered)
    logits = np.full(labelled.targets.shape, np.nan)
    is_known = np.zeros(len(labelled), np.bool_)
    n_groups = len(set(labelled.group.tolist()))
    if n_groups < 2:
        return logits, is_known
    parts = min(n_groups, 10 if len(labelled) < 200 else 5)
    folds = GroupKFold(parts, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(folds.split(labelled.rows, groups=labelled.group)):
        if tell is not None:
            tell(number, parts)
        there = labelled.targets[train].sum(axis=0) > 0
        is_known[test] = labelled.multi_label | (labelled.targets[test] <= there).all(axis=1)
        if there.sum() < 2 and not labelled.multi_label:
            logits[test] = np.where(there, 0.0, -ABSENT)
            continue
        rest = pool[~np.isin(group[pool], labelled.group[test])]
        probe = learn_probe(index.vectors, labelled[train], rest, seed=seed)
        logits[test] = probe.logits(index.vectors[labelled.rows[test]])
    return logits, is_known


def fit_rules(
    model: SoundModel,
    index: EmbeddingIndex,
    labelled: LabelledRows,
    logits: FloatArray,
    probe: EmbeddingProbe,
    *,
    seed: int = 0,
) -> UnknownRules | None:
    """Fit the rules for unknown sounds to answers, as ``train`` fits them to clips.

    Segments without any class do not count. None if fewer than 8 segments are left, or all are
    from one recording.

    Parameters
    ----------
    model : SoundModel
        With its calibration.
    index : EmbeddingIndex
    labelled : LabelledRows
    logits : ndarray of float64, shape (n, n_classes)
        Of :func:`score_out_of_fold`.
    probe : EmbeddingProbe
        Trained on all answers.
    seed : int
    """
    names = np.array(labelled.classes) == BACKGROUND
    target = labelled.targets.astype(np.int64)
    is_known = np.asarray(np.isfinite(logits).all(axis=1) & target[:, ~names].any(axis=1))
    statistics = np.zeros((len(labelled), model.statistics.out_features))

    def look(features: NDArray[np.float32]) -> FloatArray:
        starts = range(0, len(features), BATCH_SIZE)
        parts = (torch.from_numpy(features[start : start + BATCH_SIZE]) for start in starts)
        empty = np.zeros((0, model.statistics.out_features))  # where no file can be read
        with torch.no_grad():
            found = [model.statistics(part).double().numpy() for part in parts]
        return np.concatenate([empty, *found])

    known = np.flatnonzero(is_known)
    for one in by_clip(stream_windows(index.clips[labelled.rows[known]], model.mel), look):
        row = known[one.row]
        is_known[row] = len(one.features) > 0 and not one.reason and not one.is_silent.all()
        if is_known[row]:
            statistics[row] = one.features[audible_windows(one.is_silent)].mean(axis=0)
    known, several = np.flatnonzero(is_known), labelled.multi_label
    group = labelled.group[known]
    if len(known) < LEAST_KNOWN or len(set(group.tolist())) < 2:
        return None
    scores = model.calibrated(torch.from_numpy(logits[known])).numpy()
    said = target[known] if several else target[known].argmax(axis=1)
    vectors = np.asarray(index.vectors[labelled.rows[known]], np.float64)
    outputs = NetworkOutputs(logits[known], statistics[known], vectors)
    noise = look(_noise_features(model.mel, 2 * seed))
    rest, pool = pool_rows(np.arange(len(index)), index.clips.group, labelled.rows), None
    if len(rest):
        rest_logits = torch.from_numpy(probe.logits(index.vectors[rest]))
        rest_vectors = np.asarray(index.vectors[rest], np.float64)
        pool = PoolSounds(rest_vectors, model.calibrated(rest_logits).numpy())
    return fit_unknown(outputs, scores, said, noise, recording_folds(said, group, seed), pool=pool)[
        0
    ]


@functools.lru_cache(maxsize=1)
def _noise_features(mel: MelOptions, seed: int) -> NDArray[np.float32]:
    return features_of_noise(mel, seed=seed)


def classifier_from(
    probe: EmbeddingProbe, network: Embedding, *, multi_label: bool = False
) -> SoundModel:
    """The classifier: the encoder that made the vectors, and the class layer.

    Parameters
    ----------
    probe : EmbeddingProbe
    network : Embedding
        The network that made the vectors of the probe.
    multi_label : bool
        Whether a clip may carry several labels.

    Raises
    ------
    ModelError
        When the encoder's vectors differ from those of a classifier with its network, for example
        because of dense layers.
    """
    require_probe_fits(network)
    theirs = network.frontend
    frontend = Frontend(theirs.options, theirs.standardize.kind)
    frontend.load_state_dict(theirs.state_dict())
    body = Backbone(network.name, network.encoder, network.neck)
    model = SoundModel(frontend, body, probe.classes, multi_label=multi_label)
    probe.line.put_into(model.head[-1], probe.scale)
    return model.cpu().eval()


def require_probe_fits(network: Embedding) -> None:
    """Check that a classifier of a network uses the vectors of its encoder.

    Raises
    ------
    ModelError
        When there are dense layers in between, which pre-training does not train.
    """
    neck = create(network.name, network.frontend.options.shape).neck
    if neck.out_features != network.neck.out_features or len(list(neck.parameters())):
        raise ModelError(
            f"the network '{network.name}' has layers between encoder and class layer that "
            "cannot be trained before there are labels; use one without them, such as 'small', "
            "or a published encoder"
        )


@dataclass(frozen=True)
class LabelIssue(Segment):
    """A suspicious answer, with the file name of the log.

    Attributes
    ----------
    labels : tuple of str
        The labels of the answer.
    suggested : tuple of str
        The labels suggested by the scores; empty for none of the classes.
    score, suggested_score : float
        Scores of the answered and the suggested label, 0 to 1; the lowest of several.
    """

    labels: tuple[str, ...]
    suggested: tuple[str, ...]
    score: float
    suggested_score: float


def find_label_issues(
    log: LabelLog,
    index: EmbeddingIndex,
    *,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> tuple[LabelIssue, ...]:
    """Find suspicious answers, the most suspicious first.

    This is ``semisonic suspects`` for answers: a class layer on the vectors of the index, trained
    on other recordings only, judges each answer, without minutes of embedding or training.
    Uncertain answers, and classes that other recordings lack, are not judged.

    Parameters
    ----------
    log : LabelLog
    index : EmbeddingIndex
    seed : int
    several_labels : bool
        Whether a clip may carry several labels at once.
    tell : callable, optional
        Called with the number of finished parts and of all parts.

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    """
    labelled, matched, _ = label_index(log, index, several_labels=several_labels)
    logits, is_known = score_out_of_fold(index, labelled, matched.rows, seed=seed, tell=tell)
    judged = np.flatnonzero(labelled.is_verified & is_known & np.isfinite(logits).all(axis=1))
    columns = np.flatnonzero((labelled.targets[judged] > 0).any(axis=0))
    if len(columns) < 2:
        return ()
    target = labelled.targets[np.ix_(judged, columns)].astype(np.int64)
    chosen = torch.from_numpy(logits[np.ix_(judged, columns)])
    scores = probabilities(chosen, multi_label=several_labels).numpy()
    found = find_suspects(target if several_labels else target.argmax(axis=1), scores)
    names = [labelled.classes[k] for k in columns.tolist()]
    answer_of = dict(zip(matched.rows.tolist(), matched.of_row, strict=True))
    clips, issues = matched.answers, []
    for i in found.suspects.tolist():
        answer = min(answer_of[int(labelled.rows[judged[i]])])
        said = found.suggested[i]
        suggested = [int(said)] if found.suggested.ndim == 1 else np.flatnonzero(said).tolist()
        given = [names.index(name) for name in clips.labels[answer] if name in names]
        issues.append(
            LabelIssue(
                str(clips.file[answer]),
                float(clips.start_time[answer]),
                float(clips.end_time[answer]),
                tuple(clips.labels[answer]),
                tuple(names[k] for k in suggested),
                float(min(scores[i][given], default=0.0)),
                float(min(scores[i][suggested], default=0.0)),
            )
        )
    return tuple(issues)
