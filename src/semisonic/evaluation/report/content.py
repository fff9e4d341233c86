"""What the report of an experiment is made from: plain data, filled in by whoever ran it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike

from semisonic.evaluation.comparison import Comparison
from semisonic.evaluation.embeddings import Separability
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.published import PublishedResult
from semisonic.evaluation.report.document import Player


@dataclass(frozen=True)
class JobHistory:
    """The epochs of one training.

    ``rows`` hold a mapping an epoch, such as ``{"epoch": 1, "loss": ..., "val_accuracy":
    ...}``. ``phase`` is ``"train"`` or ``"pretrain"``; for the latter ``arm`` names the
    decoder.
    """

    setting: str
    arm: str
    draw: int
    fold: int
    rows: Sequence[Mapping[str, float]]
    phase: str = "train"


@dataclass(frozen=True)
class Series:
    """A row of a table that holds everything side by side: which predictions, called what.

    ``method`` says in words how it learns; ``published`` is what others measured of the same
    method on the same data, if anybody did.
    """

    name: str
    setting: str
    arm: str
    method: str = ""
    published: PublishedResult | None = None


@dataclass(frozen=True)
class Reconstructions:
    """Held-out clips and what each decoder made of them.

    ``truth`` and each of ``decoders`` have shape (n, mel, frame); ``names`` says what each
    clip is; ``errors`` is each decoder's mean squared error over all held-out clips.
    """

    truth: ArrayLike
    decoders: Mapping[str, ArrayLike]
    names: Sequence[str] = ()
    errors: Mapping[str, float] = field(default_factory=dict)
    unit: str = "standardised level"


@dataclass(frozen=True)
class GeneratedPatches:
    """Training clips and patches that generators made after them.

    ``rows`` has shape (n, mel, frame) in dB by who made them, clips first; ``names`` says what
    class each column is of; ``sounds`` are some of them as sounds.
    """

    rows: Mapping[str, ArrayLike]
    names: Sequence[str] = ()
    sounds: Sequence[Player] = ()


@dataclass
class ExperimentContent:
    """Everything that the report of a comparison shows; what is empty is left out.

    Attributes
    ----------
    title : str
        What was done, such as "Auto-encoder pre-training on ESC-10".
    predictions : Predictions
        Both arms in every setting; a setting with one arm is shown without comparison.
    control, treated : str
        The names of the arms in the predictions.
    subject : str
        What the treated arm adds, as the verdict says it: "Pre-training". Empty where settings
        are classifiers that compete with the control: they are then called by their own names.
    data : str
        The data set's name, by which published results are found ("ESC-10").
    main_setting : str
        The setting whose comparison is the headline; by default the first.
    settings : mapping of str to mapping
        For each setting the values that make it, such as ``{"batch size": 32}``.
    study : str
        A key of :data:`semisonic.evaluation.published.STUDIES` to stand beside ours.
    setting_pairs : sequence of Comparison
        Settings held against each other.
    histories, reconstructions, mistakes, dead_units
        The learning curves, pictures and players; of units that no held-out clip made active the
        setting, the layer, the number of units and the share.
    series : mapping of str to sequence of Series
        By budget of labels the classifiers to be shown side by side; empty for none.
    categories : mapping of class to group
        Groups of classes whose accuracy is told.
    separability : Separability, optional
        How far apart the classes lie in ``separability_inputs``.
    confused : sequence of Player
        Clips of the two classes ``confused_pair`` that are most often confused.
    generated : GeneratedPatches, optional
        Patches that some arms learned from beside the clips.
    timing : sequence of (what, seconds, note)
    provenance : mapping
        ``command``, ``commit``, ``seed``, ``machine`` and what else is known.
    options : mapping
        All options of the run, nested or not.
    warnings : sequence of str
        What the reader must know first: transductive, quick, missing recordings.
    notes : sequence of str
        More on the method.
    """

    title: str
    predictions: Predictions
    control: str = "supervised"
    treated: str = "pre-trained"
    subject: str = "Pre-training"
    subtitle: str = ""
    data: str = ""
    main_setting: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    study: str = ""
    setting_pairs: Sequence[Comparison] = ()
    histories: Sequence[JobHistory] = ()
    reconstructions: Reconstructions | None = None
    mistakes: Sequence[Player | None] = ()
    dead_units: Sequence[tuple[str, str, int, float]] = ()
    series: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    separability: Separability | None = None
    separability_inputs: str = ""
    confused: Sequence[Player | None] = ()
    confused_pair: Sequence[str] = ()
    generated: GeneratedPatches | None = None
    timing: Sequence[tuple[str, float, str]] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
