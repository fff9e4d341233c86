"""What the training loop costs over a bare torch loop, on the paper's small network.

Both train conv5x64-pool-conv3x64-pool-conv3x64-pool-dense128-dense10 on 1x28x36, batch 32,
on the same batches, in the same number format. Runs alternate, so that a load on the machine
meets both, and the processor time of the process is counted beside the time on the wall,
which on a busy machine measures the neighbours. Ratios are medians over neighbouring runs.

``fit`` is measured by itself, on batches made beforehand as the loop by hand has them, and
as it is used: with a shuffled stream from float16 features, checkpoints and a progress bar.
The fixed cost is found with a network of one small layer: what a step of the loop takes
more than a step by hand, whatever the network.

    python benchmarks/loop_overhead.py -o benchmarks/results/loop_overhead.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from semisonic.base import progress
from semisonic.base.files import write_json
from semisonic.data.streams import Stream
from semisonic.learning import BatchLike, Objective
from semisonic.training import FitOptions, commit, fit, machine, versions

N_CLIPS, BATCH = 320, 32
PLANS = {"fp32": ("fp32", "off"), "bf16+channels_last": ("bf16", "on")}
MakeNet = Callable[[], nn.Module]
Seconds = tuple[float, float]  # a step: on the wall, of the processor


@dataclass(frozen=True)
class Batch:
    x: Tensor
    y: Tensor
    row: Tensor


class Ready:
    """The batches of an epoch, made beforehand, so that only the loop is measured."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        x = torch.randn(N_CLIPS, 1, 28, 36, generator=draw)
        y = torch.randint(0, 10, (N_CLIPS,), generator=draw)
        rows = torch.arange(N_CLIPS)
        parts = zip(x.split(BATCH), y.split(BATCH), rows.split(BATCH), strict=True)
        self.batches = [Batch(*part) for part in parts]
        self.steps_per_epoch = len(self.batches)
        self.x, self.y = x, y

    def shuffled(self) -> Stream:
        """The same data as a training reads them: drawn anew each epoch from float16."""
        features = self.x.numpy().astype(np.float16)
        rows = np.arange(N_CLIPS)
        return Stream(features, rows, batch_size=BATCH, seed=0, target=self.y.numpy())

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        return self.batches[step % self.steps_per_epoch]


class Small(Objective):
    """A network and cross-entropy."""

    streams = ("labelled",)

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        batch = batches["labelled"]
        return {"loss": nn.functional.cross_entropy(self.net(batch.x).float(), batch.y)}


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 3 * 4, 128), nn.Linear(128, 10)),
    )


def tiny_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.MaxPool2d(14), nn.Flatten(), nn.Linear(4, 10))


def bare(stream: Ready, n_epochs: int, plan: str, make: MakeNet) -> Seconds:
    """A loop by hand, which records nothing."""
    net = make()
    if plan != "fp32":
        net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    start = time.perf_counter(), time.process_time()
    for _ in range(n_epochs):
        for batch in stream.batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=plan != "fp32"):
                out = net(batch.x)
            loss = nn.functional.cross_entropy(out.float(), batch.y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return since(start, n_epochs * len(stream.batches))


def ours(stream: Ready | Stream, n_epochs: int, plan: str, make: MakeNet, *, full: bool) -> Seconds:
    """``fit``; ``full``: with checkpoints in a folder and a progress bar."""
    precision, channels_last = PLANS[plan]
    options = FitOptions(epochs=n_epochs, precision=precision, channels_last=channels_last)
    objective = Small(make())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) if full else None
        progress.show(full)
        start = time.perf_counter(), time.process_time()
        fit(objective, {"labelled": stream}, options, seed=0, folder=place)
        seconds = since(start, n_epochs * stream.steps_per_epoch)
        progress.show(False)
    return seconds


def since(start: Seconds, n_steps: int) -> Seconds:
    return (time.perf_counter() - start[0]) / n_steps, (time.process_time() - start[1]) / n_steps


def measure(plan: str, make: MakeNet, rounds: int, n_epochs: int) -> dict[str, list[Seconds]]:
    """Seconds a step of each run of each loop; the order rotates from round to round."""
    stream = Ready()
    real = stream.shuffled()
    loops: dict[str, Callable[[], Seconds]] = {
        "bare": lambda: bare(stream, n_epochs, plan, make),
        "fit": lambda: ours(stream, n_epochs, plan, make, full=False),
        "fit with stream, folder, bar": lambda: ours(real, n_epochs, plan, make, full=True),
    }
    names = list(loops)
    times: dict[str, list[Seconds]] = {name: [] for name in names}
    for number in range(-1, rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            seconds = loops[name]()
            if number >= 0:  # the first round warms up
                times[name].append(seconds)
    return times


def summarise(times: dict[str, list[Seconds]]) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, runs in times.items():
        row[f"{name}: wall ms"] = 1e3 * statistics.median(wall for wall, _ in runs)
        row[f"{name}: cpu ms"] = 1e3 * statistics.median(cpu for _, cpu in runs)
        if name != "bare":
            pairs = list(zip(runs, times["bare"], strict=True))
            row[f"{name}: wall ratio"] = statistics.median(a[0] / b[0] for a, b in pairs)
            row[f"{name}: extra cpu ms"] = 1e3 * statistics.median(a[1] - b[1] for a, b in pairs)
            row[f"{name}: cpu ratio"] = statistics.median(a[1] / b[1] for a, b in pairs)
    return {name: round(value, 4) for name, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each loop [9]")
    parser.add_argument("--epochs", type=int, default=30, help="epochs (10 steps) a run [30]")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        f"paper's network, {plan}": summarise(
            measure(plan, small_net, arguments.rounds, arguments.epochs)
        )
        for plan in PLANS
    }
    fixed = measure("fp32", tiny_net, arguments.rounds, 10 * arguments.epochs)
    results["one small layer, fp32 (fixed cost)"] = summarise(fixed)
    for title, row in results.items():
        print(title)
        for name, value in row.items():
            print(f"  {name:<42} {value:8.3f}")
    if arguments.output is not None:
        record = {
            "command": " ".join(["python", *sys.argv]),
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "threads": 1,
            "rounds": arguments.rounds,
            "steps_a_run": arguments.epochs * N_CLIPS // BATCH,
            "results": results,
        }
        write_json(arguments.output, record)


if __name__ == "__main__":
    main()
