"""What windows are mixed of, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import OptionError
from semisonic.base.options import check, option


@dataclass(frozen=True)
class CutOptions:
    """What of a clip is mixed: its longest stretch of sound, or all of it."""

    cut: bool = option(True, "cut the longest stretch of sound out of each clip; off: all of it")
    depth_db: float = option(
        25.0, "sound is what is at most so far below the loudest 10 ms of the clip",
        unit="dB", minimum=1, maximum=100,
    )  # fmt: skip
    gap: float = option(
        0.4, "a quieter pause up to this does not end a stretch", unit="s", minimum=0
    )
    shortest: float = option(
        0.3, "clips without a stretch at least so long are left out", unit="s", minimum=0.02
    )
    longest: float = option(
        4.0, "clips whose longest stretch is longer are left out", unit="s", minimum=0.02
    )


@dataclass(frozen=True)
class MixOptions:
    """How windows are made of clips and background."""

    background: Path | None = option(
        None, "folder of recordings of the place in which nothing is to be heard; made-up quiet "
        "backgrounds if not given",
    )  # fmt: skip
    window: float = option(2.0, "length of a window", unit="s", minimum=0.1, maximum=60)
    copies: int = option(2, "windows made of each clip", minimum=1)
    snr_db: tuple[float, ...] = option(
        (0.0, 25.0), "lowest and highest level of a sound over its background", unit="dB",
        minimum=-60, maximum=100,
    )  # fmt: skip
    background_windows: int | None = option(
        None, "windows of nothing but background; half as many as those with sounds if not given",
        minimum=0,
    )  # fmt: skip
    background_label: str = option("background", "class of these windows")
    n_folds: int = option(
        0, "divide the recordings into so many folds, where the clips have none; 0: do not",
        minimum=0, maximum=100,
    )  # fmt: skip
    fold: tuple[int, ...] = option((), "only clips of these folds; all if not given", minimum=1)
    sample_rate: int = option(
        22050, "sample rate of the windows", unit="Hz", minimum=1000, maximum=768_000
    )
    seed: int = option(0, "seed; the same seed gives the same windows", minimum=0)
    workers: int | None = option(None, "threads; one per core if not given", minimum=1)
    cutting: CutOptions = option(CutOptions(), "what of a clip is mixed")


def checked(options: MixOptions) -> MixOptions:
    """The options, if they can be met.

    Raises
    ------
    OptionError
        For a value out of range, or two that contradict each other.
    """
    check(options)
    if len(options.snr_db) != 2 or options.snr_db[0] > options.snr_db[1]:
        found = ",".join(f"{value:g}" for value in options.snr_db) or "nothing"
        raise OptionError(
            f"snr_db: found {found}, expected the lowest and the highest level in dB, such as 0,25"
        )
    if options.cutting.shortest > options.cutting.longest:
        raise OptionError(
            f"shortest: found {options.cutting.shortest:g} s, expected at most longest "
            f"({options.cutting.longest:g} s)"
        )
    if options.n_folds == 1:
        raise OptionError("n_folds: found 1, expected 0 for none, or at least 2")
    if not options.background_label.strip() or ";" in options.background_label:
        raise OptionError(
            f"background_label: found '{options.background_label}', expected a name without ';'"
        )
    return options
