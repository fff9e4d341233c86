"""The one training loop, its options, checkpoints and devices, and the run folder.

Names are imported when first used, so that options and the run folder do not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names
from semisonic.training.options import FitOptions, SweepOptions

if TYPE_CHECKING:
    from semisonic.training.averaging import WeightAverage
    from semisonic.training.devices import choose_device
    from semisonic.training.early_stopping import EarlyStopping, lower_is_better
    from semisonic.training.identity import BatchStream
    from semisonic.training.loop import fit
    from semisonic.training.precision import Plan, choose_plan
    from semisonic.training.provenance import commit, machine, versions
    from semisonic.training.rate_sweep import RateSweep, sweep_rate
    from semisonic.training.record import RunFolder
    from semisonic.training.schedules import Schedule
    from semisonic.training.state import FitResult

__all__ = [
    "BatchStream",
    "EarlyStopping",
    "FitOptions",
    "FitResult",
    "Plan",
    "RateSweep",
    "RunFolder",
    "Schedule",
    "SweepOptions",
    "WeightAverage",
    "choose_device",
    "choose_plan",
    "commit",
    "fit",
    "lower_is_better",
    "machine",
    "sweep_rate",
    "versions",
]

_WHERE = {
    "averaging": ("WeightAverage",),
    "devices": ("choose_device",),
    "early_stopping": ("EarlyStopping", "lower_is_better"),
    "identity": ("BatchStream",),
    "loop": ("fit",),
    "precision": ("Plan", "choose_plan"),
    "provenance": ("commit", "machine", "versions"),
    "rate_sweep": ("RateSweep", "sweep_rate"),
    "record": ("RunFolder",),
    "schedules": ("Schedule",),
    "state": ("FitResult",),
}

__getattr__ = lazy_names(__name__, _WHERE)
