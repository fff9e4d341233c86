"""What a staged network consists of: plain, immutable data, without torch.

A stem brings the features to a small map at once, stages of blocks follow, each of them
smaller and wider, and a pooling over what is left of mel and time gives the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

from semisonic.models.architecture import Size

ONE: Size = (1, 1)


@dataclass(frozen=True)
class Stem:
    """The first convolution.

    Attributes
    ----------
    width : int
        Maps.
    kernel, stride : Size
        Of the convolution. With a step of 2 or 4 few numbers are touched at full size.
    pool : Size
        Max-pool after it; (1, 1) is none.
    fold : bool
        Make every mel band a channel first and convolve over time only.
    """

    width: int
    kernel: Size = (5, 5)
    stride: Size = (2, 2)
    pool: Size = ONE
    fold: bool = False


@dataclass(frozen=True)
class Stage:
    """Blocks of one width.

    Attributes
    ----------
    width : int
        Maps at its end.
    depth : int
        Blocks.
    block : str
        A name in :data:`semisonic.models.blocks.BLOCKS`.
    kernel : Size
        Of the blocks' convolutions.
    down : Size
        Average pool before the first block; (1, 1) is none.
    fold : bool
        Make the rows of the map channels before the first block: from here on the map has
        one row, and convolutions see time only.
    excite : bool
        Squeeze-excitation in each block.
    frequency_norm : bool
        Residual normalisation over frequency before the first block.
    """

    width: int
    depth: int = 1
    block: str = "residual"
    kernel: Size = (3, 3)
    down: Size = (2, 2)
    fold: bool = False
    excite: bool = False
    frequency_norm: bool = False


@dataclass(frozen=True)
class Design:
    """A whole network without its class layer.

    Attributes
    ----------
    stem : Stem
    stages : tuple of Stage
    over_time : str
        A name in :data:`semisonic.models.pooling.OVER_TIME`.
    keep_rows : bool
        Put the rows of the last map side by side in the embedding, instead of their mean.
    drop_path : float
        Probability that the last block's branch is left out for a clip in training; it
        rises from nearly zero at the first block (stochastic depth).
    """

    stem: Stem
    stages: tuple[Stage, ...]
    over_time: str = "mean+max"
    keep_rows: bool = False
    drop_path: float = 0.0
