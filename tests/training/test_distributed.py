"""Two processes that share every batch train as one process does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from training_standins import ArrayStream, Classify, small_net, weights, without_seconds

from semisonic.training.devices import World, join
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions
from waiting import LONG

OPTIONS = FitOptions(
    epochs=3,
    optimizer="sgd",
    learning_rate=0.05,
    ema_decay=0.5,
    precision="fp32",
)
N_CLIPS = 43  # the last batch is uneven: two clips and one

HERE = Path(__file__).parent
CHILD = """
    import os, sys
    from pathlib import Path
    sys.path[:0] = [{here!r}, {above!r}]
    import torch
    torch.set_num_threads(1)
    from {module} import run
    run(Path({folder!r}))
    run(Path({folder!r}))  # finished: returns at once
"""


def run(folder):
    """What each process does; the single one too."""
    objective = Classify(small_net())
    stream = ArrayStream(n=N_CLIPS)

    def validate():
        with (folder / "validated.txt").open("a") as file:
            file.write(os.environ.get("RANK", "0"))
        return {"loss": objective({"labelled": ArrayStream(seed=9).at(0)})["loss"].item()}

    result = fit(objective, {"labelled": stream}, OPTIONS, seed=0, validate=validate, folder=folder)
    rank = os.environ.get("RANK", "0")
    content = {"weights": weights(objective), "history": without_seconds(result.history)}
    torch.save(content, folder / f"process{rank}.pt")


def launch(folder, n=2, module="test_distributed"):
    """Start processes as torchrun does, with its environment variables."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    script = textwrap.dedent(
        CHILD.format(here=str(HERE), above=str(HERE.parent), folder=str(folder), module=module)
    )
    world = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(n)
    ]
    assert [child.wait(timeout=LONG) for child in children] == [0] * n


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    run(alone)
    launch(together)
    expected = torch.load(alone / "process0.pt", weights_only=True)
    for rank in range(2):
        found = torch.load(together / f"process{rank}.pt", weights_only=True)
        for name, tensor in expected["weights"].items():
            assert torch.allclose(found["weights"][name], tensor, atol=1e-5), name
        for row, wanted in zip(found["history"], expected["history"], strict=True):
            assert row == pytest.approx(wanted, abs=1e-5)
    assert (together / "validated.txt").read_text() == "000"  # by the first process, once
    assert len(json.loads((together / "history.json").read_text())) == 3


def test_alone_nothing_is_asked_of_others(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = join(torch.device("cpu"))
    assert world == World(0, 1)
    assert world.share(3, torch.device("cpu")) == 1.0
    assert world.sum([1.0, 2.0], torch.device("cpu")) == [1.0, 2.0]
    assert world.tell("this") == "this"
