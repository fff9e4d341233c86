"""What a Ray cluster costs the process that leads it, and what one clip costs at all.

Detects, embeds and stores the clips of a folder, with the local engine on one thread and with
Ray, in turn, and checks that both give the same. Processor time of this process is what counts:
with the local engine that is the whole work, with Ray what is left for the driver: listing,
sending, writing, journals. Their ratio is how many cores one driver can keep busy.

    python benchmarks/cluster_driver.py DATA/esc10 -o benchmarks/results/cluster_driver.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from measuring import head
from semisonic.classifier.detection.detect import detect
from semisonic.core.cluster import open_engine
from semisonic.core.files import write_json
from semisonic.core.options import EngineOptions
from semisonic.core.parallel import Engine
from semisonic.data.datasets.load import load_clips
from semisonic.data.stores import SampleStore
from semisonic.features.options import MelOptions
from semisonic.labeling.embed import embed
from semisonic.models.sound_model import SoundModel, build

Way = Callable[[Engine, str, Path], bytes]


def ways(data: Path, model: SoundModel) -> dict[str, Way]:
    clips = load_clips(data, labels="none")

    def detecting(_: Engine, name: str, folder: Path) -> bytes:
        more = {"engine": name, "hop": model.mel.duration, "device": "cpu"}
        detect(model, data, output=folder, workers=1 if name == "local" else None, **more)
        return (folder / "data-1.bin").read_bytes()

    def embedding(_: Engine, name: str, folder: Path) -> bytes:
        embed(
            model,
            data,
            folder,
            labels="none",
            device="cpu",
            engine=name,
            workers=1 if name == "local" else None,
        )
        return (folder / "embeddings.npy").read_bytes()

    def storing(engine: Engine, name: str, folder: Path) -> bytes:
        store = SampleStore.build(
            clips,
            folder,
            sample_rate=22050,
            engine=engine,
            workers=1 if name == "local" else None,
        )
        return b"".join(store[row].tobytes() for row in range(len(store)))

    return {"detect": detecting, "embed": embedding, "store": storing}


def measure(data: Path, address: str | None, rounds: int) -> list[dict[str, object]]:
    mel = MelOptions()
    model = build("small", mel, tuple(f"class {i}" for i in range(10)), seed=0)
    model.frontend.standardize.fit(np.random.default_rng(0).normal(-40, 20, (2, *mel.shape)))
    n, rows = len(load_clips(data, labels="none")), []
    with open_engine(EngineOptions("ray", address)) as ray, open_engine(EngineOptions()) as local:
        for what, way in ways(data, model).items():
            seconds: dict[str, list[float]] = {"local": [], "ray": []}
            for number in range(-1, rounds):  # the first round warms the disk and the workers
                found = set()
                for name, engine in (("local", local), ("ray", ray)):
                    with tempfile.TemporaryDirectory() as folder:
                        began = time.process_time()
                        found.add(way(engine, name, Path(folder) / "out"))
                        if number >= 0:
                            seconds[name].append(time.process_time() - began)
                if len(found) > 1:
                    raise SystemExit(f"{what}: the engines differ")
            work, lead = (1e3 * statistics.median(seconds[name]) / n for name in seconds)
            rows.append(
                {
                    "what": what,
                    "ms_a_clip": work,
                    "driver_ms_a_clip": lead,
                    "cores_a_driver": work / lead,
                    "same_bytes": True,
                }
            )
            print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a folder of recordings of 5 s")
    parser.add_argument("--address", help="of a Ray cluster; by default a Ray of this machine")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(asked.data, asked.address, asked.rounds)
    write_json(
        asked.output,
        {
            "what": "processor milliseconds a clip: of all the work on one thread, and of the "
            "driver alone when a Ray cluster does the work (medians of interleaved rounds)",
            **head(f"python benchmarks/cluster_driver.py DATA --rounds {asked.rounds} -o FILE", 0),
            "clips": len(load_clips(asked.data, labels="none")),
            "network": "small",
            "sample_rate": 22050,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
