"""The one module that is written to a file: samples or features in, scores out.

It takes the very steps of prediction (:mod:`semisonic.inference.pipeline`): samples are rounded to
16 bits, features to float16, and logits become scores as the model says.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from semisonic.features import LogMel
from semisonic.features.options import WAVE
from semisonic.features.wave import Waveform
from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.convolution import ConvolutionMel
from semisonic.models import SoundModel
from semisonic.models.decision_module import DecisionModule

SCORES, EMBEDDINGS, LEVELS = "scores", "embeddings", "features"
"""Names of the outputs. Features are as the front end gives them, before they are rounded."""


class Exportable(nn.Module):
    """A classifier without anything that only Python can do.

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
        reads_statistics = self.model.decision.unknown.reads_statistics
        statistics = self.model.statistics(rounded) if reads_statistics else None
        found = {
            SCORES: self.scores(self.model.head(embedding), embedding, statistics),
            EMBEDDINGS: embedding,
            LEVELS: features,
        }
        return tuple(found[name] for name in self.outputs)

    def scores(self, logits: Tensor, embedding: Tensor, statistics: Tensor | None) -> Tensor:
        """From logits to scores, as prediction does."""
        scores: Tensor = self.decision(logits, embedding, statistics)[0]
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
