"""Small networks with weights that matter, for tests of exported files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from tiny_sounds import KINDS, MEL, sound

from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.windows import features_of_wave
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.registry import names
from semisonic.models.sound_model import SoundModel, build

ANY_LENGTH = "(8)3c-2p-(8)3c-2p-gp-16fcr"


def mel_for(name: str) -> MelOptions:
    """The smallest front end of use to a network."""
    if name.startswith("piczak"):
        return replace(
            MEL,
            sample_rate=22050,
            duration=20480 / 22050,
            n_fft=1024,
            hop_length=512,
            n_mels=60,
            deltas=True,
        )
    if name in ("cnn2", "cnn3"):
        return replace(MEL, n_fft=512, hop_length=30, n_mels=64)
    if any(name.startswith(one) for one in names(waves=True)):
        return MelOptions(sample_rate=8000, duration=0.75, input="wave")
    if name == "yamnet":  # clips of more than one patch
        return replace(MEL, n_mels=32, hop_length=32)
    return replace(MEL, n_mels=32, hop_length=64)


def model_of(name: str, mel: MelOptions | None = None, *, multi_label: bool = False) -> SoundModel:
    """A network whose scores differ between sounds: weights, norms and statistics are drawn."""
    model = build(name, mel or mel_for(name), KINDS, multi_label=multi_label)
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("running_mean"):
                value.copy_(0.1 * torch.randn(value.shape, generator=numbers))
            elif key.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=numbers))
        wave = model.mel.input == "wave"
        model.frontend.standardize.mean.fill_(0.0 if wave else -45.0)
        model.frontend.standardize.std.fill_(0.2 if wave else 20.0)
    return model.eval()


def waves(mel: MelOptions, n: int = 6) -> NDArray[np.float32]:
    """Sounds of the model's length, one a row."""
    found = []
    for number in range(n):
        wave = sound(KINDS[number % 3], number, mel.duration + 0.01)
        found.append(np.resize(wave, mel.n_samples))
    return np.stack(found)


def scores_of(model: SoundModel, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """What prediction says of windows, one a row."""
    return score_rows(model, features_of(model, x), np.arange(len(x)))


def embeddings_of(model: SoundModel, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Their embeddings, as prediction makes them."""
    return embed_rows(model, features_of(model, x), np.arange(len(x)))


def features_of(model: SoundModel, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Their features, as prediction makes them."""
    extractor = make_extractor(model.mel)
    return np.stack([features_of_wave(wave, model.mel, extractor) for wave in x])
