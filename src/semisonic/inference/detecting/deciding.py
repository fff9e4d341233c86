"""What a model says, with its decision where it has one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semisonic.base.files import digest
from semisonic.models import SoundModel


def window_scores(model: SoundModel, x: Tensor, embedding: Tensor) -> NDArray[np.float64]:
    """Scores of windows, shape (n, n_classes), as ``predict`` gives them.

    Parameters
    ----------
    model : SoundModel
    x : Tensor, shape (n, channel, mel, frame)
        Their features.
    embedding : Tensor, shape (n, dim)
        What the model makes of these.
    """
    logits = model.head(embedding).float()
    decision = model.decision
    if decision.is_empty:
        return _table(model.scores(logits))
    seen = embedding
    if decision.unknown.reads_statistics:
        seen = torch.cat([embedding, model.statistics(x)], dim=1)
    said = decision.apply(_table(logits), _table(seen), multi_label=model.multi_label)
    return np.asarray(said.scores)


def frame_scores(model: SoundModel, embedding: Tensor) -> NDArray[np.float64]:
    """Scores of single frames, shape (n, n_frames, n_classes), calibrated if the model is."""
    logits = model.head(embedding).float()
    decision = model.decision
    if decision.is_empty:
        return _table(model.scores(logits))
    scores = decision.calibration.apply(_table(logits.flatten(0, 1)), multi_label=model.multi_label)
    return np.asarray(scores).reshape(logits.shape)


def decision_key(model: SoundModel) -> str:
    """What the two depend on beside the network; empty for a model without a decision."""
    decision = model.decision
    if decision.is_empty:
        return ""
    tables = [(name, table.tobytes().hex()) for name, table in sorted(decision.tensors().items())]
    return digest(decision.to_dict(), tables)


def _table(x: Tensor) -> NDArray[np.float64]:
    table: NDArray[np.float64] = x.double().cpu().numpy()
    return table
