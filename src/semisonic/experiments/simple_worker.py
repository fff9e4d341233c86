"""A job that trains no network: a simple classifier on a few numbers of each clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import numpy as np

from semisonic.experiments.jobs import TrainJob
from semisonic.experiments.material import Material
from semisonic.experiments.records import PREDICTIONS, predictions_of, write_done
from semisonic.inference.scoring import mean_by
from semisonic.inference.segment_options import MEAN
from semisonic.inference.simple.classifiers import fit_scores
from semisonic.inference.simple.hierarchy import fit_hierarchy
from semisonic.inference.simple.inputs import vectors
from semisonic.models import PretrainedEncoder


def run_simple(
    job: TrainJob,
    folder: Path,
    material: Material,
    categories: Mapping[str, str],
    encoder: PretrainedEncoder | None,
) -> None:
    """Learn from the job's clips, score its test fold once, and write both into ``folder``.

    Parameters
    ----------
    categories : mapping of class to group
        Read where the group is named first.
    encoder : PretrainedEncoder, optional
        What embeds the clips, where embeddings are the inputs.
    """
    setting, labelled = job.setting, material.labelled
    table = material.table(setting.front, setting.segments)
    features, target = table.open(), table.target(labelled)
    train, test = table.with_copies(job.train), table.rows_of(job.test)
    begun = perf_counter()
    x = vectors(setting.inputs, features, np.r_[train, test], encoder=encoder, mel=setting.mel)
    learn_from, to_score = x[: len(train)], x[len(train) :]
    if setting.group_first:
        names = list(dict.fromkeys(categories.values()))
        group_of = [names.index(categories[name]) for name in labelled.classes]
        scores = fit_hierarchy(
            setting.classifier, learn_from, target[train], to_score, group_of=group_of,
            seed=job.seed,
        )  # fmt: skip
    else:
        scores = fit_scores(
            setting.classifier, learn_from, target[train], to_score,
            n_classes=len(labelled.classes), seed=job.seed,
        )  # fmt: skip
    predictions = predictions_of(job, labelled, *mean_by(table.source[test], scores))
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / PREDICTIONS[MEAN])
    write_done(folder, job, predictions, seconds=perf_counter() - begun)
