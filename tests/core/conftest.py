"""One small Ray cluster for all tests that need one, on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from semisonic.core.seeds import generator

RATE = 8000
STORE_BYTES = 80_000_000  # the least that Ray takes is 75 MB
HERE = str(Path(__file__).parent)


def node() -> dict[str, Any]:
    """What every node of a test cluster has."""
    return {"num_cpus": 1, "object_store_memory": STORE_BYTES}


@pytest.fixture(scope="session")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes; nothing of it is left afterwards."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (or others would starve them)
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, before]))
    found = Cluster(initialize_head=True, head_node_args={**node(), "include_dashboard": False})
    found.add_node(**node())
    found.wait_for_nodes()
    try:
        yield found
    finally:
        found.shutdown()
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def cluster(nodes: Any) -> str:
    """The address of the cluster."""
    return str(nodes.address)


@pytest.fixture
def doomed(nodes: Any) -> Iterator[Callable[[Callable[[str], bool]], threading.Thread]]:
    """A third node; call it with a condition on its id, and the node is killed when that holds."""
    third = nodes.add_node(**node())
    nodes.wait_for_nodes()
    threads: list[threading.Thread] = []
    over = threading.Event()

    def kill_when(condition: Callable[[str], bool]) -> threading.Thread:
        def wait() -> None:
            while not condition(third.node_id):
                if over.wait(0.01):
                    return
            nodes.remove_node(third, allow_graceful=False)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        return threads[-1]

    yield kill_when
    over.set()
    for thread in threads:
        thread.join()
    if third in nodes.list_all_nodes():
        nodes.remove_node(third, allow_graceful=False)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was never trained."""
    from semisonic.features.options import MelOptions
    from semisonic.models.model_file import save
    from semisonic.models.sound_model import build

    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    network = build("(8)3c-2p-gp", mel, ("hum", "hiss"), seed=1)
    rng = np.random.default_rng(0)
    network.frontend.standardize.fit(rng.normal(-40, 20, (2, *mel.shape)))
    file = tmp_path_factory.mktemp("model") / "model.zip"
    save(file, network)
    return file


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several lengths and formats, one that is none, one that breaks off."""
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(14):
        rng = generator(number, "cluster test")
        time = np.arange(round((1.0 + number % 5) * RATE)) / RATE
        wave = 0.3 * np.sin(2 * np.pi * (200 + 80 * number) * time) * (rng.random() < 0.5)
        wave = wave + rng.normal(0, 0.05, len(time))
        sf.write(folder / f"{number:02d}{('.wav', '.flac', '.ogg')[number % 3]}", wave, RATE)
    (folder / "bad.wav").write_text("no sound", encoding="utf-8")
    whole = (folder / "00.wav").read_bytes()
    (folder / "torn.wav").write_bytes(whole[: len(whole) // 2])
    return folder
