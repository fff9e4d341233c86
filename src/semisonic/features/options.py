"""The options of features and augmentation, and names of augmentations; without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import log10
from typing import NamedTuple, TypeVar

from semisonic.core.errors import OptionError
from semisonic.core.files import digest
from semisonic.core.options import check, option
from semisonic.core.plugins import OwnParts

AMIN = 1e-10
"""Least mel power, so that silence is finite: -100 dB at reference one."""

N_CEPSTRUM_STATISTICS = 26
"""Numbers per clip of :func:`semisonic.features.statistics.mfcc_statistics`."""

MEL_SCALES = ("slaney", "htk", "kaldi")

DELTA_WIDTH = 9
"""Number of frames of a delta, as librosa's default."""

MOST_VALUES = 1 << 22
"""Most values that the features of one clip, or of a batch of several, may have: 17 MB, and up to
some hundred times that within a network.
"""

_VERSION = 1  # raise when the same options give other numbers, so that old stores are rebuilt

LOG_MEL, WAVE = "log-mel", "wave"
WAVE_VALUES = {"n_mels": 1, "hop_length": 1}
"""A waveform has one "band", and a frame for each sample."""
WAVE_OPTIONS = ("input", "sample_rate", "duration", "peak_normalize")


@dataclass(frozen=True)
class MelOptions:
    """Parameters of the log-mel spectrogram, or of the waveform.

    The defaults give 1 x 64 x 216 for a clip of five seconds. Values in dB are
    ``20 / power * log10(mel)``, so ``power=1`` (magnitudes) and ``power=2`` have one scale.
    If a published network needs natural logarithms, its standardisation converts dB to these.

    Raises
    ------
    OptionError
        When a value, or a pair of values, is invalid; the text says what to change.
    """

    sample_rate: int = option(
        22050, "sample rate to which clips are resampled", unit="Hz", minimum=100, maximum=768_000
    )
    duration: float = option(
        5.0, "length of a clip; shorter clips are padded", unit="s", minimum=0.001, maximum=3600
    )
    n_fft: int = option(
        1024,
        "length of the Fourier transform, and of the analysis window unless win_length is given",
        unit="samples",
        minimum=16,
        maximum=1 << 16,
    )
    hop_length: int = option(512, "step between frames", unit="samples", minimum=1, maximum=1 << 16)
    n_mels: int = option(64, "number of mel bands", minimum=1, maximum=512)
    fmin_hz: float = option(0.0, "lower edge of the lowest band", unit="Hz", minimum=0)
    fmax_hz: float | None = option(
        None, "upper edge of the highest band; by default half the sample rate", unit="Hz"
    )
    power: float = option(
        2.0, "exponent of the magnitudes that each band sums", minimum=0.25, maximum=4
    )
    reference: str = option(
        "one",
        "reference of 0 dB: 'one' keeps the level, 'max' is the clip's maximum",
        choices=("one", "max"),
    )
    top_db: float | None = option(
        None, "dynamic range kept below the clip's maximum; by default all of it", unit="dB"
    )
    peak_normalize: bool = option(
        False, "divide a clip by its largest absolute value (a silent clip stays silent)"
    )
    center: bool = option(True, "centre frames on their times by mirroring the clip's ends")
    deltas: bool = option(False, "add the change over time as a second channel")
    input: str = option(
        LOG_MEL,
        "input of the network; 'wave' is for networks that learn their own front end, and uses "
        "only sample_rate, duration and peak_normalize",
        choices=(LOG_MEL, WAVE),
    )
    win_length: int | None = option(
        None,
        "length of the analysis window, padded with zeros to n_fft; by default n_fft",
        unit="samples",
        minimum=16,
    )
    mel_scale: str = option(
        "slaney",
        "shape of mel bands: slaney, triangles of area one; htk, HTK's formula and triangles of "
        "height one; kaldi, the same but straight over mel, as in Kaldi and TensorFlow",
        choices=MEL_SCALES,
    )
    log_offset: float = option(
        0.0,
        "offset added to each band before the logarithm, instead of a floor at -100 dB",
        minimum=0,
        maximum=1,
    )
    preemphasis: float = option(
        0.0,
        "share of the previous sample that is subtracted from each sample",
        minimum=0,
        maximum=1,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.input == WAVE:
            self._become_wave()
            self._check_size()
            return
        nyquist = self.sample_rate / 2
        top = nyquist if self.fmax_hz is None else self.fmax_hz
        if not 0 <= self.fmin_hz < top <= nyquist:
            raise OptionError(
                f"options 'fmin_hz', 'fmax_hz': found {self.fmin_hz:g} to {top:g} Hz, expected "
                f"0 <= fmin_hz < fmax_hz <= {nyquist:g} Hz, half of sample_rate"
            )
        if self.win_length is not None and self.win_length > self.n_fft:
            raise OptionError(
                f"option 'win_length': found {self.win_length} samples, expected at most n_fft, "
                f"{self.n_fft}"
            )
        if self.top_db is not None and not 0 < self.top_db <= 1000:
            raise OptionError(f"option 'top_db': found {self.top_db:g} dB, expected 0 to 1000 dB")
        if self.n_samples < self.min_samples:
            raise OptionError(
                f"options 'duration', 'n_fft': found {self.n_samples} samples in a clip, "
                f"expected at least {self.min_samples} for a frame of {self.window}; choose a "
                "longer duration or a smaller n_fft"
            )
        self._check_size()
        if self.deltas and self.n_frames < DELTA_WIDTH:
            raise OptionError(
                f"option 'deltas': found {self.n_frames} frames in a clip, expected at least "
                f"{DELTA_WIDTH}; choose a longer duration or a smaller hop_length"
            )

    def _check_size(self) -> None:
        """Refuse features so large that a network cannot be run on them."""
        found = self.n_channels * self.n_mels * self.n_frames
        if found > MOST_VALUES:
            raise OptionError(
                f"options 'duration', 'sample_rate', 'hop_length', 'n_mels': found {found:,} "
                f"values in the features of one clip, expected at most {MOST_VALUES:,}; choose "
                "shorter clips, a larger hop_length or a lower sample_rate"
            )

    def _become_wave(self) -> None:
        """Set options that waveforms do not use to fixed values; refuse others."""
        for one in fields(self):
            found = getattr(self, one.name)
            if one.name in WAVE_OPTIONS or found in (one.default, WAVE_VALUES.get(one.name)):
                continue
            raise OptionError(
                f"option '{one.name}': found {found}, but the front end 'wave' does not read it; "
                f"leave it out, or choose the input '{LOG_MEL}'"
            )
        for name, value in WAVE_VALUES.items():
            object.__setattr__(self, name, value)

    @property
    def n_samples(self) -> int:
        """Number of samples of a clip at ``sample_rate``."""
        return round(self.duration * self.sample_rate)

    @property
    def min_samples(self) -> int:
        """Least number of samples for a frame."""
        if self.input == WAVE:
            return 1
        return self._lost + (self.window // 2 + 1 if self.center else self.window)

    @property
    def window(self) -> int:
        """Samples of the analysis window: ``win_length``, or ``n_fft`` if that is not given."""
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def _lost(self) -> int:
        """Number of samples that pre-emphasis removes at the start."""
        return 1 if self.preemphasis else 0

    @property
    def n_frames(self) -> int:
        """Frames of a clip of ``n_samples``."""
        return self.count_frames(self.n_samples)

    @property
    def n_channels(self) -> int:
        """2 with deltas, else 1."""
        return 2 if self.deltas else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of a clip's features."""
        return self.n_channels, self.n_mels, self.n_frames

    @property
    def floor_db(self) -> float:
        """The value of every cell of an all-zero clip: the quietest value, never the loudest."""
        if self.input == WAVE:
            return 0.0
        if self.reference == "max" and self.top_db is not None:
            return -float(self.top_db)
        return self.quietest_db

    @property
    def has_unit_areas(self) -> bool:
        """Whether a band is a mean over its triangle; otherwise it is a sum."""
        return self.mel_scale == "slaney"

    @property
    def quietest_db(self) -> float:
        """The level of an empty band at reference one."""
        if self.log_offset:
            return 20 / self.power * log10(self.log_offset)
        return 10 * log10(AMIN)

    def count_frames(self, n_samples: int) -> int:
        """Frames of a wave of another length."""
        if self.input == WAVE:
            return n_samples
        padded = n_samples - self._lost + (2 * (self.window // 2) if self.center else 0)
        return 1 + (padded - self.window) // self.hop_length

    def key(self) -> str:
        """A hash of all parameters, for naming stores of features."""
        # 5 and 5.0 seconds are the same option.
        return digest(
            _VERSION, {field.name: _normal(getattr(self, field.name)) for field in fields(self)}
        )


class MfccInput(NamedTuple):
    """The clips for the 26 MFCC statistics, instead of a :class:`MelOptions`.

    Attributes
    ----------
    sample_rate : int
        Hz; the published baselines used 44 100.
    duration : float
        Length of a clip in seconds; shorter clips are padded with silence, longer ones cut.
    """

    sample_rate: int = 44100
    duration: float = 5.0

    @property
    def n_samples(self) -> int:
        """Samples of a clip."""
        return round(self.duration * self.sample_rate)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of stored features: (1, 26, 1)."""
        return 1, N_CEPSTRUM_STATISTICS, 1

    def key(self) -> str:
        """A hash, for naming stores of features."""
        return digest("cepstrum", 1, float(self.sample_rate), float(self.duration))


def _normal(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


AUGMENTATIONS = ("none", "weak", "strong", "mixed")
"""Named sets, see :func:`semisonic.features.augmentation.augmenter`; the last one for levels."""

OWN_AUGMENTATIONS = OwnParts("augmentation", AUGMENTATIONS)
F = TypeVar("F", bound=Callable[..., object])


def register_augmentation(name: str) -> Callable[[F], F]:
    """Register an augmentation under a name; decorates a function or a module's class.

    The function takes features in dB, (batch, channel, mel, frame), and returns features of the
    same shape, with random changes of each row from torch's generator. It is called in training
    only. A class is instantiated once, without arguments.

    Parameters
    ----------
    name : str
        For ``augment``, ``pool_augment`` and ``views``. Your own name may be registered again: the
        last one counts.

    Raises
    ------
    OptionError
        For a name that is taken.

    Examples
    --------
    >>> import semisonic, torch
    >>> @semisonic.register_augmentation("louder")
    ... def louder(x):
    ...     return x + 6 * torch.rand(len(x), 1, 1, 1, device=x.device)
    >>> clf = semisonic.SoundClassifier(method_params={"augment": "louder"})
    """
    return OWN_AUGMENTATIONS.register(name)
