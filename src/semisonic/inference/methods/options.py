"""The options of all methods. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from semisonic.base.errors import OptionError
from semisonic.base.options import OpenChoices, option
from semisonic.features.augment.own import OWN
from semisonic.learning.losses.options import LossOptions

METHODS = (
    "supervised", "probe", "prototype", "joint", "pi-model", "mean-teacher", "fixmatch",
    "noisy-student",
)  # fmt: skip
PROBE, PROTOTYPE = METHODS[1:3]
FITTED = "fitted"
"""What happens to simple classifiers; it goes with the model and is not asked for."""
LEFT_OUT = "probe or prototype"
"""The better of both, by leaving labelled recordings out; ``auto`` chooses it."""
SOLVED = (PROBE, PROTOTYPE, LEFT_OUT, FITTED)
"""Methods that leave the encoder as it is and solve for the class layer."""
WITHOUT_POOL = (*METHODS[:3], LEFT_OUT, FITTED)
"""The others need a pool; the second uses one if there is one."""
WITH_NOISY = ("supervised", "pi-model", "mean-teacher", "noisy-student")
"""Methods that take clips whose labels nobody checked as a part of their own."""

_TRAINING = ("supervised", *METHODS[3:])
_WITH_POOL = METHODS[3:7]
_GUESSING = ("probe", "fixmatch", "noisy-student")
_READERS = {
    "augment": _TRAINING,
    "mixup": _TRAINING,
    "pool_augment": ("pi-model", "mean-teacher", "fixmatch"),
    "pool_ratio": _WITH_POOL,
    "pool_weight": ("probe", *_WITH_POOL),
    "ramp_steps": ("pi-model", "mean-teacher"),
    "teacher_decay": ("mean-teacher", "fixmatch"),
    "threshold": _GUESSING,
    "threshold_kind": ("fixmatch",),
    "alignment": _GUESSING,
    "temperature": _GUESSING[1:],
    "rounds": ("probe", "noisy-student"),
}
"""Which methods read an option; the others are for all."""

VIEWS = ("none", "weak", "mixed", "strong")
THRESHOLDS = ("fixed", "relative", "adaptive")


@dataclass(frozen=True)
class MethodOptions:
    """How labels and unlabelled clips are learned from."""

    augment: str = option(
        "none", "random changes of labelled clips in training; mixed: weak or strong ones",
        choices=OpenChoices(VIEWS, OWN),
    )  # fmt: skip
    pool_augment: str = option(
        "strong",
        "pi-model, mean-teacher, fixmatch: random changes of unlabelled clips, in the view that "
        "is learned from",
        choices=OpenChoices(VIEWS, OWN),
    )
    mixup: float = option(
        0.0, "blend pairs of clips, shares from Beta(x, x); 0 is off", minimum=0.0, maximum=10.0
    )
    pool_ratio: float = option(
        2.0, "unlabelled clips per step for each labelled one", minimum=0.1, maximum=50.0
    )
    pool_weight: float | None = option(
        None, "weight of the loss of unlabelled clips beside that of labelled ones; probe: of "
        "all guesses together, at most; joint: of their reconstruction; pi-model, mean-teacher: "
        "of a mean square, 30 if not given; else 1",
        minimum=0.0,
    )  # fmt: skip
    ramp_steps: int = option(
        0, "pi-model, mean-teacher: steps in which that weight rises", minimum=0
    )
    teacher_decay: float | None = option(
        None, "fixmatch, mean-teacher: guesses come from the weights' moving average with this "
        "decay; 0: from the network itself. If not given 0.99 for mean-teacher, else 0",
        minimum=0.0, maximum=0.99999,
    )  # fmt: skip
    threshold: float = option(
        0.9, "probe, fixmatch, noisy-student: how sure a guess must be, as a score", minimum=0.0,
        maximum=1.0,
    )  # fmt: skip
    threshold_kind: str = option(
        "fixed", "fixmatch: fixed; relative to the sureness of labelled clips; or adaptive by "
        "class", choices=THRESHOLDS,
    )  # fmt: skip
    alignment: float = option(
        1.0, "probe, fixmatch, noisy-student: how far guesses are brought to the classes' "
        "frequencies among the labels, 0 to 1", minimum=0.0, maximum=1.0,
    )  # fmt: skip
    temperature: float = option(
        0.0, "fixmatch, noisy-student: 0 makes a guess a class; above, a distribution, sharpened "
        "below 1", minimum=0.0, maximum=10.0,
    )  # fmt: skip
    rounds: int = option(
        2, "noisy-student: students after the first teacher; probe: rounds of guesses", minimum=1
    )

    def readers(self) -> dict[str, tuple[str, ...]]:
        """Options given otherwise than by default that not all methods read, with those that do."""
        return {
            field.name: _READERS[field.name]
            for field in dataclasses.fields(self)
            if field.name in _READERS and getattr(self, field.name) != field.default
        }

    def check_for(self, method: str) -> None:
        """Refuse an option that the method does not read.

        Raises
        ------
        OptionError
            With its name, and the methods that do read it.
        """
        for name, readers in self.readers().items():
            if method not in readers:
                raise OptionError(
                    f"option '{name}': found {getattr(self, name)}, but the method '{method}' does "
                    f"not read it; it is for {', '.join(readers)}"
                )

    def weight_for(self, method: str) -> float:
        """The weight of unlabelled clips: the one given, or the method's own."""
        if self.pool_weight is not None:
            return self.pool_weight
        return 30.0 if method in ("pi-model", "mean-teacher") else 1.0

    def decay_for(self, method: str) -> float:
        """The teacher's decay: the one given, or the method's own."""
        if self.teacher_decay is not None:
            return self.teacher_decay
        return 0.99 if method == "mean-teacher" else 0.0


@dataclass(frozen=True)
class NoisyOptions:
    """How clips with labels that nobody checked are learned from, beside others."""

    weight: float = option(
        1.0, "weight of such a clip beside one with checked labels", minimum=0.0, maximum=100.0
    )
    loss: LossOptions = option(LossOptions(), "their loss")


def check_noisy(method: str) -> None:
    """See that a method takes clips whose labels nobody checked as a part of their own.

    Raises
    ------
    OptionError
        When it does not.
    """
    if method not in WITH_NOISY:
        raise OptionError(
            f"option 'method': '{method}' has no place for labels that nobody checked beside "
            f"others; use one of {', '.join(WITH_NOISY)}, or leave them out"
        )
