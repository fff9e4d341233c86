"""Numbers with intervals, honest comparisons, figures and the report. No torch in this room."""

from semisonic.evaluation.calibration import (
    Reliability,
    expected_calibration_error,
    reliability,
    tag_reliability,
)
from semisonic.evaluation.comparison import arm_accuracy, compare, compare_settings
from semisonic.evaluation.confident import ConfidentJoint, confident_joint
from semisonic.evaluation.intervals import (
    Interval,
    PairedBootstrap,
    bootstrap_interval,
    paired_bootstrap,
    wilson,
)
from semisonic.evaluation.metrics import (
    PerClass,
    accuracy,
    average_precision,
    balanced_accuracy,
    confusion,
    label_precisions,
    log_loss,
    lwlrap,
    macro_f1,
    mean_average_precision,
    per_class,
    summary,
    top_k_accuracy,
)
from semisonic.evaluation.outcome import ArmAccuracy, Comparison, DrawPair, FoldPair
from semisonic.evaluation.results import Cell, Predictions
from semisonic.evaluation.share_by_group import wilson_by_group
from semisonic.evaluation.significance import (
    McNemar,
    ResampledT,
    corrected_resampled_t,
    holm,
    mcnemar_exact,
    mcnemar_pooled,
    sign_flip_exact,
)
from semisonic.evaluation.suspects import (
    Suspects,
    find_suspects,
    find_suspects_multi,
    label_quality,
)
from semisonic.evaluation.tagging import TagScores, compare_tags, tag_arm

__all__ = [
    "ArmAccuracy",
    "Cell",
    "Comparison",
    "ConfidentJoint",
    "DrawPair",
    "FoldPair",
    "Interval",
    "McNemar",
    "PairedBootstrap",
    "PerClass",
    "Predictions",
    "Reliability",
    "ResampledT",
    "Suspects",
    "TagScores",
    "accuracy",
    "arm_accuracy",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_interval",
    "compare",
    "compare_settings",
    "compare_tags",
    "confident_joint",
    "confusion",
    "corrected_resampled_t",
    "expected_calibration_error",
    "find_suspects",
    "find_suspects_multi",
    "holm",
    "label_precisions",
    "label_quality",
    "log_loss",
    "lwlrap",
    "macro_f1",
    "mcnemar_exact",
    "mcnemar_pooled",
    "mean_average_precision",
    "paired_bootstrap",
    "per_class",
    "reliability",
    "sign_flip_exact",
    "summary",
    "tag_arm",
    "tag_reliability",
    "top_k_accuracy",
    "wilson",
    "wilson_by_group",
]
