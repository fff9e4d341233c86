"""FSDKaggle2019: 80 classes, one or several labels per clip, 0.3 to 30 s.

4 970 curated clips of Freesound train with labels that people gave; 19 815 noisy ones of Flickr
train with labels that a program gave, of the label type "uncertain". The 4 481 clips of the test
part are of Freesound too. ``"Bark,Growling"`` in a table is two labels.
E. Fonseca et al., "Audio tagging with noisy labels and minimal supervision", DCASE 2019.
"""

from __future__ import annotations

from semisonic.data.clips import Clips
from semisonic.data.readers import fsdkaggle
from semisonic.data.readers.fsdkaggle import Edition, label_of
from semisonic.data.readers.fsdkaggle_place import Part
from semisonic.data.readers.place import Place, ReadOptions
from semisonic.data.readers.table_file import Row, TableFile

CURATED, NOISY = "curated", "noisy"
# Its README names these curated clips: five have the label of another, the last one is empty.
KNOWN_BAD = frozenset(
    {"f76181c4.wav", "77b925c2.wav", "6a1f682a.wav", "c7db12aa.wav", "7752cc8a.wav"}
    | {"1d44b0bd.wav"}
)
_COLUMNS = ("fname", "labels")


def _labels(table: TableFile, row: Row) -> list[str]:
    return label_of(table, row, "labels", ",")


def _is_certain(_table: TableFile, row: Row, part: Part) -> bool:
    return part.name != NOISY and row.values["fname"] not in KNOWN_BAD


EDITION = Edition(
    name="FSDKaggle2019",
    parts=(
        Part(
            CURATED,
            ("train_curated_post_competition.csv", "train_curated.csv"),
            ("audio_train_curated", "train_curated"),
            _COLUMNS,
            ("freesound_id",),
            remark=f"Its README names wrong or empty ones: {', '.join(sorted(KNOWN_BAD))}",
        ),
        Part(
            NOISY,
            ("train_noisy_post_competition.csv", "train_noisy.csv"),
            ("audio_train_noisy", "train_noisy"),
            _COLUMNS,
            ("flickr_video_url", "flickr_id"),
        ),
        Part(
            "test",
            ("test_post_competition.csv",),
            ("audio_test", "test"),
            _COLUMNS,
            ("freesound_id",),
            is_test=True,
        ),
    ),
    n_classes=80,
    labels_of=_labels,
    is_certain=_is_certain,
    vocabulary="vocabulary.csv",
)


def recognise(place: Place) -> str | None:
    """The table of the curated or of the noisy part."""
    return fsdkaggle.recognise(EDITION, place)


def read(place: Place, options: ReadOptions) -> Clips:
    """Read all clips."""
    return fsdkaggle.read(EDITION, place, options, only=lambda part, kind: True)


def read_curated(place: Place, options: ReadOptions) -> Clips:
    """Read the curated clips and the test part."""
    return fsdkaggle.read(EDITION, place, options, only=lambda part, kind: part == CURATED)


def read_noisy(place: Place, options: ReadOptions) -> Clips:
    """Read the noisy clips and the test part."""
    return fsdkaggle.read(EDITION, place, options, only=lambda part, kind: part == NOISY)
