"""Encoders: from features to a smaller map, with the steps that a decoder must undo.

:class:`ConvEncoder` is the encoder of an architecture in the notation. Differences from the
original program (DTU 02456 project 12, 2017) do not change the function: ReLU is applied after the
pools that follow a convolution, because the maximum of a window and the ReLU commute and four
times fewer values are computed. A switch is then the place of the largest value before the ReLU;
if the ReLU would have made a whole window zero, that is one of the tied places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.notation import Architecture, Conv, Size


@dataclass(frozen=True)
class Step:
    """The effect of a layer on the size of a map; by default none."""

    def shrink(self, size: Size) -> Size:
        """The size (mel, frame) after the step."""
        return size

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """Number of frames that depend on the first ``n_frames``, int64 of shape (batch,)."""
        return n_frames


@dataclass(frozen=True)
class ConvStep(Step):
    """A convolution; its stride is a :class:`DownStep` after it."""

    in_channels: int
    out_channels: int
    kernel: Size


@dataclass(frozen=True)
class DownStep(Step):
    """Windows of ``size`` every ``stride``; with ``ceil`` a last, partial window counts.

    ``map_channels`` are those of the map before the step if it can be a skip connection, as in a
    U-Net; otherwise 0.
    """

    size: Size
    stride: Size
    ceil: bool = False
    map_channels: int = 0

    @property
    def overlaps(self) -> bool:
        """Whether windows overlap."""
        return self.size[0] > self.stride[0] or self.size[1] > self.stride[1]

    def shrink(self, size: Size) -> Size:
        """The size after the step, as in torch."""
        (mel, a, i), (frame, b, j) = zip(size, self.size, self.stride, strict=True)
        return _count_windows(mel, a, i, self.ceil), _count_windows(frame, b, j, self.ceil)

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """Partial windows count."""
        return -(-n_frames // self.stride[1])


def _count_windows(n: int, size: int, stride: int, ceil: bool) -> int:
    if not ceil:
        return (n - size) // stride + 1
    count = -(-(n - size) // stride) + 1
    return count - 1 if (count - 1) * stride >= n else count  # none starts outside


@dataclass(frozen=True)
class PatchStep(Step):
    """A whole network on patches of ``length`` frames, ``hop`` apart.

    The map of a patch has ``rows`` and ``frames``; maps of a clip are side by side. There is at
    least one patch, and the last one may extend beyond the end of the clip.
    """

    length: int
    hop: int
    rows: int
    frames: int

    def count(self, n_frames: int) -> int:
        """Patches of a clip."""
        # Rounded up without a negative number, which ONNX would divide in another way.
        return 1 + (max(n_frames - self.length, 0) + self.hop - 1) // self.hop

    def shrink(self, size: Size) -> Size:
        """The maps of all patches."""
        return self.rows, self.count(size[1]) * self.frames

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """Those of the patches that begin within the clip."""
        beyond = (n_frames - self.length).clamp(min=0)
        return (1 + -(-beyond // self.hop)) * self.frames


Plan = tuple[Step, ...]


def frame_grid(plan: Plan) -> tuple[float, float]:
    """The positions of frames of the code among frames of the features.

    Returns
    -------
    first, step : float
        The centre of the first, and the step, in frames of the features.

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


class SameConv(nn.Conv2d):
    """``nn.Conv2d`` whose output has the size of its input (mel, frame).

    Zeros are padded around the map; for an even filter, one more below and to the right, as with
    ``padding="same"``, which warns about it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Size) -> None:
        around = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        super().__init__(in_channels, out_channels, kernel, padding=around)
        self.extra = (0, 1 - kernel[1] % 2, 0, 1 - kernel[0] % 2)

    def forward(self, x: Tensor) -> Tensor:
        """The convolved map, shape (batch, out_channels, mel, frame)."""
        return super().forward(F.pad(x, self.extra) if any(self.extra) else x)


class Encoder(nn.Module):
    """Base of all encoders: standardised features to a map, its code.

    If a frame of the code depends on more than its surroundings in time, ``no_frames`` says why.
    With ``keeps_weights``, the initial weights are those drawn by its own code. An encoder that is
    not ``trainable`` runs outside torch.

    Attributes
    ----------
    in_channels, out_channels : int
    plan : tuple of Step
        The effect of its layers on the size.
    """

    in_channels: int
    out_channels: int
    plan: Plan
    has_switches = False
    keeps_weights = False
    trainable = True
    no_frames = ""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code of standardised features.

        Parameters
        ----------
        x : Tensor, shape (batch, in_channels, mel, frame)
        n_frames : Tensor of int64, shape (batch,), or None
            The number of valid frames of each clip, if clips were padded. Only encoders whose
            frames depend on all others use it.

        Returns
        -------
        Tensor, shape (batch, out_channels, fewer mel, fewer frames)
        """
        raise NotImplementedError

    def weight_layers(self) -> tuple[nn.Module, ...]:
        """The modules with weights, first to last.

        Lists of modules and inner encoders are expanded; blocks and stages are not.
        """
        layers: list[nn.Module] = []
        for child in self.children():
            if isinstance(child, Encoder):
                layers += child.weight_layers()
            else:
                layers += child if isinstance(child, (nn.ModuleList, nn.Sequential)) else [child]
        return tuple(layer for layer in layers if any(True for _ in layer.parameters()))

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the code of an input of that size.

        Raises
        ------
        ModelError
            When a map is smaller than a window.
        """
        size = (n_mels, n_frames)
        for number, step in enumerate(self.plan, 1):
            smaller = step.shrink(size)
            if isinstance(step, DownStep) and min(smaller) < 1:
                raise ModelError(
                    f"{type(self).__name__}: layer {number} pools windows of "
                    f"{step.size[0]}x{step.size[1]}, but the map is only {size[0]}x{size[1]} "
                    "(mel x frame) there; use fewer or smaller pools, more mel bands or longer "
                    "clips"
                )
            size = smaller
        return self.out_channels, *size

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """Number of valid frames of the code for the first ``n_frames`` of each input."""
        for step in self.plan:
            n_frames = step.frames_after(n_frames)
        return n_frames


@dataclass
class Undo:
    """The data to undo one step down."""

    size: Size
    switches: Tensor | None = None
    """Position of each maximum in its flattened map, shape (batch, channel, mel, frame)."""
    map: Tensor | None = None
    """The map before the step, shape (batch, channel, mel, frame)."""


@dataclass
class Trace:
    """The encoder's records for the decoder, in the order of its steps down."""

    switches: bool = False
    maps: bool = False
    downs: list[Undo] = field(default_factory=list)


class Part(nn.Module):
    """A part of a mirrored encoder, called with a map and, for a decoder, the record to fill."""

    plan: Plan


class MirroredEncoder(Encoder):
    """Parts in sequence, of which a decoder is the mirror image.

    ``has_switches``: whether all steps down are max-pools whose positions are recorded.
    """

    def __init__(self, in_channels: int, parts: Iterable[Part]) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.part_plans = tuple(part.plan for part in parts)
        self.plan = tuple(step for plan in self.part_plans for step in plan)
        self.out_channels = [s.out_channels for s in self.plan if isinstance(s, ConvStep)][-1]

    def run_part(self, number: int, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after one part, from the map before it."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, n_frames: Tensor | None = None, record: Trace | None = None
    ) -> Tensor:
        """The code; fills the record if there is one."""
        for number in range(len(self.part_plans)):
            x = self.run_part(number, x, record)
        return x


def max_pool(x: Tensor, step: DownStep, record: Trace | None) -> Tensor:
    """Max-pool a map; record its size and, on request, the switches and the map.

    ``x`` may be a map before its ReLU; the recorded map is the one after it.
    """
    if record is not None:
        map_ = F.relu(x) if record.maps else None
        record.downs.append(Undo((x.shape[2], x.shape[3]), map=map_))
        if record.switches:
            pooled, record.downs[-1].switches = F.max_pool2d_with_indices(
                x, step.size, step.stride, ceil_mode=step.ceil
            )
            return pooled
    return F.max_pool2d(x, step.size, step.stride, ceil_mode=step.ceil)


class ConvStage(Part):
    """A convolution, its pools, then ReLU; pools at the start of a network come before it."""

    def __init__(
        self, conv: ConvStep, norm: bool, before: Sequence[DownStep], pools: Sequence[DownStep]
    ) -> None:
        super().__init__()
        self.before, self.pools = before, pools
        self.plan = (*before, conv, *pools)
        self.conv = SameConv(conv.in_channels, conv.out_channels, conv.kernel)
        self.norm = nn.BatchNorm2d(conv.out_channels) if norm else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after this stage."""
        for pool in self.before:
            x = max_pool(x, pool, record)
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        for pool in self.pools:
            x = max_pool(x, pool, record)
        y: Tensor = self.relu(x)
        return y


class ConvEncoder(MirroredEncoder):
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
        channels, before = in_channels, list[DownStep]()
        convs: list[tuple[ConvStep, bool, list[DownStep]]] = []
        for layer in architecture.maps:
            if isinstance(layer, Conv):
                convs.append((ConvStep(channels, layer.filters, layer.kernel), layer.norm, []))
                channels = layer.filters
            else:
                pools = convs[-1][2] if convs else before
                pools.append(DownStep(layer.size, layer.stride, map_channels=channels))
        stages = [
            ConvStage(conv, norm, () if number else before, pools)
            for number, (conv, norm, pools) in enumerate(convs)
        ]
        super().__init__(in_channels, stages)
        self.stages = nn.ModuleList(stages)

    def run_part(self, number: int, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map after one stage."""
        y: Tensor = self.stages[number](x, record)
        return y
