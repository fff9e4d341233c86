"""Results that others published, as facts to stand beside ours, with how they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semisonic.data.categories import esc_name

# Results that others published, as facts to stand beside ours, with how they were measured.
#
# Sources, by key:
#
# - ``CAE``: Jensen and Pethick, "Environmental sound classification with semi-supervised
#   learning", Technical University of Denmark: convolutional auto-encoder pre-trained on
#   50 000 clips of ESC-US, fine-tuned on ESC-50. Its code and training logs are public too.
# - ``ESC``: Piczak, "ESC: dataset for environmental sound classification", ACM Multimedia
#   2015: the data sets, three simple baselines and listening tests.
# - ``CNN``: Piczak, "Environmental sound classification with convolutional neural
#   networks", IEEE MLSP 2015.
# - ``DTU``: a course project at the Technical University of Denmark that built Piczak's CNN again
#   for UrbanSound8K. Its code, scores by fold and predictions are public.
#
# All accuracies are 0 to 1, of whole clips.


OFFICIAL = "5 official folds"
RANDOM = "one random split of 1 280 / 320 / 400 clips, one run"

SOURCES = {
    "CAE": "Jensen & Pethick, Environmental sound classification with semi-supervised learning",
    "ESC": "Piczak, ESC: dataset for environmental sound classification, ACM MM 2015",
    "CNN": "Piczak, Environmental sound classification with CNNs, IEEE MLSP 2015",
    "DTU": "Course project 02456, Technical University of Denmark, 2017",
}


@dataclass(frozen=True)
class PublishedResult:
    """One published accuracy. ``folds`` holds it by fold where that is known."""

    system: str
    data: str
    accuracy: float
    protocol: str
    source: str
    note: str = ""
    folds: tuple[float, ...] = ()


@dataclass(frozen=True)
class CaeCell:
    """A row of the auto-encoder paper's table 1, 64 filters; None where it has a dash."""

    batch_size: int
    supervised: float | None
    pretrained: float | None


CAE_TABLE_1 = (
    CaeCell(16, 0.414, 0.502),
    CaeCell(32, 0.492, 0.507),
    CaeCell(64, 0.474, None),
)
"""Test accuracy on ESC-50 with 64 filters, un-pooling decoder."""

CAE_NOTES = (
    "One random split that ignores the official folds: on average 30 % of its test clips "
    "have a clip of the same recording in training.",
    "One run a setting; the gain at batch 32 is 6 of 400 clips, below one standard error.",
    "The weights tested are those of the last epoch, not of the best one.",
    "The confusion matrix in its notebook shows 75 %, as most of those test clips were "
    "training clips of the network; it is not used here.",
)

CAE_UPSAMPLING = (
    PublishedResult(
        "up-sampling auto-encoder, pre-trained", "ESC-50", 0.018, RANDOM, "CAE", "chance is 2 %"
    ),
    PublishedResult("up-sampling setting, supervised", "ESC-50", 0.41, RANDOM, "CAE"),
)
"""The setting that did not work for the paper."""

CAE_TABLE_2 = (
    PublishedResult(
        "random forest",
        "ESC-50",
        0.440,
        OFFICIAL,
        "CAE",
        "Piczak's paper says 44.3 %, his result files 45.0 %",
    ),
    PublishedResult(
        "Piczak's CNN", "ESC-50", 0.655, OFFICIAL, "CAE", "Piczak's result files say 64.6 %"
    ),
    PublishedResult(
        "auto-encoder, pre-trained", "ESC-50", 0.507, RANDOM, "CAE", "batch 32, 64 filters"
    ),
)


@dataclass(frozen=True)
class CaeLog:
    """One training log of the auto-encoder paper's code.

    ``value`` is validation MSE (dB squared) for an auto-encoder, validation accuracy for
    a classifier: in the first, the best and the last epoch.
    """

    job: str
    n_epochs: int
    first: float
    best: float
    best_epoch: int
    last: float
    train_last: float


CAE_LOGS = (
    CaeLog("auto-encoder, batch 16", 7, 23.03, 13.73, 4, 18.39, 29.09),
    CaeLog("auto-encoder, batch 32", 6, 8.55, 6.42, 4, 6.62, 6.66),
    CaeLog("supervised, batch 16", 29, 0.025, 0.450, 22, 0.397, 0.867),
    CaeLog("pre-trained, batch 16", 23, 0.200, 0.494, 16, 0.488, 1.000),
    CaeLog("pre-trained, batch 32", 15, 0.156, 0.478, 8, 0.422, 0.921),
)

BASELINES = (
    PublishedResult(
        "k-nearest neighbours",
        "ESC-50",
        0.322,
        OFFICIAL,
        "ESC",
        "MFCC and zero crossings",
        (0.300, 0.325, 0.340, 0.347, 0.300),
    ),
    PublishedResult(
        "linear SVM",
        "ESC-50",
        0.395,
        OFFICIAL,
        "ESC",
        "MFCC and zero crossings; paper: 39.6 %",
        (0.385, 0.397, 0.392, 0.405, 0.397),
    ),
    PublishedResult(
        "random forest",
        "ESC-50",
        0.450,
        OFFICIAL,
        "ESC",
        "MFCC and zero crossings; paper: 44.3 %",
        (0.405, 0.477, 0.445, 0.465, 0.457),
    ),
    PublishedResult(
        "k-nearest neighbours",
        "ESC-10",
        0.667,
        OFFICIAL,
        "ESC",
        "MFCC and zero crossings",
        (0.587, 0.725, 0.675, 0.725, 0.625),
    ),
    PublishedResult(
        "linear SVM",
        "ESC-10",
        0.675,
        OFFICIAL,
        "ESC",
        "MFCC and zero crossings",
        (0.575, 0.787, 0.650, 0.737, 0.625),
    ),
    PublishedResult(
        "random forest",
        "ESC-10",
        0.727,
        OFFICIAL,
        "ESC",
        "MFCC and zero crossings",
        (0.575, 0.775, 0.775, 0.775, 0.737),
    ),
)
"""From the author's result files; the text of the paper differs by up to 0.7 points."""

_VALIDATED = f"{OFFICIAL}: 3 train, 1 validation, 1 test"

PICZAK = (
    PublishedResult(
        "Piczak's CNN, short segments", "ESC-10", 0.785, _VALIDATED, "CNN", "probability vote"
    ),
    PublishedResult(
        "Piczak's CNN, long segments", "ESC-10", 0.803, _VALIDATED, "CNN", "probability vote"
    ),
    PublishedResult(
        "Piczak's CNN, short segments",
        "ESC-50",
        0.646,
        _VALIDATED,
        "CNN",
        "probability vote; 64.5 in the paper's text",
        (0.6225, 0.6075, 0.6375, 0.7150, 0.6450),
    ),
    PublishedResult(
        "Piczak's CNN, long segments", "ESC-50", 0.629, _VALIDATED, "CNN", "probability vote"
    ),
)

_URBAN = "10 official folds: 8 train, 1 validation, 1 test"

PICZAK_URBAN = (
    PublishedResult("Piczak's CNN, short segments, majority", "UrbanSound8K", 0.700, _URBAN, "CNN"),
    PublishedResult(
        "Piczak's CNN, short segments", "UrbanSound8K", 0.714, _URBAN, "CNN", "probability vote"
    ),
    PublishedResult("Piczak's CNN, long segments, majority", "UrbanSound8K", 0.712, _URBAN, "CNN"),
    PublishedResult(
        "Piczak's CNN, long segments",
        "UrbanSound8K",
        0.731,
        _URBAN,
        "CNN",
        "probability vote",
        (0.7491, 0.7354, 0.6292, 0.7475, 0.7682, 0.7339, 0.7053, 0.7295, 0.7659, 0.7491),
    ),
)

_URBAN_AGAIN = "10 official folds: 7 train, 2 validation, 1 test; clips of silent segments left out"

PICZAK_AGAIN = (
    PublishedResult(
        "Piczak's CNN built again, short segments, majority",
        "UrbanSound8K",
        0.617,
        _URBAN_AGAIN,
        "DTU",
    ),
    PublishedResult(
        "Piczak's CNN built again, short segments",
        "UrbanSound8K",
        0.630,
        _URBAN_AGAIN,
        "DTU",
        "probability vote; fold 5 cannot be right as printed",
        (0.602, 0.583, 0.541, 0.628, 0.698, 0.646, 0.655, 0.612, 0.653, 0.686),
    ),
    PublishedResult(
        "Piczak's CNN built again, long segments, majority",
        "UrbanSound8K",
        0.479,
        _URBAN_AGAIN,
        "DTU",
    ),
    PublishedResult(
        "Piczak's CNN built again, long segments",
        "UrbanSound8K",
        0.500,
        _URBAN_AGAIN,
        "DTU",
        "probability vote; fold 7 cannot be right as printed",
        (0.519, 0.432, 0.516, 0.428, 0.531, 0.459, 0.683, 0.484, 0.434, 0.518),
    ),
)
"""About 5 % of the clips are missing for short segments, 13 % for long ones."""

HUMAN = (
    PublishedResult("human listeners", "ESC-10", 0.957, "crowd, about 12 judgements a clip", "ESC"),
    PublishedResult("human listeners", "ESC-50", 0.813, "crowd, about 2 judgements a clip", "ESC"),
)

ALL = (*BASELINES, *PICZAK, *PICZAK_URBAN, *PICZAK_AGAIN, CAE_TABLE_2[-1], *CAE_UPSAMPLING, *HUMAN)
"""Everything, each number once."""


HUMAN_ESC_10 = {
    "dog": (474, 475),
    "rain": (442, 493),
    "sea waves": (408, 448),
    "crying baby": (508, 508),
    "clock tick": (372, 373),
    "sneezing": (527, 529),
    "helicopter": (445, 484),
    "chainsaw": (459, 467),
    "rooster": (457, 458),
    "crackling fire": (395, 452),
}
"""Right judgements and all of them, by class, from the table that comes with ESC-10."""

ESC_NOTES = (
    "Published baselines: MFCC and zero crossings of the same five official folds, each tested "
    "once. Their hyper-parameters were not published, so ours are our own.",
    "Means are of the author's result files; the text of the paper differs by up to 0.7 points.",
    "In ESC-50 four recordings have clips in two official folds. They flatter the published "
    "numbers a little; here they are not learned from while their recording is tested.",
)


def human_recall(data: str, classes: Sequence[str]) -> list[float] | None:
    """What listeners found of each class, 0 to 1; None where that is not known of every class."""
    names = [esc_name(name) for name in classes]
    if not same_data(data, "ESC-10") or not all(name in HUMAN_ESC_10 for name in names):
        return None
    return [HUMAN_ESC_10[name][0] / HUMAN_ESC_10[name][1] for name in names]


def listeners(data: str) -> str:
    """A sentence on what people reach on a data set; empty where nobody measured it."""
    for one in HUMAN:
        if same_data(one.data, data):
            return (
                f"People who listened to {one.data} were right in {100 * one.accuracy:.1f} % "
                f"({one.protocol}; Piczak 2015)."
            )
    return ""


def published_for(data: str) -> list[PublishedResult]:
    """What is known of a data set (by name: ``"ESC-10"``, ``"esc50"``), the lowest first."""
    return sorted((p for p in ALL if same_data(p.data, data)), key=lambda p: p.accuracy)


def same_data(a: str, b: str) -> bool:
    """Whether two names mean the same data set: ``"ESC-10"`` is ``"esc10"``."""

    def plain(name: str) -> str:
        return "".join(c for c in name.lower() if c.isalnum())

    return plain(a) == plain(b)


def human_accuracy(data: str) -> float | None:
    """What listeners reached on a data set, 0 to 1; None where nobody measured it."""
    plain = data.lower().replace("-", "").replace("_", "")
    for listeners in HUMAN:
        if listeners.data.lower().replace("-", "") == plain:
            return listeners.accuracy
    return None


# Results of the studies that recipes repeat, with what makes them hard to compare with ours.
#
# Sources, by key:
#
# - ``CNN``: Piczak, IEEE MLSP 2015; see :mod:`semisonic.evaluation.published`.
# - ``WAVE``: Kavtaradze and others, "ESC-50 environmental sound classification": networks on mel
#   spectrograms and on waveforms, and a study of augmentation. A course project with a public
# report.
# - ``DAT255``: Grutle and others, a course project: FSDKaggle2018 to UrbanSound by transfer.
# - ``STAGES``: Deng, "Audio classification in a multi-stage semi-supervised learning way":
#   FSDKaggle2019. A course project with public code.
#
# Values are shares, 0 to 1: accuracy of whole clips, but lwlrap for ``STAGES``.


_RANDOM_SPLITS = "5 runs on one random split"
_UNOFFICIAL = "5 folds, not the official ones"
_QUARTER = "227 clips of one random split"
_TENTH = "a random tenth of the curated clips"


@dataclass(frozen=True)
class Study:
    """What one study found, and how its way of measuring differs from ours.

    Attributes
    ----------
    source : str
        Who and where.
    rows : tuple of Published
    notes : tuple of str
        Differences of protocol, each a sentence.
    measure : str
        What the values are.
    """

    source: str
    rows: tuple[PublishedResult, ...]
    notes: tuple[str, ...]
    measure: str = "accuracy"


STUDIES = {
    "piczak": Study(
        "Piczak, Environmental sound classification with CNNs, IEEE MLSP 2015",
        (*PICZAK, *PICZAK_URBAN, *PICZAK_AGAIN),
        (
            "Dense layers of 5 000 units and ten changed copies a clip (ESC-50: four), 300 or 150 "
            "epochs of SGD; the recipe's own sizes are in the options below.",
            "Segments below a limit of silence were thrown away, so that a clip could be left "
            "without any; here every clip keeps one.",
            "Piczak's CNN built again: a course project for UrbanSound8K with another level of "
            "silence; its numbers leave out the clips that were without any segment.",
        ),
    ),
    "mel-or-wave": Study(
        "Kavtaradze and others, ESC-50 environmental sound classification",
        (
            PublishedResult(
                "CNN3, one changed copy a clip", "ESC-50", 0.640, _RANDOM_SPLITS, "WAVE"
            ),
            PublishedResult(
                "CNN2, one changed copy a clip",
                "ESC-50",
                0.45,
                _RANDOM_SPLITS,
                "WAVE",
                "said to be below this",
            ),
            PublishedResult(
                "m5",
                "ESC-50",
                0.161,
                _UNOFFICIAL,
                "WAVE",
                "the text says 22.6 %",
                (0.1187, 0.2031, 0.1750, 0.1250, 0.1844),
            ),
            PublishedResult(
                "m11",
                "ESC-50",
                0.531,
                _UNOFFICIAL,
                "WAVE",
                "",
                (0.5531, 0.4938, 0.5375, 0.6062, 0.4656),
            ),
            PublishedResult(
                "AclNet SC",
                "ESC-50",
                0.632,
                _UNOFFICIAL,
                "WAVE",
                "",
                (0.6172, 0.6484, 0.6198, 0.6406, 0.6354),
            ),
            PublishedResult(
                "AclNet DWSC",
                "ESC-50",
                0.575,
                _UNOFFICIAL,
                "WAVE",
                "",
                (0.5703, 0.5469, 0.5703, 0.6075, 0.5781),
            ),
            PublishedResult(
                "AclNet",
                "ESC-50",
                0.8565,
                "5 official folds",
                "WAVE",
                "by its authors (Huang and Leanos 2018): mixup, 2 000 epochs",
            ),
        ),
        (
            "Their mel networks were scored on random splits, their waveform networks by folds: "
            "the two halves of their comparison do not share test clips. Here all networks are "
            "scored on the same clips.",
            "The folds of m5 and m11 were cut from the 1 600 training clips, and those of AclNet "
            "lost the last batch.",
            "Each family had its own optimiser and number of epochs. Here all take equally many "
            "steps of the same optimiser.",
        ),
    ),
    "augmentation": Study(
        "Kavtaradze and others, ESC-50 environmental sound classification",
        (
            PublishedResult("CNN3, the clips alone", "ESC-50", 0.580, _RANDOM_SPLITS, "WAVE"),
            PublishedResult("CNN3, M1", "ESC-50", 0.640, _RANDOM_SPLITS, "WAVE"),
            PublishedResult("CNN3, M2", "ESC-50", 0.664, _RANDOM_SPLITS, "WAVE"),
            PublishedResult("CNN3, M3", "ESC-50", 0.610, _RANDOM_SPLITS, "WAVE"),
            PublishedResult("CNN3, M4", "ESC-50", 0.664, _RANDOM_SPLITS, "WAVE"),
        ),
        (
            "Copies were in their test part too, so that each method was scored on other clips: "
            "400 for the clips alone, 2 000 for M4.",
            "With more copies they also trained for more steps. Here all take equally many.",
            "At first copies of a clip lay in training and test: 75 % with M1 and over 97 % with "
            "M2. These are not listed.",
            "White and pink noise did not have the ratio that was asked for; here it is measured.",
        ),
    ),
    "transfer": Study(
        "Grutle and others, course project DAT255",
        (
            PublishedResult(
                "from FSDKaggle2018, lowest of four runs", "UrbanSound", 0.727, _QUARTER, "DAT255"
            ),
            PublishedResult(
                "from FSDKaggle2018, highest of four runs", "UrbanSound", 0.749, _QUARTER, "DAT255"
            ),
            PublishedResult("from ImageNet, first run", "UrbanSound", 0.696, _QUARTER, "DAT255"),
            PublishedResult("from ImageNet, second run", "UrbanSound", 0.617, _QUARTER, "DAT255"),
        ),
        (
            "The control learned for 9 epochs, what was transferred for 13. Here all take equally "
            "many steps.",
            "One split of 227 clips; the clips that chose the model are the ones reported.",
        ),
    ),
    "stages": Study(
        "Deng, Audio classification in a multi-stage semi-supervised learning way",
        (
            PublishedResult(
                "stage 0, warm-up on noisy labels", "FSDKaggle2019", 0.282, _TENTH, "STAGES"
            ),
            PublishedResult(
                "stage 1, then curated labels", "FSDKaggle2019", 0.791, _TENTH, "STAGES"
            ),
            PublishedResult(
                "stage 2, then kept labels and consistency",
                "FSDKaggle2019",
                0.816,
                _TENTH,
                "STAGES",
            ),
        ),
        (
            "One split, one run. The official test clips were not used.",
            "Every stage trains on from the one before it, so it also trains longer. Here each is "
            "held against one that trained as long.",
        ),
        measure="lwlrap",
    ),
}
"""By the value of the recipe key ``published``."""
