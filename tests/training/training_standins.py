"""Small stand-ins for models and streams, so that the loop is tested by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semisonic.core.seeds import generator, torch_generator
from semisonic.learning.objective import Objective


@dataclass(frozen=True)
class ArrayBatch:
    x: Tensor
    y: Tensor | None
    row: Tensor


class ArrayStream:
    """A shuffled pass over arrays a epoch, as a function of the step number."""

    def __init__(self, n=48, batch_size=8, seed=0, n_classes=3, shape=(1, 8, 10), fail_at=None):
        draw = torch_generator(seed, "data")
        self.y = torch.randint(0, n_classes, (n,), generator=draw)
        self.x = torch.randn(n, *shape, generator=draw)
        self.x[:, 0, 0] += 3.0 * self.y[:, None]  # so that there is something to learn
        self.batch_size, self.seed = batch_size, seed
        self.steps_per_epoch = -(-n // batch_size)
        self.fail_at: dict[int, BaseException] = fail_at or {}
        self.asked: list[int] = []

    def at(self, step, rank=0, world=1):
        self.asked.append(step)
        if step in self.fail_at:
            raise self.fail_at[step]
        epoch, place = divmod(step, self.steps_per_epoch)
        order = generator(self.seed, "order", epoch).permutation(len(self.x))
        rows = order[place * self.batch_size : (place + 1) * self.batch_size]
        row = torch.from_numpy(rows[rank::world].copy())
        return ArrayBatch(self.x[row], self.y[row], row)


def small_net(dropout=0.0, norm=False, seed=0, n_classes=3):
    """A convolutional network whose first weights depend on the seed only."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4) if norm else nn.Identity(),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4 * 4 * 5, n_classes),
        )


class Classify(Objective):
    streams = ("labelled",)

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, batches):
        batch = batches["labelled"]
        logits = self.net(batch.x).float()
        right = (logits.detach().argmax(1) == batch.y).float().mean()
        return {"loss": nn.functional.cross_entropy(logits, batch.y), "accuracy": right}


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same_weights(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]
