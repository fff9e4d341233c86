"""A training step: ours against a plain eager float32 loop, on the paper's network and ``small``.

    python benchmarks/training_speed.py -o runs/bench/training_speed.json

Ours is ``fit`` as it is used: a shuffled stream of float16 features, the number format of the
machine. The plain loop reads float32 features through PyTorch's ``DataLoader``. The third
alternative computes its features in the data set with librosa, from wav files, as many programs
do. "Loop and loader" compares ``fit`` with a loop by hand in the same number format on batches
made beforehand: the rest is what our loop and loader cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import alternatives
import limits
import material
import measuring
from measuring import Row
from semisonic.data.batches import Stream
from semisonic.features.options import MelOptions
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.inspection import count_macs
from semisonic.models.notation import PAPER
from semisonic.models.sound_model import build
from semisonic.training.devices import choose_precision, lay_out
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

PART, N, BATCH, CLASSES = "training step", 192, 32, 10
N_STEPS = N // BATCH
SETTINGS = {
    "the paper's network": (PAPER, MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28)),
    "small": ("small", MelOptions()),
}
MakeNet = Callable[[], nn.Module]


class CrossEntropy(Objective):
    """A network and cross-entropy."""

    streams = ("labelled",)

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        batch = batches["labelled"]
        return {"loss": nn.functional.cross_entropy(self.net(batch.x).float(), batch.y)}


class FromFiles(Dataset[tuple[Tensor, int]]):
    """A data set that computes its features when they are asked for."""

    def __init__(self, files: list[Path], mel: MelOptions) -> None:
        self.files, self.mel = files, mel

    def __len__(self) -> int:
        return BATCH

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        features = alternatives.librosa_features(self.files[row % len(self.files)], self.mel)
        return torch.from_numpy(features)[None].float(), row % CLASSES


def by_hand(net: nn.Module, batches: object, precision: str = "") -> None:
    """A loop that records nothing."""
    if precision:
        lay_out(net, torch.device("cpu"), precision)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for x, y in batches:  # type: ignore[attr-defined]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = net(x)
        loss = nn.functional.cross_entropy(out.float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def measure_one(name: str, network: str, mel: MelOptions, wavs: list[Path]) -> list[Row]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(N, *mel.shape, generator=draw)
    y = torch.randint(0, CLASSES, (N,), generator=draw)
    stream = Stream(
        x.numpy().astype(np.float16), np.arange(N), batch_size=BATCH, seed=0, target=y.numpy()
    )

    def net() -> nn.Module:
        return _FromFeatures(network, mel)

    options = FitOptions(epochs=1)
    precision = choose_precision(options.precision, torch.device("cpu"))
    ready = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    slow = DataLoader(FromFiles(wavs, mel), batch_size=BATCH)
    ours, same = f"fit ({precision})", f"loop by hand, {precision}"
    times = measuring.take_turns(
        {
            ours: lambda: fit(CrossEntropy(net()), {"labelled": stream}, options, seed=0),
            "plain loop, fp32, DataLoader": lambda: by_hand(net(), loader),
            same: lambda: by_hand(net(), ready, precision),
        },
        7,
    )
    slowest = measuring.take_turns({"": lambda: by_hand(net(), slow)}, 3)[""]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    work = 3 * 2 * count_macs(net().model, mel.shape) * BATCH * N_STEPS
    limit = (
        f"3 x MACs at {str(kind).removeprefix('torch.')} peak",
        work / limits.convolution_flops(kind),
    )
    by_librosa = "DataLoader of librosa features"
    times[by_librosa] = [t * N_STEPS for t in (slowest * 3)[: len(times[ours])]]
    rows = measuring.compare(
        PART,
        name,
        times,
        ours=ours,
        n=N_STEPS,
        unit="ms a step",
        against=("plain loop, fp32, DataLoader", by_librosa),
        limit=limit,
    )
    rows += measuring.compare(
        PART,
        f"loop and loader, {name}",
        times,
        ours=ours,
        n=N_STEPS,
        unit="ms a step",
        against=(same,),
        limit=same,
    )
    return rows


class _FromFeatures(nn.Module):
    """A classifier that takes features."""

    def __init__(self, network: str, mel: MelOptions) -> None:
        super().__init__()
        self.model = build(network, mel, [f"class {i}" for i in range(CLASSES)])

    def forward(self, x: Tensor) -> Tensor:
        return self.model.from_features(x)


def measure(data: Path | None) -> list[Row]:
    rows = []
    with material.clips(data, ("wav",)) as tables:
        for name, (network, mel) in SETTINGS.items():
            rows += measure_one(name, network, mel, list(tables["wav"].paths))
    return rows


if __name__ == "__main__":
    measuring.main(__doc__, measure)
