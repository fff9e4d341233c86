"""Why a loss is no longer a finite number, as far as can be told."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import TrainingError
from semisonic.training.identity import BatchStream, Streams
from semisonic.training.meter import NotFinite


def explain(error: NotFinite, streams: Streams, steps_per_epoch: int, plan: str) -> TrainingError:
    """An error that says where it happened and what to try.

    Batches are a function of the step, so those of the bad step are looked at again: either
    the recordings are at fault, or the training is.
    """
    epoch = error.step // steps_per_epoch + 1
    where = (
        f"epoch {epoch}, step {error.step}: the term '{error.term}' became {error.value} "
        f"at learning rate {error.rate:g} in {plan}"
    )
    for name, stream in streams.items():
        bad = _bad_rows(stream, error.step)
        if bad:
            return TrainingError(
                f"{where}. The stream '{name}' holds values that are not finite in this "
                f"batch, rows {', '.join(map(str, bad))} of its table: check those clips"
            )
    advice = "use a lower learning_rate, or clip gradients (clip_norm=1.0)"
    if plan.startswith("bf16"):
        advice += ", or precision='fp32'"
    return TrainingError(f"{where}. The inputs of this step are finite: {advice}")


def _bad_rows(stream: BatchStream, step: int, most: int = 5) -> list[int]:
    batch = stream.at(step)
    bad = ~torch.isfinite(batch.x.flatten(1)).all(dim=1)
    if batch.y is not None and batch.y.is_floating_point():
        bad |= ~torch.isfinite(batch.y.reshape(len(batch.y), -1)).all(dim=1)
    places = bad.nonzero().flatten()
    row: Tensor | None = getattr(batch, "row", None)
    rows = places if row is None else row.to(places.device)[places]
    return [int(one) for one in rows[:most]]
