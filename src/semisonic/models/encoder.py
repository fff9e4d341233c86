"""Encoders, from features to a map of fewer cells, and the steps that a decoder must undo.

:class:`ConvEncoder` is the encoder that an architecture of the notation describes. Differences from
the seed (DTU 02456 project 12, 2017), none of which changes the function:
ReLU is applied after the pools that follow a convolution, because the maximum of a window
and the ReLU may change places and four times fewer values are touched. A switch is then the
place of the largest value before the ReLU; where the ReLU would have made a whole window
zero, that is one of the tied places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.notation import Architecture, Conv, MaxPooling, Size


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


Step = ConvStep | DownStep | PatchStep


def map_shape(
    plan: tuple[Step, ...], size: Size, what: str = "architecture"
) -> tuple[int, int, int]:
    """Shape of the last map for an input of a size.

    Parameters
    ----------
    plan : tuple of steps
    size : (mel, frame)
    what : str
        What error messages call the network.

    Returns
    -------
    (channel, mel, frame)

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


class SameConv(nn.Conv2d):
    """``nn.Conv2d`` whose output has the size of its input (mel, frame).

    The zeros stand around the map; of an even filter one more below and to the right, as
    ``padding="same"`` does, which warns about it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Size) -> None:
        around = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        super().__init__(in_channels, out_channels, kernel, padding=around)
        self.extra = (0, 1 - kernel[1] % 2, 0, 1 - kernel[0] % 2)

    def forward(self, x: Tensor) -> Tensor:
        """The convolved map, shape (batch, out_channels, mel, frame)."""
        return super().forward(F.pad(x, self.extra) if any(self.extra) else x)


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

    def set_sample_rate(self, sample_rate: int) -> None:
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
                "it without a decoder ('simclr'), or take another network"
            )

    def weight_layers(self) -> tuple[nn.Module, ...]:
        """The modules that hold the weights, first to last.

        Lists of modules and encoders within are opened; blocks and stages are not.
        """
        layers: list[nn.Module] = []
        for child in self.children():
            if isinstance(child, Encoder):
                layers += child.weight_layers()
            else:
                layers += child if isinstance(child, (nn.ModuleList, nn.Sequential)) else [child]
        return tuple(layer for layer in layers if any(True for _ in layer.parameters()))

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


def max_pool(x: Tensor, step: DownStep, record: Trace | None) -> Tensor:
    """Max-pool a map; remember its size, the switches and the map as far as asked.

    ``x`` may be a map before its ReLU; the map remembered is the one after it.
    """
    if record is None:
        return F.max_pool2d(x, step.size, step.stride, ceil_mode=step.ceil)
    undo = Undo((x.shape[2], x.shape[3]), map=F.relu(x) if record.maps else None)
    record.downs.append(undo)
    if not record.switches:
        return F.max_pool2d(x, step.size, step.stride, ceil_mode=step.ceil)
    pooled, undo.switches = F.max_pool2d_with_indices(
        x, step.size, step.stride, ceil_mode=step.ceil
    )
    return pooled


class ConvStage(nn.Module):
    """A convolution (none when pools open the architecture), its pools, then ReLU."""

    def __init__(self, conv: ConvStep | None, norm: bool, pools: tuple[DownStep, ...]) -> None:
        super().__init__()
        self.pools = pools
        self.conv: SameConv | None = None
        self.norm: nn.BatchNorm2d | None = None
        if conv is not None:
            self.conv = SameConv(conv.in_channels, conv.out_channels, conv.kernel)
            self.norm = nn.BatchNorm2d(conv.out_channels) if norm else None
        self.relu = nn.ReLU() if conv is not None else None

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after this stage."""
        if self.conv is not None:
            x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        for pool in self.pools:
            x = max_pool(x, pool, record)
        return x if self.relu is None else self.relu(x)


class ConvEncoder(Encoder):
    """Convolutions and max-pools in the order of an architecture.

    Parameters
    ----------
    architecture : Architecture
        Its dense layers are not part of the encoder.
    in_channels : int
        1, or 2 with deltas.
    """

    has_switches = True

    def __init__(self, architecture: Architecture, in_channels: int = 1) -> None:
        super().__init__()
        self.architecture = architecture
        self.in_channels = in_channels
        stages: list[tuple[ConvStep | None, bool, list[DownStep]]] = []
        plan: list[Step] = []
        channels = in_channels
        for layer in architecture.maps:
            if isinstance(layer, Conv):
                conv = ConvStep(channels, layer.filters, layer.kernel)
                channels = layer.filters
                stages.append((conv, layer.norm, []))
                plan.append(conv)
            elif isinstance(layer, MaxPooling):
                pool = DownStep(channels, layer.size, layer.stride)
                if not stages:
                    stages.append((None, False, []))
                stages[-1][2].append(pool)
                plan.append(pool)
        self.plan = tuple(plan)
        self.out_channels = channels
        self.stages = nn.ModuleList(ConvStage(conv, norm, tuple(p)) for conv, norm, p in stages)

    @property
    def part_plans(self) -> tuple[tuple[Step, ...], ...]:
        """A part is a convolution with the pools after it; opening pools belong to the first."""
        convs = [i for i, step in enumerate(self.plan) if isinstance(step, ConvStep)]
        bounds = [0, *convs[1:], len(self.plan)]
        return tuple(self.plan[a:b] for a, b in pairwise(bounds))

    def run_part(self, number: int, x: Tensor, record: Trace | None) -> Tensor:
        """The map after one part, from the map before it."""
        opens_with_pools = len(self.stages) - len(self.part_plans)
        first = number + opens_with_pools if number else 0
        for stage in self.stages[first : number + opens_with_pools + 1]:
            x = stage(x, record)
        return x

    def extra_repr(self) -> str:
        """The architecture."""
        return str(Architecture(tuple(self.architecture.maps)))
