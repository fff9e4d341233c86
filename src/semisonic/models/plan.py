"""The steps of an encoder that a decoder must undo, and what is remembered on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.models.architecture import Size


@dataclass(frozen=True)
class ConvStep:
    """A convolution of unchanged size."""

    in_channels: int
    out_channels: int
    kernel: Size


@dataclass(frozen=True)
class DownStep:
    """A step down in size: windows of ``size`` every ``stride``.

    With ``ceil`` a last, partial window counts; without it, it is dropped. ``has_map`` says
    whether the map before the step can stand beside the way up, as in a U-Net.
    """

    channels: int
    size: Size
    stride: Size
    ceil: bool = False
    has_map: bool = True

    @property
    def overlaps(self) -> bool:
        """Whether one position may lie in several windows."""
        return self.size[0] > self.stride[0] or self.size[1] > self.stride[1]

    def shrink(self, size: Size) -> Size:
        """The size after the step, as torch counts it."""
        mel, frame = (
            _count_windows(n, k, s, self.ceil)
            for n, k, s in zip(size, self.size, self.stride, strict=True)
        )
        return mel, frame


def _count_windows(n: int, size: int, stride: int, ceil: bool) -> int:
    if not ceil:
        return (n - size) // stride + 1
    count = -(-(n - size) // stride) + 1
    return count - 1 if (count - 1) * stride >= n else count  # none starts outside


@dataclass(frozen=True)
class FoldStep:
    """The rows of a map become channels: (channels, rows, frame) to (channels * rows, 1, frame).

    A convolution follows before the next step down.
    """

    channels: int
    rows: int


@dataclass(frozen=True)
class PatchStep:
    """All that a network does to patches of ``length`` frames, ``hop`` apart.

    The map of a patch has ``channels``, ``rows`` and ``frames``; those of a clip stand side by
    side. There is always a patch, and the last one reaches beyond the clip's end. No way leads
    back from patches that overlap.
    """

    channels: int
    length: int
    hop: int
    rows: int
    frames: int

    def count(self, n_frames: int) -> int:
        """Patches of a clip."""
        # Rounded up without a negative number, which ONNX would divide in another way.
        return 1 + (max(n_frames - self.length, 0) + self.hop - 1) // self.hop


Step = ConvStep | DownStep | FoldStep | PatchStep


def map_shape(
    plan: tuple[Step, ...], size: Size, what: str = "architecture"
) -> tuple[int, int, int]:
    """Shape (channel, mel, frame) of the last map for an input of a size (mel, frame).

    Raises
    ------
    ModelError
        When a pool meets a map smaller than its window.
    """
    channels = 0
    for number, step in enumerate(plan, 1):
        if isinstance(step, ConvStep):
            channels = step.out_channels
            continue
        if isinstance(step, FoldStep):
            channels, size = step.channels * step.rows, (1, size[1])
            continue
        if isinstance(step, PatchStep):
            channels, size = step.channels, (step.rows, step.count(size[1]) * step.frames)
            continue
        if min(step.shrink(size)) < 1:
            raise ModelError(
                f"{what}: layer {number} pools windows of {step.size[0]}x{step.size[1]}, but "
                f"the map is only {size[0]}x{size[1]} (mel x frame) there; take fewer or smaller "
                "pools, more mel bands or longer clips"
            )
        size = step.shrink(size)
    return channels, *size


def frames_after(plan: tuple[Step, ...], n_frames: Tensor) -> Tensor:
    """How many frames of the code hold anything of the first ``n_frames`` of each input.

    Parameters
    ----------
    plan : tuple of steps
    n_frames : Tensor of int64, shape (batch,)

    Returns
    -------
    Tensor of int64, shape (batch,)
    """
    for step in plan:
        if isinstance(step, DownStep):
            n_frames = -(-n_frames // step.stride[1])
        elif isinstance(step, PatchStep):
            beyond = (n_frames - step.length).clamp(min=0)
            n_frames = (1 + -(-beyond // step.hop)) * step.frames
    return n_frames


def frame_grid(plan: tuple[Step, ...]) -> tuple[float, float]:
    """Where the frames of the code lie among those of the features.

    Returns
    -------
    first, step : float
        The middle of the first, and the way from one to the next, in frames of the features.

    Raises
    ------
    ModelError
        When the encoder works on patches that overlap.
    """
    first, step = 0.0, 1.0
    for one in plan:
        if isinstance(one, PatchStep):
            raise ModelError("frames of the code: found patches that overlap, expected frames")
        if isinstance(one, DownStep):
            first += (one.size[1] - 1) / 2 * step
            step *= one.stride[1]
    return first, step


@dataclass
class Undo:
    """What is needed to undo one step down."""

    size: Size
    switches: Tensor | None = None
    """Position of each maximum in its flattened map, shape (batch, channel, mel, frame)."""
    map: Tensor | None = None
    """The map before the step, shape (batch, channel, mel, frame)."""


@dataclass
class Trace:
    """What an encoder records for the decoder, in the order of its steps down."""

    switches: bool = False
    maps: bool = False
    downs: list[Undo] = field(default_factory=list)
