"""The labelled clips of a verb: for training, for choosing the epoch, for testing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.options import CalibrateOptions, EvaluateOptions
from semisonic.core.errors import DataError, OptionError
from semisonic.core.text import count_text
from semisonic.data.clips import LEAVE_OUT, Clips, verified_labels
from semisonic.data.datasets.load import load_clips, require_labels
from semisonic.data.options import ReadOptions
from semisonic.data.recordings import AUTO, COPIES
from semisonic.models.sound_model import SoundModel

_log = logging.getLogger(__name__)

Rows = NDArray[np.int64]


def load_data(path: Path | None, labels: str, verb: str, options: ReadOptions) -> Clips:
    """Read the data set that the option ``data`` of a verb names.

    Before clips are split, :func:`semisonic.classifier.run_files.recordings_in` keeps copies
    together.

    Raises
    ------
    OptionError
        If it was not given.
    """
    if path is None:
        before = "MODEL " if verb == "evaluate" else ""
        raise OptionError(
            f"option 'data' is missing: give a folder or a CSV table, as in 'semisonic {verb} "
            f"{before}FOLDER'"
        )
    # known_recordings looks for copies, with a cache
    group = AUTO if options.group == COPIES else options.group
    return load_clips(path, labels=labels, group=group, **options.of_tables())


def in_fold(clips: Clips, fold: int) -> Rows:
    """The rows of an official fold.

    Raises
    ------
    OptionError
        If the set has no such fold.
    """
    if fold not in clips.folds:
        known = ", ".join(map(str, clips.folds)) or "none"
        raise OptionError(
            f"'{clips.name}': found fold {fold}, expected one of the official folds: {known}"
        )
    return np.flatnonzero(clips.fold == fold)


def outside_fold(clips: Clips, fold: int) -> Rows:
    """The rows of other folds whose recording is not in this one."""
    tested = in_fold(clips, fold)
    apart = ~np.isin(clips.group, clips.group[tested])
    return np.flatnonzero(apart & (clips.fold != fold))


def as_classes_of(
    clips: Clips, classes: Sequence[str], *, allow_unknown: bool = False
) -> tuple[Clips, list[str]]:
    """The labelled clips with a model's classes in the model's order, by name.

    Returns
    -------
    clips : Clips
        A label that the model does not know is dropped, and a clip left without a label, too.
    unknown : list of str
        The labels dropped.

    Raises
    ------
    DataError
        If there are labels that the model does not know, unless allowed, or nothing is left.
    """
    known = set(classes)
    unknown = sorted({label for row in clips.labels for label in row} - known)
    if unknown and not allow_unknown:
        raise DataError(
            f"'{clips.name}': the model does not know {len(unknown)} of its classes: "
            f"{', '.join(unknown[:8])}{', ...' if len(unknown) > 8 else ''}. The model knows: "
            f"{', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''}. Rename the labels, "
            "or leave these clips out with --allow-unknown"
        )
    labels = tuple(tuple(label for label in row if label in known) for row in clips.labels)
    kept = clips.with_columns(labels=labels, classes=tuple(classes))
    kept = kept[kept.is_labelled]
    if not len(kept):
        raise DataError(f"'{clips.name}': no clip has a label that the model knows")
    return kept, unknown


def clips_for_model(
    options: EvaluateOptions | CalibrateOptions, model: SoundModel, verb: str, purpose: str
) -> tuple[Clips, list[str]]:
    """The labelled clips to measure or calibrate a model on, as the options say.

    Parameters
    ----------
    verb : str
    purpose : str
        Such as "an evaluation", for messages.

    Returns
    -------
    clips : Clips
        With verified labels, and the model's classes in the model's order.
    unknown : list of str
        Labels left out because the model does not know them.

    Raises
    ------
    DataError
        If there are no such labels, labels the model does not know (unless allowed), or several
        a clip while the model chooses one.
    """
    clips = load_data(options.data, options.labels, verb, options)
    require_labels(clips, purpose)
    if options.fold:
        clips = clips[in_fold(clips, options.fold)]
    verified = verified_labels(clips, purpose)
    if len(verified) < len(clips):
        _log.warning("%d clips with unverified labels were left out", len(clips) - len(verified))
    clips, unknown = as_classes_of(verified, model.classes, allow_unknown=options.allow_unknown)
    if clips.is_multi_label and not model.multi_label:
        raise DataError(
            f"'{clips.name}': some clips have several labels, but the model chooses one; train "
            "a model on clips with several labels, or keep one label per clip"
        )
    return clips, unknown


def check_classes(clips: Clips, rows: Rows) -> None:
    """Raise DataError if a class has no training clip, or there are fewer than two classes."""
    found = {label for row in rows for label in clips.labels[row]}
    lost = [name for name in clips.classes if name not in found]
    if lost:
        raise DataError(
            f"'{clips.name}': found no training clip for "
            f"{', '.join(lost[:8])}{', ...' if len(lost) > 8 else ''}. Add recordings, or "
            f"{LEAVE_OUT}"
        )
    if len(clips.classes) < 2:
        raise DataError(
            f"'{clips.name}': found {count_text(len(clips.classes), 'class', 'classes')}, expected "
            "at least 2; add a class for everything else"
        )


def targets_of(clips: Clips, *, multi_label: bool) -> NDArray[np.int64] | NDArray[np.float32]:
    """Class numbers (n,), or a column per class (n, n_classes) for several labels per clip."""
    return clips.targets() if multi_label else clips.target()
