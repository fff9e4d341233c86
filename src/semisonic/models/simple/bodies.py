"""Simple classifiers by name, for log-mel features or for waves."""

from __future__ import annotations

from semisonic.models.registry import Body, Shape
from semisonic.models.simple.heads import LinearHead, PerceptronHead, SimpleHead
from semisonic.models.simple.names import SIMPLE
from semisonic.models.simple.statistics_encoder import (
    CepstrumStatistics,
    MelStatistics,
    StatisticsEncoder,
    StatisticsNeck,
)
from semisonic.models.simple.voting import NeighbourHead, TreesHead

HEADS: dict[str, type[SimpleHead]] = dict(
    zip(
        SIMPLE,
        (NeighbourHead, TreesHead, LinearHead, LinearHead, TreesHead, PerceptronHead),
        strict=True,
    )
)
"""What classifies, by the name of the classifier."""


def simple_body(name: str, shape: Shape) -> Body:
    """Statistics of features of a shape (channel, mel, frame), or of waves, (1, 1, time).

    Parameters
    ----------
    name : str
        One of :data:`SIMPLE`.
    """
    waves = shape[:2] == (1, 1)
    encoder: StatisticsEncoder = CepstrumStatistics() if waves else MelStatistics(*shape[:2])
    return Body(name, encoder, StatisticsNeck(encoder.out_channels, HEADS[name]))
