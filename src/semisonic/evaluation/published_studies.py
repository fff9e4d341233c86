"""Results of the studies that recipes repeat, with what makes them hard to compare with ours.

Sources, by key:

- ``CNN``: Piczak, IEEE MLSP 2015; see :mod:`semisonic.evaluation.published`.
- ``WAVE``: Kavtaradze and others, "ESC-50 environmental sound classification": networks on mel
  spectrograms and on waveforms, and a study of augmentation. A course project with a public report.
- ``DAT255``: Grutle and others, a course project: FSDKaggle2018 to UrbanSound by transfer.
- ``STAGES``: Deng, "Audio classification in a multi-stage semi-supervised learning way":
  FSDKaggle2019. A course project with public code.

Values are shares, 0 to 1: accuracy of whole clips, but lwlrap for ``STAGES``.
"""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.evaluation.published import PICZAK, PICZAK_AGAIN, PICZAK_URBAN, Published

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
    rows: tuple[Published, ...]
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
            Published("CNN3, one changed copy a clip", "ESC-50", 0.640, _RANDOM_SPLITS, "WAVE"),
            Published("CNN2, one changed copy a clip", "ESC-50", 0.45, _RANDOM_SPLITS, "WAVE",
                      "said to be below this"),
            Published("m5", "ESC-50", 0.161, _UNOFFICIAL, "WAVE", "the text says 22.6 %",
                      (0.1187, 0.2031, 0.1750, 0.1250, 0.1844)),
            Published("m11", "ESC-50", 0.531, _UNOFFICIAL, "WAVE", "",
                      (0.5531, 0.4938, 0.5375, 0.6062, 0.4656)),
            Published("AclNet SC", "ESC-50", 0.632, _UNOFFICIAL, "WAVE", "",
                      (0.6172, 0.6484, 0.6198, 0.6406, 0.6354)),
            Published("AclNet DWSC", "ESC-50", 0.575, _UNOFFICIAL, "WAVE", "",
                      (0.5703, 0.5469, 0.5703, 0.6075, 0.5781)),
            Published("AclNet", "ESC-50", 0.8565, "5 official folds", "WAVE",
                      "by its authors (Huang and Leanos 2018): mixup, 2 000 epochs"),
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
            Published("CNN3, the clips alone", "ESC-50", 0.580, _RANDOM_SPLITS, "WAVE"),
            Published("CNN3, M1", "ESC-50", 0.640, _RANDOM_SPLITS, "WAVE"),
            Published("CNN3, M2", "ESC-50", 0.664, _RANDOM_SPLITS, "WAVE"),
            Published("CNN3, M3", "ESC-50", 0.610, _RANDOM_SPLITS, "WAVE"),
            Published("CNN3, M4", "ESC-50", 0.664, _RANDOM_SPLITS, "WAVE"),
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
            Published("from FSDKaggle2018, lowest of four runs", "UrbanSound", 0.727, _QUARTER,
                      "DAT255"),
            Published("from FSDKaggle2018, highest of four runs", "UrbanSound", 0.749, _QUARTER,
                      "DAT255"),
            Published("from ImageNet, first run", "UrbanSound", 0.696, _QUARTER, "DAT255"),
            Published("from ImageNet, second run", "UrbanSound", 0.617, _QUARTER, "DAT255"),
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
            Published("stage 0, warm-up on noisy labels", "FSDKaggle2019", 0.282, _TENTH, "STAGES"),
            Published("stage 1, then curated labels", "FSDKaggle2019", 0.791, _TENTH, "STAGES"),
            Published("stage 2, then kept labels and consistency", "FSDKaggle2019", 0.816, _TENTH,
                      "STAGES"),
        ),
        (
            "One split, one run. The official test clips were not used.",
            "Every stage trains on from the one before it, so it also trains longer. Here each is "
            "held against one that trained as long.",
        ),
        measure="lwlrap",
    ),
}  # fmt: skip
"""By the value of the recipe key ``published``."""
