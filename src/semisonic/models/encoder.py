"""Encoders: standardised features to a map of fewer, richer cells."""

from __future__ import annotations

from torch import Tensor, nn

from semisonic.base.errors import ModelError
from semisonic.models.plan import Step, Trace, frames_after, map_shape


class Encoder(nn.Module):
    """Base of all encoders.

    A subclass sets ``plan`` (what a decoder has to undo) and ``has_switches`` (whether all
    its steps down are max-pools whose positions it records), and overrides :meth:`walk`. One
    that can be trained layer by layer overrides :attr:`part_plans` and :meth:`run_part`
    instead. Where no decoder can mirror the plan, ``no_decoder`` says why; where a frame of the
    code hears more than its own time and what lies around it, ``no_frames`` says why. With
    ``keeps_weights`` the first weights are those that its own code drew.

    Attributes
    ----------
    in_channels, out_channels : int
    plan : tuple of ConvStep and DownStep
    """

    in_channels: int
    out_channels: int
    plan: tuple[Step, ...]
    has_switches = False
    keeps_weights = False
    no_decoder = ""
    no_frames = ""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code of standardised features.

        Parameters
        ----------
        x : Tensor, shape (batch, in_channels, mel, frame)
        n_frames : Tensor of int64, shape (batch,), or None
            The frames of each clip that count, where clips were filled up to one length. Only
            an encoder whose frames all hear each other reads it.

        Returns
        -------
        Tensor, shape (batch, out_channels, fewer mel, fewer frames)
        """
        return self.walk(x, None)

    def trace(
        self, x: Tensor, *, switches: bool = False, maps: bool = False
    ) -> tuple[Tensor, Trace]:
        """The code, and what a decoder needs to find the way back.

        Raises
        ------
        ModelError
            When switches are asked of an encoder that has none.
        """
        if switches:
            self.require_switches()
        record = Trace(switches, maps)
        return self.walk(x, record), record

    def hear_at(self, sample_rate: int) -> None:
        """Be told the rate of waves, Hz; only encoders that know of frequencies heed it."""

    def require_switches(self) -> None:
        """Raise ModelError unless the encoder records positions of maxima."""
        if not self.has_switches:
            raise ModelError(
                f"{type(self).__name__} does not record positions of maxima, which un-pooling "
                "needs; take the decoder 'upsample', 'subpixel' or 'unet'"
            )

    def require_mirror(self) -> None:
        """Raise ModelError where no decoder can be implied."""
        if self.no_decoder:
            raise ModelError(
                f"{type(self).__name__} cannot be an auto-encoder: {self.no_decoder}; pre-train "
                "it without a decoder ('simclr', 'vicreg', 'byol'), or take another network"
            )

    def weight_layers(self) -> tuple[nn.Module, ...]:
        """The modules that hold the weights, first to last.

        Lists of modules and encoders within are opened; blocks and stages are not.
        """
        found: list[nn.Module] = []
        for child in self.children():
            if isinstance(child, Encoder):
                found += child.weight_layers()
            else:
                found += child if isinstance(child, (nn.ModuleList, nn.Sequential)) else [child]
        return tuple(layer for layer in found if any(True for _ in layer.parameters()))

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """The plan cut where the encoder can be: a part is run as a whole; all in one here."""
        return (self.plan,)

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one part, from the map before it."""
        raise NotImplementedError

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The code; fills ``record`` when there is one."""
        for number in range(len(self.part_plans)):
            x = self.run_part(number, x, record)
        return x

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the code of an input of that size."""
        return map_shape(self.plan, (n_mels, n_frames), type(self).__name__)

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """How many frames of the code count, of the first ``n_frames`` of each input."""
        return frames_after(self.plan, n_frames)
