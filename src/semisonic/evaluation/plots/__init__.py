"""Figures, one file each; every function returns a matplotlib ``Figure`` and opens no window."""

from semisonic.evaluation.plots.class_recall import class_recall
from semisonic.evaluation.plots.comparison import comparison
from semisonic.evaluation.plots.confusion_matrix import confusion_matrix
from semisonic.evaluation.plots.contest import contest, recall_table
from semisonic.evaluation.plots.embedding_map import embedding_map
from semisonic.evaluation.plots.filters import filters
from semisonic.evaluation.plots.fold_values import fold_values
from semisonic.evaluation.plots.histogram import histogram
from semisonic.evaluation.plots.label_curve import label_curve
from semisonic.evaluation.plots.option_importance import option_importance
from semisonic.evaluation.plots.patches import patches
from semisonic.evaluation.plots.rate_sweep import rate_sweep
from semisonic.evaluation.plots.reconstructions import reconstructions
from semisonic.evaluation.plots.recording_hours import hour_counts, recording_hours
from semisonic.evaluation.plots.reliability import reliability_diagram
from semisonic.evaluation.plots.search_course import search_course
from semisonic.evaluation.plots.search_slices import Slice, search_slices
from semisonic.evaluation.plots.side_by_side import side_by_side
from semisonic.evaluation.plots.spectrogram import picture, spectrogram
from semisonic.evaluation.plots.thresholds import precision_recall
from semisonic.evaluation.plots.timeline import clock, timeline
from semisonic.evaluation.plots.training_curves import training_curves

__all__ = [
    "Slice",
    "class_recall",
    "clock",
    "comparison",
    "confusion_matrix",
    "contest",
    "embedding_map",
    "filters",
    "fold_values",
    "histogram",
    "hour_counts",
    "label_curve",
    "option_importance",
    "patches",
    "picture",
    "precision_recall",
    "rate_sweep",
    "recall_table",
    "reconstructions",
    "recording_hours",
    "reliability_diagram",
    "search_course",
    "search_slices",
    "side_by_side",
    "spectrogram",
    "timeline",
    "training_curves",
]
