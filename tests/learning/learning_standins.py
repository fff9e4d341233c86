"""Small stand-ins for models and batches, so that objectives are tested by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semisonic.features.options import MelOptions
from semisonic.learning.objective import Objective
from semisonic.models.pretrained import (
    AutoEncoder,
    PretrainedEncoder,
    build_autoencoder,
    build_encoder,
)


@dataclass(frozen=True)
class Clips:
    """A batch."""

    x: Tensor
    y: Tensor | None = None


class Linear(nn.Module):
    """A plain module: logits from features."""

    def __init__(self, n_classes=4, multi_label=False, dtype=torch.float32, norm=False, seed=0):
        super().__init__()
        self.dtype = dtype
        self.told = {"n_classes": n_classes, "multi_label": multi_label}  # to an objective
        self.norm = nn.BatchNorm1d(6) if norm else nn.Identity()
        self.layer = nn.Linear(6, n_classes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            nn.init.normal_(self.layer.weight)
            nn.init.uniform_(self.layer.bias, -0.4, 0.4)

    def forward(self, x):
        return self.layer(self.norm(x.flatten(1))).to(self.dtype)


class Sure(Linear):
    """A model whose logits are the features themselves: sure of what it is given."""

    def forward(self, x):
        return x.flatten(1) + 0.0 * self.layer(torch.zeros(len(x), 6))


class Plus(nn.Module):
    """A view that adds a number, and counts its calls."""

    def __init__(self, number=0.0):
        super().__init__()
        self.number, self.calls = number, 0

    def forward(self, x):
        self.calls += 1
        return x + self.number


def features(n, seed=0):
    return torch.randn(n, 1, 2, 3, generator=torch.Generator().manual_seed(seed))


MEL = MelOptions(sample_rate=8000, duration=0.8, n_fft=512, hop_length=256, n_mels=16)

DELTAS = MelOptions(
    sample_rate=8000, duration=0.8, n_fft=512, hop_length=256, n_mels=16, deltas=True
)

NET = "(6)3c-2p-(8)3cbn-2p"


class Jitter(nn.Module):
    """A plain view: some noise, a level of its own for each clip, half of the frames."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            raise AssertionError("views must be made in training mode")
        gain = 3 * torch.randn(len(x), 1, 1, 1)
        start = int(torch.randint(0, x.shape[3] // 2 + 1, ()))
        return (x + gain + torch.randn_like(x))[..., start : start + x.shape[3] // 2]


def clips(n: int = 24, mel: MelOptions = MEL, seed: int = 0) -> Tensor:
    """Clips in dB that differ: each is loud in a band of its own and at a time of its own."""
    draw = torch.Generator().manual_seed(seed)
    x = -50 + 4 * torch.randn(n, *mel.shape, generator=draw)
    for number, clip in enumerate(x):
        clip[:, number % 13 : number % 13 + 3] += 20
        clip[..., 2 * (number % 7) : 2 * (number % 7) + 8] += 12
    return x


def autoencoder(mel: MelOptions = MEL, decoder: str = "upsample", net: str = NET) -> AutoEncoder:
    """With statistics fitted."""
    network = build_autoencoder(net, mel, decoder=decoder, seed=1)
    network.frontend.standardize.fit(clips(mel=mel))
    return network


def encoder(mel: MelOptions = MEL, net: str = NET) -> PretrainedEncoder:
    """With statistics fitted."""
    network = build_encoder(net, mel, seed=1)
    network.frontend.standardize.fit(clips(mel=mel))
    return network


def loss_of(objective: Objective, x: Tensor, seed: int = 5) -> float:
    """The loss in evaluation, with the same random numbers each time."""
    objective.eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        loss = float(objective({"unlabelled": Clips(x)})["loss"])
    objective.train()
    return loss


def learn(
    objective: Objective,
    x: Tensor,
    steps: int = 60,
    rate: float = 5e-3,
    each: Callable[[], None] = lambda: None,
) -> None:
    """A few steps of plain training."""
    torch.manual_seed(0)
    objective.train()
    weights = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, rate)
    for _ in range(steps):
        loss = objective({"unlabelled": Clips(x)})["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.after_step()
        each()
