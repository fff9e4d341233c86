"""Several processes of a Ray cluster that train one network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from far_work import add_ranks, die_once

from calls import cli
from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.options import EngineOptions
from semisonic.core.parallel import Engine
from semisonic.core.seeds import generator

pytestmark = pytest.mark.slow
RATE = 8000


@pytest.fixture
def engine(cluster) -> Iterator[Engine]:
    with open_engine(EngineOptions("ray", cluster)) as opened:
        yield opened


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    """Two classes, eight recordings each."""
    folder = tmp_path_factory.mktemp("labelled")
    time = np.arange(RATE // 2) / RATE
    for name, pitch in (("low", 300.0), ("high", 2000.0)):
        (folder / name).mkdir()
        for i in range(9):
            rng = generator(i, "together", name)
            wave = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.1 * rng.random()) * time)
            sf.write(folder / name / f"{i}.wav", wave + rng.normal(0, 0.05, len(time)), RATE)
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    from semisonic.classifier.model_file import open_model

    return dict(open_model(run).state_dict())


def command(labelled: Path, output: Path) -> list[str]:
    fixed = (
        "--model (4)3c-2p-(4)3c-2p-8fc --method supervised --objective none --validation 0 "
        "--sample-rate 8000 --duration 0.5 --n-fft 256 --hop-length 128 --n-mels 16 --epochs 3 "
        "--batch-size 6 --optimizer sgd --learning-rate 0.05 --precision fp32 --channels-last off "
        "--augment none --mixup 0 --device cpu --calibration none -q"
    )
    return ["train", str(labelled), "-o", str(output), *fixed.split()]


def test_two_processes_train_as_one(labelled, tmp_path, cluster) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert cli(command(labelled, alone)) == 0
    more = ["--engine", "ray", "--address", cluster, "--processes", "2"]
    assert cli(command(labelled, together), more) == 0
    expected, found = weights(alone), weights(together)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-5, rtol=1e-4, msg=name)
    assert (together / "training" / "history.json").is_file()


def test_two_processes_pretrain_as_one(labelled, tmp_path, cluster) -> None:
    from semisonic.classifier.model_file import open_encoder

    fixed = (
        "--model (4)3c-2p-(4)3c-2p-8fc --validation 0.2 --sample-rate 8000 --duration 0.5 "
        "--n-fft 256 --hop-length 128 --n-mels 16 --epochs 2 --batch-size 6 --optimizer sgd "
        "--learning-rate 0.01 --precision fp32 --channels-last off --device cpu -q"
    )
    command = ["pretrain", str(labelled), *fixed.split(), "-o"]
    assert cli(command, tmp_path / "alone") == 0
    more = ["--engine", "ray", "--address", cluster, "--processes", "2"]
    assert cli(command, tmp_path / "together", more) == 0
    expected, found = (
        dict(open_encoder(tmp_path / name).encoder.state_dict()) for name in ("alone", "together")
    )
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-5, rtol=1e-3, msg=name)


def test_without_a_cluster_several_processes_are_refused(labelled, tmp_path, capsys) -> None:
    assert cli(command(labelled, tmp_path / "run"), "--processes 2") == 2
    assert "add --engine ray" in capsys.readouterr().err


def test_methods_that_are_not_trained_so_are_refused(labelled, tmp_path, capsys) -> None:
    more = "--processes 2 --method prototype --encoder synth --device cpu -q -o"
    assert cli("train", labelled, more, tmp_path) == 2
    assert "not trained by several processes" in capsys.readouterr().err


def test_processes_talk_and_leave_nothing_behind(engine) -> None:
    assert engine.distributed(add_ranks, 2) == 0 + 1
    assert "WORLD_SIZE" not in os.environ
    with engine.calls(lambda: _world_size) as calls:
        tickets = [calls.submit(None) for _ in range(4)]
        for ticket in tickets:
            calls.wait([ticket])
            assert calls.result(ticket) == ""


def _world_size(_: object) -> str:
    return os.environ.get("WORLD_SIZE", "")


def test_when_one_dies_all_are_begun_again(engine, tmp_path) -> None:
    assert engine.distributed(partial(die_once, tmp_path / "died"), 2) == 1
    assert (tmp_path / "died").is_file()


def test_too_many_processes_are_refused(engine, monkeypatch) -> None:
    from semisonic.core import cluster as together

    monkeypatch.setattr(together, "_PLACES", 0.5)
    with pytest.raises(OptionError, match="no room for so many"):
        engine.distributed(add_ranks, 50)


def test_an_error_of_the_function_is_raised(engine) -> None:
    def fail() -> Callable[[], None]:
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        engine.distributed(fail, 2)
