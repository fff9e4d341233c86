"""Options about recordings and their labels; no numpy here, as the command line reads them."""

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
    "what a recording is: auto, file, folder, site or day (given by names of field recordings), a "
    "column of the table, a pattern whose first bracket is it, or copies: auto, and clips that are "
    "the same sound are one recording. Where labelled clips name none, verbs that learn or "
    "measure look for copies, too, with auto"
)
LABELS = "where labels come from; auto looks at the layout"


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How recordings are read; a base of the options of verbs that read a data set."""

    group: str = option("auto", GROUP)
    separator: str = option(";", "what joins several labels in a cell of a table")
    merge_parts: bool = option(True, "read folders such as Cat-Part1 and Cat-Part2 as one class")
    allow_missing: bool = option(
        False, "accept a table that names files which are not there; their clips are left out"
    )

    def of_tables(self) -> dict[str, Any]:
        """What :func:`semisonic.data.datasets.load.load_clips` takes of it beside ``group``."""
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
    """Which labels a window of an annotated recording gets."""

    duration: float = option(3.0, "length of a window", unit="s", minimum=0.01)
    hop: float | None = option(
        None, "from one window to the next; the length if not given", unit="s", minimum=0.001
    )
    min_overlap: float = option(
        0.25, "a window has the label of an event that it shares so much with", unit="s", minimum=0
    )
    min_share: float = option(
        0.5, "or so large a share of the event, for short ones", minimum=0.01, maximum=1
    )
    background: str | None = option(
        "background", "class of windows without any event; none: leave them out"
    )


# The names of the sounds.


CLASSES: tuple[str, ...] = (
    *("rain", "wind", "sea_waves", "crackling_fire", "engine", "helicopter", "siren", "bell"),
    *("clock_tick", "footsteps", "bird", "cricket", "dog_bark", "frog", "chainsaw", "rooster"),
    *("door_knock", "keyboard", "water_drops", "thunder"),
)
"""The classes in their order; a set of n classes takes the first n."""

OUTSIDE: tuple[str, ...] = ("babble", "melody", "crow", "vacuum", "shower", "clatter")
"""Sounds that are never a class: they occur in the unlabelled pool and in backgrounds."""


# What the synthetic data set consists of.


@dataclass(frozen=True)
class SynthOptions:
    """Size and difficulty of the embedded data set ``synth``.

    A clip's samples depend on ``seed``, ``duration``, ``sample_rate``, ``snr_db``,
    ``mixtures``, ``clips_per_recording`` and, in the pool, on ``n_classes``; never on how many
    clips are made.
    """

    n_classes: int = option(
        12, "classes, the first of the list", minimum=2, maximum=float(len(CLASSES))
    )
    clips_per_class: int = option(40, "labelled clips of each class", minimum=1)
    clips_per_recording: int = option(2, "clips cut from one recording", minimum=1)
    n_folds: int = option(5, "folds; a recording lies in one of them", minimum=2)
    n_pool: int = option(600, "unlabelled clips", minimum=0)
    mixtures: float = option(0.0, "share of clips with several sounds", minimum=0.0, maximum=1.0)
    n_noisy: int = option(0, "further clips with unverified labels, to train on", minimum=0)
    noisy_wrong: float = option(0.4, "share of those with a wrong label", minimum=0.0, maximum=1.0)
    duration: float = option(5.0, "length of a clip", unit="s", minimum=1.0, maximum=60.0)
    sample_rate: int = option(22050, "sample rate", unit="Hz", minimum=16000, maximum=48000)
    snr_db: float = option(
        22.0,
        "middle level of a sound over its background; recordings lie 8 dB around it",
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
                f"{self.clips_per_class} clips per class, {self.clips_per_recording} from a "
                f"recording, come from {n_recordings} recordings; expected at least one for each "
                f"of {self.n_folds} folds. Ask for more clips_per_class, fewer clips_per_recording "
                "or fewer n_folds"
            )
