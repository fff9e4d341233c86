"""Labels as people have them: files of other tools to events, events to files, events to clips."""

from semisonic.data.labels.clips import clips_from_events, events_from_clips
from semisonic.data.labels.formats import FORMATS
from semisonic.data.labels.read import LabelSet, collect_labels, read_labels
from semisonic.data.labels.windows import WindowRules, label_windows
from semisonic.data.labels.write import losses, unwritable, write_labels

__all__ = [
    "FORMATS",
    "LabelSet",
    "WindowRules",
    "clips_from_events",
    "collect_labels",
    "events_from_clips",
    "label_windows",
    "losses",
    "read_labels",
    "unwritable",
    "write_labels",
]
