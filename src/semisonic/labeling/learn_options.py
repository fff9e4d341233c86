"""How a project learns from its answers. No torch here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.base.options import option


@dataclass(frozen=True)
class LearnOptions:
    """How answers become a classifier."""

    cluster_weight: float = option(
        0.0,
        "weight of stretches without an answer in a cluster whose answers all agree, beside an "
        "answer's 1: they learn its label; 0: they do not", minimum=0.0, maximum=1.0,
    )  # fmt: skip
    cluster_answers: int = option(
        2, "answers that must agree before a cluster's other stretches learn their label",
        minimum=1,
    )  # fmt: skip
