"""The options of all augmentations of spectrograms, and three named sets of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from semisonic.base.errors import OptionError
from semisonic.base.options import check, nearest, option
from semisonic.features.options import MelOptions

ANY_SHIFT = 3600.0
"""Seconds; at least half of any clip, so that every shift is equally likely."""


@dataclass(frozen=True)
class AugmentOptions:
    """How training clips are changed at random, each time anew. The defaults change nothing.

    Raises
    ------
    OptionError
        When a value, or a pair of values, cannot work.
    """

    time_shift: float = option(
        0.0, "circular shift, earlier or later; half the clip or more: any", unit="s", minimum=0
    )
    stretch_min: float = option(1.0, "slowest speed at the same pitch", minimum=0.25, maximum=1)
    stretch_max: float = option(1.0, "fastest speed at the same pitch", minimum=1, maximum=4)
    pitch: float = option(0.0, "pitch shift, up or down", unit="semitones", minimum=0, maximum=24)
    crop_time: float = option(
        0.0, "most that is cut away in time; the rest is stretched over it", unit="s", minimum=0
    )
    crop_bands: int = option(
        0, "most that is cut away of the bands; the rest is stretched over it",
        unit="mel bands", minimum=0,
    )  # fmt: skip
    band_gain_db: float = option(
        0.0, "smooth gain over frequency, up or down", unit="dB", minimum=0, maximum=60
    )
    band_gain_points: int = option(5, "control points of that gain", minimum=2)
    gain_db: float = option(0.0, "level change, up or down", unit="dB", minimum=0, maximum=60)
    background: float = option(
        0.0, "share of clips that get another clip of the batch beneath them", minimum=0, maximum=1
    )
    white_noise: float = option(0.0, "share of clips that get white noise", minimum=0, maximum=1)
    pink_noise: float = option(0.0, "share of clips that get pink noise", minimum=0, maximum=1)
    snr_min_db: float = option(10.0, "least ratio of a clip to its noise or background", unit="dB")
    snr_max_db: float = option(
        30.0, "largest ratio of a clip to its noise or background", unit="dB"
    )
    time_masks: int = option(0, "hidden stretches of time", minimum=0, maximum=100)
    time_mask_width: float = option(0.4, "longest of them", unit="s", minimum=0.001)
    band_masks: int = option(0, "hidden ranges of frequency", minimum=0, maximum=100)
    band_mask_width: int = option(8, "widest of them", unit="mel bands", minimum=1)

    def __post_init__(self) -> None:
        check(self)
        if self.snr_min_db > self.snr_max_db:
            raise OptionError(
                f"options 'snr_min_db', 'snr_max_db': found {self.snr_min_db:g} to "
                f"{self.snr_max_db:g} dB, expected the lower value first"
            )


PRESETS = {
    "none": AugmentOptions(),
    "weak": AugmentOptions(time_shift=ANY_SHIFT, gain_db=3.0),
    "strong": AugmentOptions(
        time_shift=ANY_SHIFT,
        stretch_min=0.8,
        stretch_max=1.25,
        band_gain_db=6.0,
        gain_db=6.0,
        time_masks=2,
        band_masks=2,
    ),
}
"""Named sets: nothing; a shift and a small level change; all that helped in first trials."""


def preset(name: str, mel: MelOptions) -> AugmentOptions:
    """The named set as far as it has a meaning for a front end (see :func:`suited`).

    Raises
    ------
    OptionError
        For an unknown name.
    """
    if name not in PRESETS:
        raise OptionError(f"augmentation: found {name!r}; {nearest(name, PRESETS)}")
    return suited(PRESETS[name], mel)


def suited(options: AugmentOptions, mel: MelOptions) -> AugmentOptions:
    """The options as far as they have a meaning for a front end.

    Where the front end takes the level of a clip away there is no level change. A band mask
    covers at most an eighth of the bands and a time mask at least a frame, crops take at most
    half of the time and a quarter of the bands, and a gain has no more points than bands.
    """
    has_levels = not (mel.reference == "max" or mel.peak_normalize)
    changes: dict[str, float] = {}
    if options.gain_db and not has_levels:
        changes["gain_db"] = 0.0
    if options.band_gain_db:
        changes["band_gain_db"] = options.band_gain_db if mel.n_mels > 1 else 0.0
        changes["band_gain_points"] = max(2, min(options.band_gain_points, mel.n_mels))
    if options.band_masks:
        changes["band_masks"] = options.band_masks if mel.n_mels > 1 else 0
        changes["band_mask_width"] = min(options.band_mask_width, max(1, mel.n_mels // 8))
    if options.time_masks:
        frame = mel.hop_length / mel.sample_rate
        changes["time_mask_width"] = max(options.time_mask_width, frame)
    if options.crop_time:
        changes["crop_time"] = min(options.crop_time, mel.duration / 2)
    if options.crop_bands:
        changes["crop_bands"] = min(options.crop_bands, mel.n_mels // 4)
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]
