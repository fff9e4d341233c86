"""Which loss of labelled clips, by name, and its options; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.core.options import option

LOSSES = ("cross-entropy", "bootstrap", "lq")


@dataclass(frozen=True)
class LossOptions:
    """Loss of labelled clips, and how it treats labels that may be wrong."""

    loss: str = option(
        "cross-entropy",
        "loss of labelled clips; bootstrap and lq believe wrong labels less",
        choices=LOSSES,
    )
    bootstrap_beta: float = option(
        0.95,
        "loss bootstrap: weight of the label; the rest is the network's own answer",
        minimum=0.01,
        maximum=1.0,
    )
    lq_power: float = option(
        0.7, "loss lq: near 0 it is cross-entropy, at 1 absolute error", minimum=0.01, maximum=1.0
    )
    noise_rate: float = option(
        0.0,
        "small-loss selection: share of each batch left out as wrongly labelled; 0 is off",
        minimum=0.0,
        maximum=0.95,
    )
    selection_epochs: float = option(
        10.0, "small-loss selection: epochs until the whole share is left out", minimum=0.0
    )
