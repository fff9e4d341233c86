"""Un-pooling with recorded positions: the decoder of the paper."""

from __future__ import annotations

from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.models.decoders.base import Decoder
from semisonic.models.plan import Trace
from semisonic.models.unpooling import max_unpool


class UnpoolDecoder(Decoder):
    """Pooled values go back to the places of the maxima; see :mod:`..unpooling`.

    The places carry information past the code, as in the paper: a reconstruction is
    sharper than the code alone could make it.
    """

    needs_switches = True

    def up(self, x: Tensor, down: int, trace: Trace) -> Tensor:
        """Put the values back to the places of the maxima."""
        undo = trace.downs[down]
        if undo.switches is None:
            raise ModelError("the decoder 'unpool' needs the encoder's switches, found none")
        return max_unpool(x, undo.switches, self.downs[down], undo.size)
