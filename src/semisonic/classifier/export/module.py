"""The one module that is written to a file: samples or features in, scores out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.classifier.scoring import evaluating
from semisonic.core.errors import OptionError, SemisonicError
from semisonic.features.frontend import Waveform
from semisonic.features.logmel import (
    LogMel,
    delta,
    filters_of,
    hann,
    peak_normalised,
    preemphasise,
    to_decibel,
)
from semisonic.features.options import WAVE, MelOptions
from semisonic.models.decision import DecisionModule
from semisonic.models.sound_model import SoundModel

AUTO_INPUT, AUDIO, FEATURES = "auto", "audio", "features"
INPUTS = (AUTO_INPUT, AUDIO, FEATURES)
LONGEST_WINDOW = 2048
"""Samples. The filters of this window take 17 MB of memory, and grow by its square."""


class ConvolutionMel(nn.Module):
    """Log-mel with the transform as a convolution, for runtimes whose own is not exact.

    It equals :class:`semisonic.features.logmel.LogMel` within 0.02 dB of cells that can be heard.
    ONNX has an operator STFT, but ONNX Runtime computes it in another way for windows that are no
    power of two and is off by several dB there. Sines and cosines times the window as the filters
    of a convolution are exact for any window and take clips of any length. Only bins that a mel
    band looks at are computed.

    The file holds one turn of sine and cosine, and the rule which place of it each filter takes
    at each sample: 8 KB instead of 4 MB at a window of 1024. A runtime computes the filters once,
    when it loads the file.

    Parameters
    ----------
    options : MelOptions
        With the input "log-mel".
    """

    bins: Tensor
    turn: Tensor
    window: Tensor
    filters: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options
        filters = filters_of(options)
        bins = np.flatnonzero(filters.any(axis=0))
        angle = 2 * np.pi * np.arange(options.n_fft) / options.n_fft
        turn = np.stack((np.cos(angle), np.sin(angle)))
        self.register_buffer("bins", torch.from_numpy(bins))
        self.register_buffer("turn", torch.from_numpy(turn).float())
        self.register_buffer("window", hann(options.window).float())
        self.register_buffer("filters", torch.from_numpy(filters[:, bins]).float())

    def forward(self, wave: Tensor) -> Tensor:
        """Levels in dB, shape (batch, channel, mel, frame), of waves (batch, time)."""
        options = self.options
        if options.peak_normalize:
            wave = peak_normalised(wave)
        if options.preemphasis:
            wave = preemphasise(wave, options.preemphasis)
        x = wave[:, None]
        if options.center:
            x = F.pad(x, (options.window // 2, options.window // 2), mode="reflect")
        parts = F.conv1d(x, self.waves(), stride=options.hop_length).square()
        real, imaginary = parts.chunk(2, dim=1)  # (batch, bin, frame)
        magnitude = real + imaginary
        if options.power != 2:
            magnitude = magnitude.pow(options.power / 2)
        level = to_decibel(torch.matmul(self.filters, magnitude), options)
        if options.deltas:
            return torch.stack((level, delta(level)), dim=1)
        return level.unsqueeze(1)

    def waves(self) -> Tensor:
        """The filters, shape (2 * bin, 1, window): cosines of all bins, then sines."""
        time = torch.arange(self.options.window)
        place = (self.bins[:, None] * time) % self.options.n_fft  # whole numbers: exact
        return (self.turn[:, place].flatten(0, 1) * self.window)[:, None]


SCORES, EMBEDDINGS, LEVELS = "scores", "embeddings", "features"
"""Names of the outputs. Features are as the front end gives them, before they are rounded."""


class Exportable(nn.Module):
    """A classifier without anything that only Python can do.

    It takes the steps of prediction (:mod:`semisonic.classifier.windows`): samples are rounded to
    16 bits, features to float16, and logits become scores by the model's decision.

    Parameters
    ----------
    model : SoundModel
        It is copied, and stays as it is.
    kind : {"audio", "features"}
        What comes in: waves (batch, time) within -1 to 1 at the model's rate, or features
        (batch, channel, mel, frame) in dB, not standardised.
    outputs : sequence of str
        Of ``SCORES``, ``EMBEDDINGS`` and ``LEVELS``.
    """

    def __init__(self, model: SoundModel, kind: str, outputs: tuple[str, ...] = (SCORES,)) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().float().eval()
        self.decision = DecisionModule(
            model.decision, multi_label=model.multi_label, dtype=torch.float32
        )
        self.kind, self.outputs = kind, outputs
        self.mel: nn.Module = nn.Identity()
        if kind == AUDIO:
            options = model.mel
            self.mel = Waveform(options) if options.input == WAVE else ConvolutionMel(options)
        for part in (self.model.encoder, self.model.statistics):
            _write_out(part)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order, scores of shape (batch, n_classes)."""
        features = self.mel(as_stored(x) if self.kind == AUDIO else x)
        rounded = features.half().float()
        embedding = self.model.embed(rounded)
        statistics = self.model.statistics(rounded) if self.model.decision.unknown else None
        found = {
            SCORES: self.scores(self.model.head(embedding), statistics),
            EMBEDDINGS: embedding,
            LEVELS: features,
        }
        return tuple(found[name] for name in self.outputs)

    def scores(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        """From logits to scores, as prediction does."""
        scores: Tensor = self.decision(logits, statistics)[0]
        return scores

    def example(self) -> Tensor:
        """An input for two clips, to be traced with; its numbers do not matter."""
        mel = self.model.mel
        shape = (mel.n_samples,) if self.kind == AUDIO else mel.shape
        numbers = torch.Generator().manual_seed(0)
        return 0.1 * torch.randn(2, *shape, generator=numbers)


def _write_out(whole: nn.Module) -> None:
    """Replace spectrograms within a module by those that can be written to a file."""
    for part in list(whole.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, LogMel):
                setattr(part, name, ConvolutionMel(child.options))


def as_stored(wave: Tensor) -> Tensor:
    """Waves (batch, time) rounded to 16 bits; one beyond full scale is scaled, not clipped."""
    high = wave.amax(dim=1, keepdim=True) * (32768.0 / 32767.0)
    scale = torch.maximum(high, -wave.amin(dim=1, keepdim=True)).clamp(min=1.0)
    return torch.round(wave * (32768.0 / scale)) * (scale / 32768.0)


Outputs = dict[str, NDArray[np.float32]]
Runner = Callable[[NDArray[np.float32]], Outputs]
"""An exported file, or a module, at work: an array in, named arrays out."""


def onnx_runner(model: Path | bytes) -> Runner:
    """A session of ONNX Runtime on one thread of the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    source: Any = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [value.name for value in session.get_outputs()]

    def run(x: NDArray[np.float32]) -> Outputs:
        return dict(zip(outputs, session.run(outputs, {name: x}), strict=True))

    return run


def module_runner(module: torch.nn.Module, outputs: tuple[str, ...]) -> Runner:
    """A module of torch that gives a tuple."""

    def run(x: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            found = module(torch.from_numpy(x))
        return {name: one.numpy() for name, one in zip(outputs, found, strict=True)}

    return run


def choose_input(mel: MelOptions, wanted: str) -> tuple[str, str]:
    """What the file takes, and why it is not audio where that was not asked for.

    Raises
    ------
    OptionError
        When audio is asked for and the front end cannot be part of the file.
    """
    if wanted == FEATURES or mel.input == WAVE or mel.window <= LONGEST_WINDOW:
        return (FEATURES if wanted == FEATURES else AUDIO), ""
    reason = (
        f"the front end has a window of {mel.window} samples, and only windows of up to "
        f"{LONGEST_WINDOW} can be part of a file"
    )
    if wanted == AUTO_INPUT:
        return FEATURES, f"the file takes features, not audio: {reason}"
    raise OptionError(f"option 'input': found 'audio', but {reason}; take 'features'")


def one_length(model: SoundModel) -> str:
    """Why a model takes clips of one length only; empty if it takes longer ones as well."""
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return "recurrent layers are written out for one length"
    channels, rows, frames = model.mel.shape
    try:
        with evaluating(model):
            device = next(model.parameters()).device
            model.from_features(torch.zeros(1, channels, rows, 2 * frames + 1, device=device))
    except SemisonicError:
        return "the network takes clips of one length"
    return ""


def other_lengths(mel: MelOptions, kind: str) -> tuple[tuple[int, ...], ...]:
    """Shapes of inputs longer than a clip, on which a file for any length is tried."""
    if kind == AUDIO:
        n = mel.n_samples
        return (1, round(1.37 * n) | 1), (3, 2 * n + 1)
    channels, rows, frames = mel.shape
    return (1, channels, rows, round(1.37 * frames) | 1), (3, channels, rows, 2 * frames + 1)
