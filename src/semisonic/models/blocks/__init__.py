"""Blocks that staged networks are made of, by name, one idea a file.

=================  =========================================================================
``residual``       two convolutions and a shortcut
``preactivation``  the same with norm and ReLU before each convolution
``plain``          two convolutions without a shortcut
``inverted``       widen, a filter for each map alone, narrow (as for mobile phones)
``broadcast``      filters over mel on the map, filters over time on its mean over mel
=================  =========================================================================
"""

from __future__ import annotations

from semisonic.base.errors import ModelError
from semisonic.base.options import nearest
from semisonic.models.blocks.base import Block
from semisonic.models.blocks.broadcast import BroadcastBlock
from semisonic.models.blocks.inverted import InvertedBlock
from semisonic.models.blocks.plain import PlainBlock
from semisonic.models.blocks.preactivation import PreactivationBlock
from semisonic.models.blocks.residual import ResidualBlock

BLOCKS: dict[str, type[Block]] = {
    "residual": ResidualBlock,
    "preactivation": PreactivationBlock,
    "plain": PlainBlock,
    "inverted": InvertedBlock,
    "broadcast": BroadcastBlock,
}


def block_class(name: str) -> type[Block]:
    """The class of a block by its name."""
    if name not in BLOCKS:
        raise ModelError(f"unknown block '{name}': {nearest(name, BLOCKS)}")
    return BLOCKS[name]


__all__ = ["BLOCKS", "Block", "block_class"]
