"""How much a term of a loss counts in the first steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError


class Ramp(nn.Module):
    """A weight that rises from 0 to 1, as exp(-5 (1 - t)²), over some steps.

    Papers: Laine and Aila 2017, "Temporal ensembling", from where the form is. A network that
    knows nothing yet has nothing to be consistent with.

    Parameters
    ----------
    n_steps : int
        Steps until it is 1; with 0 it always is.
    """

    step: Tensor

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        if n_steps < 0:
            raise OptionError(f"option 'ramp_steps': found {n_steps}, expected at least 0")
        self.n_steps = n_steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def value(self) -> Tensor:
        """The weight of the current step, 0 to 1, a scalar on the device: reading it there stops
        a graphics card until it has caught up."""
        if not self.n_steps:
            return torch.ones((), device=self.step.device)
        share = (exact(self.step) / self.n_steps).clamp(max=1.0)
        return torch.exp(-5.0 * (1.0 - share) ** 2).float()

    def advance(self) -> None:
        """Go on to the next step."""
        self.step += 1

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"n_steps={self.n_steps}"


def exact(count: Tensor) -> Tensor:
    """A count as float64, or as float32 where a device has nothing better."""
    return count.float() if count.device.type == "mps" else count.double()
