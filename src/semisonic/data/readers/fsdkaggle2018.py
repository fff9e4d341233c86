"""FSDKaggle2018: 41 classes, one label per clip, 0.3 to 30 s, of Freesound.

9 473 clips train, of which 3 710 were verified by people (``manually_verified`` 1); the labels of
the others, at least 65 to 70 % right in each class by the authors' estimate, are of the label type
"uncertain". All 1 600 clips of the
test part were verified.
E. Fonseca et al., "General-purpose Tagging of Freesound Audio with AudioSet Labels", DCASE 2018.
"""

from __future__ import annotations

from semisonic.base.errors import DataError
from semisonic.data.clips import POSITIVE, Clips
from semisonic.data.readers import fsdkaggle
from semisonic.data.readers.fsdkaggle import Edition, label_of
from semisonic.data.readers.fsdkaggle_place import Part
from semisonic.data.readers.place import Place, ReadOptions
from semisonic.data.readers.table_file import Row, TableFile

_RECORDING = ("freesound_id", "fsid")


def _labels(table: TableFile, row: Row) -> list[str]:
    return label_of(table, row, "label")


def _is_certain(table: TableFile, row: Row, part: Part) -> bool:
    if part.is_test:
        return True
    flag = row.values["manually_verified"]
    if flag not in ("0", "1"):
        raise DataError(
            f"{table.where(row)}: found manually_verified '{flag}', expected 1 (verified by "
            "people) or 0"
        )
    return flag == "1"


EDITION = Edition(
    name="FSDKaggle2018",
    parts=(
        Part(
            "train",
            ("train_post_competition.csv", "train.csv"),
            ("audio_train",),
            ("fname", "label", "manually_verified"),
            _RECORDING,
            remark="Those with manually_verified 0 are the uncertain ones",
        ),
        Part(
            "test",
            ("test_post_competition_scoring_clips.csv", "test_post_competition.csv"),
            ("audio_test",),
            ("fname", "label"),
            _RECORDING,
            is_test=True,
        ),
    ),
    n_classes=41,
    labels_of=_labels,
    is_certain=_is_certain,
)


def recognise(place: Place) -> str | None:
    """The table of the training part, with its flag ``manually_verified``."""
    return fsdkaggle.recognise(EDITION, place)


def read(place: Place, options: ReadOptions) -> Clips:
    """Read all clips."""
    return fsdkaggle.read(EDITION, place, options, only=lambda part, kind: True)


def read_verified(place: Place, options: ReadOptions) -> Clips:
    """Read the clips with verified labels, the test part included."""
    return fsdkaggle.read(EDITION, place, options, only=lambda part, kind: kind == POSITIVE)
