"""Size and speed of network designs; a part of ``network_designs.py``."""

from __future__ import annotations

import time
from typing import Any

import torch

from semisonic.features.options import MelOptions
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.sound_model import build
from semisonic.training.devices import PrecisionPlan, choose_plan
from semisonic.training.optimizer import make_optimizer
from semisonic.training.options import FitOptions

BATCH, CLASSES = 20, [f"class {i}" for i in range(10)]
LIMIT = 2.0
FIT = FitOptions(
    batch_size=BATCH,
    epoch_steps=20,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.01,
    schedule="onecycle",
    ema_decay=0.995,
    monitor="loss",
    restore_best=False,
)
Record = dict[str, Any]


def group_of(design: str) -> str:
    """What a design competes for: small, tiny or base."""
    return design.split("-")[0] if design.startswith(("tiny", "base")) else "small"


class Trial:
    """A design in training under one plan, and its evaluation."""

    def __init__(self, design: str, plan: PrecisionPlan) -> None:
        self.model = build(design, MelOptions(), CLASSES)
        self.plan, self.device = plan, torch.device("cpu")
        plan.lay_out(self.model)
        self.optimizer = make_optimizer(self.model, FIT)
        numbers = torch.Generator().manual_seed(0)
        self.x = torch.randn(BATCH, *MelOptions().shape, generator=numbers) * 20 - 40
        self.y = torch.randint(0, len(CLASSES), (BATCH,), generator=numbers)

    def step(self) -> float:
        """Milliseconds of processor time of a training step."""
        self.model.train()
        start = time.process_time()
        with self.plan.autocast(self.device):
            logits = self.model.from_features(self.x).float()
        loss = torch.nn.functional.cross_entropy(logits, self.y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return 1e3 * (time.process_time() - start)

    @torch.inference_mode()
    def forward(self, n: int) -> float:
        """Milliseconds of processor time a clip, for ``n`` clips at once."""
        self.model.eval()
        start = time.process_time()
        with self.plan.autocast(self.device):
            self.model.from_features(self.x[:n])
        return 1e3 * (time.process_time() - start) / n


def measure(designs: list[str], rounds: int) -> dict[str, Record]:
    """Size and speed of each design."""
    torch.set_num_threads(1)
    plans = [PrecisionPlan(bf16, last) for bf16 in (False, True) for last in (False, True)]
    chosen = str(choose_plan(FIT, torch.device("cpu")))
    trials = {name: {str(plan): Trial(name, plan) for plan in plans} for name in designs}
    steps: dict[tuple[str, str], list[float]] = {}
    forwards: dict[tuple[str, int], list[float]] = {}
    for number in range(-2, rounds):
        for name, by_plan in trials.items():
            for plan, trial in by_plan.items():
                ms = min(trial.step(), trial.step())  # the second finds warm caches
                if number >= 0:  # the first rounds warm up
                    steps.setdefault((name, plan), []).append(ms)
    for number in range(-2, rounds):
        for name, by_plan in trials.items():
            for n in (1, BATCH):
                ms = min(by_plan[chosen].forward(n) for _ in range(3))
                if number >= 0:
                    forwards.setdefault((name, n), []).append(ms)
    rows = {}
    for name, by_plan in trials.items():
        model = next(iter(by_plan.values())).model
        rows[name] = {
            "parameters": count_parameters(model),
            "million_macs": round(count_macs(model, MelOptions().shape) / 1e6, 2),
            "plan": chosen,
            "step_ms": round(min(steps[name, chosen]), 2),
            "step_ms_by_plan": {p: round(min(steps[name, p]), 2) for p in by_plan},
            "forward_ms_one_clip": round(min(forwards[name, 1]), 3),
            "forward_ms_a_clip_of_20": round(min(forwards[name, BATCH]), 3),
        }
    return rows


def too_slow(timings: dict[str, Record]) -> dict[str, str]:
    """The designs for the place of ``small`` that take too long, and how long."""
    base = timings["small"]["step_ms"]
    return {
        name: f"{row['step_ms'] / base:.1f} times the step of small"
        for name, row in timings.items()
        if group_of(name) == "small" and row["step_ms"] > LIMIT * base
    }
