"""Tables of clips: readers, splits by recording, label budgets, checks, and stores of samples.

Streams of batches need torch and are imported from ``semisonic.data.streams``.
"""

from semisonic.data.budgets import budget_ids, label_budget
from semisonic.data.checks import (
    CheckReport,
    Duplicate,
    check,
    find_duplicates,
    group_duplicates,
)
from semisonic.data.clips import Clips
from semisonic.data.folds import make_folds
from semisonic.data.hold_out import hold_out, split
from semisonic.data.readers import (
    LABEL_CHOICES,
    TableOptions,
    describe_layout,
    from_files,
    load_clips,
    merge_parts,
    require_labels,
)
from semisonic.data.select import certain_labels, keep_classes, rare_classes
from semisonic.data.splits import Split, fold_splits
from semisonic.data.straddling import move_straddling, straddling_groups
from semisonic.data.summary import Durations, Summary, describe
from semisonic.data.windows import clip_durations, windows

__all__ = [
    "LABEL_CHOICES",
    "CheckReport",
    "Clips",
    "Duplicate",
    "Durations",
    "Split",
    "Summary",
    "TableOptions",
    "budget_ids",
    "certain_labels",
    "check",
    "clip_durations",
    "describe",
    "describe_layout",
    "find_duplicates",
    "fold_splits",
    "from_files",
    "group_duplicates",
    "hold_out",
    "keep_classes",
    "label_budget",
    "load_clips",
    "make_folds",
    "merge_parts",
    "move_straddling",
    "rare_classes",
    "require_labels",
    "split",
    "straddling_groups",
    "windows",
]
