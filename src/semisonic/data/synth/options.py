"""What a made-up data set consists of."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.errors import OptionError
from semisonic.base.options import check, option
from semisonic.data.synth.names import CLASSES


@dataclass(frozen=True)
class SynthOptions:
    """Size and difficulty of the embedded data set ``synth``.

    A clip's samples depend on ``seed``, ``duration``, ``sample_rate``, ``snr_db``,
    ``mixtures``, ``clips_per_recording`` and, in the pool, on ``n_classes`` and
    ``pool_outside``; never on how many clips are made.
    """

    n_classes: int = option(
        12, "classes, the first of the list", minimum=2, maximum=float(len(CLASSES))
    )
    clips_per_class: int = option(40, "labelled clips of each class", minimum=1)
    clips_per_recording: int = option(2, "clips cut from one recording", minimum=1)
    n_folds: int = option(5, "folds; a recording lies in one of them", minimum=2)
    n_pool: int = option(600, "unlabelled clips", minimum=0)
    pool_outside: float = option(
        0.2, "share of the pool with sounds that are no class", minimum=0.0, maximum=1.0
    )
    mixtures: float = option(
        0.0, "share of clips in which several sounds are heard", minimum=0.0, maximum=1.0
    )
    label_noise: float = option(
        0.0, "share of labelled clips with a wrong label", minimum=0.0, maximum=1.0
    )
    n_noisy: int = option(0, "clips more whose labels nobody checked, to train on", minimum=0)
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

    @property
    def recordings_per_class(self) -> int:
        """How many recordings the labelled clips of a class are cut from."""
        return -(-self.clips_per_class // self.clips_per_recording)


def checked(options: SynthOptions) -> SynthOptions:
    """The options, if they can be met.

    Raises
    ------
    OptionError
        For a value out of range, or fewer recordings than folds.
    """
    check(options)
    if options.recordings_per_class < options.n_folds:
        raise OptionError(
            f"{options.clips_per_class} clips per class, {options.clips_per_recording} from a "
            f"recording, come from {options.recordings_per_class} recordings; expected at least "
            f"one for each of {options.n_folds} folds. Ask for more clips_per_class, fewer "
            "clips_per_recording or fewer n_folds"
        )
    return options
