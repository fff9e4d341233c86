"""Nearest-neighbour up-sampling, then a convolution."""

from __future__ import annotations

from torch import Tensor

from semisonic.models.decoders.base import Decoder, repeat_cells
from semisonic.models.plan import Trace


class UpsampleDecoder(Decoder):
    """Every cell is repeated; what a window dropped at an edge repeats the last one.

    The seed filled such edges with zeros, which are not silence but the mean level once
    features are standardised.
    """

    def up(self, x: Tensor, down: int, trace: Trace) -> Tensor:
        """Repeat the cells to the size before the step down."""
        return repeat_cells(x, self.downs[down].stride, trace.downs[down].size)
