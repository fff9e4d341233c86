"""Options about recordings and their labels; without numpy, as the command line reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semisonic.core.errors import OptionError
from semisonic.core.options import check, option

# How recordings and labels are read: shared by all verbs that read a data set.


LABEL_CHOICES = (
    *("auto", "none", "log", "esc50", "urbansound8k", "urbansound", "fsdkaggle2018"),
    *("fsdkaggle2019", "birdnet", "kaleidoscope", "csv-wide", "csv", "raven", "audacity"),
    *("esc-us", "esc-folders", "folders", "files", "esc10", "urbansound-foreground"),
    *("fsdkaggle2018-verified", "fsdkaggle2019-curated", "fsdkaggle2019-noisy"),
)
"""Layouts of data sets, in the order of :data:`semisonic.data.datasets.load.LAYOUTS`."""

FORMATS = ("csv", "csv-wide", "audacity", "raven", "raven-combined", "birdnet", "kaleidoscope")
"""Formats of label files; :mod:`semisonic.data.formats.label_files` has a reader for each."""

GROUP = (
    "what identifies a recording: auto, file, folder, site or day (from names of field "
    "recordings), a column of the table, a pattern whose first bracket matches it, or copies: as "
    "auto, with clips of the same sound as one recording. If labelled clips name no recording, "
    "verbs that train or measure look for copies with auto, too"
)
LABELS = "source of the labels; auto chooses by the layout of the data"


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How recordings are read; a base of the options of verbs that read a data set."""

    group: str = option("auto", GROUP)
    separator: str = option(";", "separator between several labels in a table cell")
    merge_parts: bool = option(True, "read folders such as Cat-Part1 and Cat-Part2 as one class")
    allow_missing: bool = option(
        False, "accept a table that names missing files, and leave their clips out"
    )

    def of_tables(self) -> dict[str, Any]:
        """The options for :func:`semisonic.data.datasets.load.load_clips`, except ``group``."""
        return {
            "separator": self.separator,
            "merge_parts": self.merge_parts,
            "allow_missing": self.allow_missing,
        }


@dataclass(frozen=True, kw_only=True)
class LabelledOptions(ReadOptions):
    """How labelled recordings are read; a base of the options of verbs that need labels."""

    labels: str = option("auto", LABELS, choices=LABEL_CHOICES)


# Which labels a window of an annotated recording has.


@dataclass(frozen=True)
class WindowRules:
    """How windows of annotated recordings get their labels."""

    duration: float = option(3.0, "length of a window", unit="s", minimum=0.01)
    hop: float | None = option(
        None, "step between windows; by default their length", unit="s", minimum=0.001
    )
    min_overlap: float = option(
        0.25, "least overlap with an event for a window to get its label", unit="s", minimum=0
    )
    min_share: float = option(
        0.5, "or least share of the event, for short events", minimum=0.01, maximum=1
    )
    background: str | None = option(
        "background", "class of windows without events; none: leave these windows out"
    )


# The names of the sounds.


CLASSES: tuple[str, ...] = (
    *("rain", "wind", "sea_waves", "crackling_fire", "engine", "helicopter", "siren", "bell"),
    *("clock_tick", "footsteps", "bird", "cricket", "dog_bark", "frog", "chainsaw", "rooster"),
    *("door_knock", "keyboard", "water_drops", "thunder"),
)
"""The classes in order; a set of n classes has the first n."""

OUTSIDE: tuple[str, ...] = ("babble", "melody", "crow", "vacuum", "shower", "clatter")
"""Sounds that are not a class; they occur in the unlabelled pool and in backgrounds."""


# What the synthetic data set consists of.


@dataclass(frozen=True)
class SynthOptions:
    """Size and difficulty of the embedded data set ``synth``.

    A clip's samples depend on ``seed``, ``duration``, ``sample_rate``, ``snr_db``,
    ``mixtures``, ``clips_per_recording`` and, in the pool, on ``n_classes``; never on the number
    of clips.
    """

    n_classes: int = option(
        12, "number of classes, the first of the list", minimum=2, maximum=float(len(CLASSES))
    )
    clips_per_class: int = option(40, "labelled clips per class", minimum=1)
    clips_per_recording: int = option(2, "clips cut from each recording", minimum=1)
    n_folds: int = option(5, "number of folds; a recording is in one fold only", minimum=2)
    n_pool: int = option(600, "number of unlabelled clips", minimum=0)
    mixtures: float = option(0.0, "share of clips with several sounds", minimum=0.0, maximum=1.0)
    n_noisy: int = option(0, "additional training clips with unverified labels", minimum=0)
    noisy_wrong: float = option(0.4, "share of these with a wrong label", minimum=0.0, maximum=1.0)
    duration: float = option(5.0, "length of a clip", unit="s", minimum=1.0, maximum=60.0)
    sample_rate: int = option(22050, "sample rate", unit="Hz", minimum=16000, maximum=48000)
    snr_db: float = option(
        22.0,
        "mean level of a sound above its background; recordings differ from it by up to 8 dB",
        unit="dB",
        minimum=0.0,
        maximum=60.0,
    )
    seed: int = option(0, "seed; the same seed gives the same sounds", minimum=0)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in their order."""
        return CLASSES[: self.n_classes]

    def __post_init__(self) -> None:
        check(self)
        n_recordings = -(-self.clips_per_class // self.clips_per_recording)
        if n_recordings < self.n_folds:
            raise OptionError(
                f"found {self.clips_per_class} clips per class, {self.clips_per_recording} from "
                f"each recording, which is {n_recordings} recordings; expected at least one for "
                f"each of {self.n_folds} folds. Set a larger clips_per_class, or a smaller "
                "clips_per_recording or n_folds"
            )
