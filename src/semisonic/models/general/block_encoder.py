"""Encoders that are a row of blocks, each of which knows what a decoder has to undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from semisonic.models.encoder import Encoder
from semisonic.models.plan import Step, Trace, Undo


class PlannedBlock(nn.Module):
    """Base of blocks: ``forward(x, record)`` gives the map and records each step down."""

    plan: tuple[Step, ...]


class BlockEncoder(Encoder):
    """Blocks one after the other; a part is a block.

    Parameters
    ----------
    in_channels, out_channels : int
    blocks : sequence of PlannedBlock
    """

    def __init__(self, in_channels: int, out_channels: int, blocks: Sequence[PlannedBlock]) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.blocks = nn.ModuleList(blocks)
        self.plan = tuple(step for block in blocks for step in block.plan)

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """The plan of each block."""
        return tuple(cast(PlannedBlock, block).plan for block in self.blocks)

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one block."""
        y: Tensor = self.blocks[number](x, record)
        return y


def remember(x: Tensor, record: Trace | None) -> None:
    """Record a step down from this map."""
    if record is not None:
        record.downs.append(Undo((x.shape[2], x.shape[3]), map=x if record.maps else None))
