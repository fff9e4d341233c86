"""Readers: from a path to a table of clips, one file a layout. They open no audio."""

from semisonic.data.readers.class_folders import merge_parts
from semisonic.data.readers.load import (
    LABEL_CHOICES,
    describe_layout,
    load_clips,
    require_labels,
)
from semisonic.data.readers.place import TableOptions
from semisonic.data.readers.plain import from_files

__all__ = [
    "LABEL_CHOICES",
    "TableOptions",
    "describe_layout",
    "from_files",
    "load_clips",
    "merge_parts",
    "require_labels",
]
