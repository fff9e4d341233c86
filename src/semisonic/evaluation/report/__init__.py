"""Reports as one self-contained page, with figures, tables and plain values beside it."""

from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.content import (
    ExperimentContent,
    GeneratedPatches,
    Heard,
    JobHistory,
    Mistake,
    Reconstructions,
    Series,
    SimpleTable,
)
from semisonic.evaluation.report.experiment import build_page, write_experiment_report
from semisonic.evaluation.report.markup import Measured
from semisonic.evaluation.report.page import Number, Page

__all__ = [
    "ExperimentContent",
    "GeneratedPatches",
    "Heard",
    "JobHistory",
    "Measured",
    "Mistake",
    "Number",
    "Page",
    "Player",
    "Reconstructions",
    "Series",
    "SimpleTable",
    "build_page",
    "write_experiment_report",
]
