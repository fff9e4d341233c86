"""The one training loop, its options, checkpoints and devices, and the run folder."""

from semisonic.training.averaging import WeightAverage
from semisonic.training.devices import choose_device
from semisonic.training.early_stopping import EarlyStopping, lower_is_better
from semisonic.training.fit import fit
from semisonic.training.identity import BatchStream
from semisonic.training.machine import commit, machine, versions
from semisonic.training.options import FitOptions
from semisonic.training.precision import Plan, Probe, probe_precision
from semisonic.training.record import RunFolder
from semisonic.training.schedules import Schedule
from semisonic.training.state import FitResult

__all__ = [
    "BatchStream",
    "EarlyStopping",
    "FitOptions",
    "FitResult",
    "Plan",
    "Probe",
    "RunFolder",
    "Schedule",
    "WeightAverage",
    "choose_device",
    "commit",
    "fit",
    "lower_is_better",
    "machine",
    "probe_precision",
    "versions",
]
