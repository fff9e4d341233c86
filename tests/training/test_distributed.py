"""Two processes that share every batch train as one process does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_standins import ArrayStream, Classify, small_net, weights, without_seconds

from semisonic.training.loop import fit
from semisonic.training.options import FitOptions
from waiting import LONG

OPTIONS = FitOptions(epochs=3, optimizer="sgd", learning_rate=0.05, ema_decay=0.5, precision="fp32")
HERE = Path(__file__).parent
CHILD = """
    import sys
    from pathlib import Path
    sys.path[:0] = [{here!r}, {above!r}]
    import torch
    torch.set_num_threads(1)
    from test_distributed import run
    run(Path({folder!r}))
    run(Path({folder!r}))  # finished: returns at once
"""


class Thawing(Classify):
    """Its convolutions are frozen for the first half."""

    @property
    def body(self):
        return self.net[:3]


def run(folder):
    """What each process does, the single one too; the last batch is uneven: two clips and one."""
    content = {}
    for kind, freeze_epochs in ((Classify, 0.0), (Thawing, 1.5)):
        objective, place = kind(small_net()), folder / kind.__name__

        def validate(objective=objective, place=place):
            with (place / "validated.txt").open("a", encoding="utf-8") as file:
                file.write(os.environ.get("RANK", "0"))
            return {"loss": objective({"labelled": ArrayStream(seed=9).at(0)})["loss"].item()}

        place.mkdir(parents=True, exist_ok=True)
        options = replace(OPTIONS, freeze_epochs=freeze_epochs)
        streams = {"labelled": ArrayStream(n=43)}
        result = fit(objective, streams, options, seed=0, validate=validate, folder=place)
        found = {"weights": weights(objective), "history": without_seconds(result.history)}
        content[kind.__name__] = found
    torch.save(content, folder / f"process{os.environ.get('RANK', '0')}.pt")


def launch(folder):
    """Start two processes as torchrun does, with its environment variables."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    script = textwrap.dedent(
        CHILD.format(here=str(HERE), above=str(HERE.parent), folder=str(folder))
    )
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [child.wait(timeout=LONG) for child in children] == [0, 0]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(alone)
    launch(together)
    whole = torch.load(alone / "process0.pt", weights_only=True)
    for rank in range(2):
        shared = torch.load(together / f"process{rank}.pt", weights_only=True)
        for name, expected in whole.items():
            for weight, tensor in expected["weights"].items():
                assert torch.allclose(shared[name]["weights"][weight], tensor, atol=1e-5), weight
            for row, wanted in zip(shared[name]["history"], expected["history"], strict=True):
                assert row == pytest.approx(wanted, abs=1e-5)
    first = small_net().state_dict()["0.weight"]
    assert not torch.allclose(whole["Thawing"]["weights"]["net.0.weight"], first)  # it thawed
    assert (together / "Classify" / "validated.txt").read_text(
        encoding="utf-8"
    ) == "000"  # by the first, once
    assert (
        len(json.loads((together / "Classify" / "history.json").read_text(encoding="utf-8"))) == 3
    )
