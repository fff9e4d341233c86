"""What a classifier is trained with, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from semisonic.base.options import option
from semisonic.inference.generated_options import GeneratedOptions
from semisonic.inference.generating import Generated
from semisonic.inference.methods.options import (
    MethodOptions,
    NoisyOptions,
)
from semisonic.inference.methods.pseudo_labels import PseudoLabels
from semisonic.inference.options import DEFAULT_MODEL, STANDARDIZE, TRAIN_FIT
from semisonic.learning.losses import LossOptions
from semisonic.models import SoundModel
from semisonic.training import (
    FitOptions,
    FitResult,
)


@dataclass(frozen=True)
class TrainSettings:
    """What is trained, and how."""

    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    dropout: float = option(
        0.0, "share of the embedding dropped in training", minimum=0.0, maximum=0.95
    )
    label_smoothing: float = option(
        0.0, "share of each label spread over all classes", minimum=0.0, maximum=0.9
    )
    method: str = option("supervised", "how labels and the pool are learned from")
    how: MethodOptions = field(default_factory=MethodOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    fit: FitOptions = field(default_factory=lambda: TRAIN_FIT)
    noisy: NoisyOptions = field(default_factory=NoisyOptions)
    generated: GeneratedOptions = field(default_factory=GeneratedOptions)


@dataclass(frozen=True)
class TrainOutcome:
    """A trained model and how it came about.

    Attributes
    ----------
    model : SoundModel
        On the CPU, in evaluation mode; with the weights of the best epoch when there were
        rows to validate on, else with the last ones.
    fit : FitResult
    method : str
        How it learned, where several were compared: the one that was taken.
    teachers : tuple of FitResult
        Of the rounds before the last one, for the method noisy-student.
    guesses : list of PseudoLabels
        What each student of the method noisy-student, or each round of the method probe,
        learned beside the labels.
    generated : Generated or None
        The patches that were learned from beside the labelled clips.
    because : str
        How compared methods did; empty where none were compared.
    """

    model: SoundModel
    fit: FitResult
    method: str
    teachers: tuple[FitResult, ...] = ()
    guesses: Sequence[PseudoLabels] = ()
    generated: Generated | None = None
    because: str = ""

    @property
    def history(self) -> list[dict[str, float]]:
        """A row per epoch."""
        return self.fit.history

    @property
    def best_epoch(self) -> int:
        """The epoch that the weights are from."""
        return self.fit.best_epoch

    @property
    def seconds(self) -> float:
        """Time in epochs, validation, earlier rounds and the generator included."""
        before = self.generated.fit.seconds if self.generated else 0.0
        return before + self.fit.seconds + sum(teacher.seconds for teacher in self.teachers)
