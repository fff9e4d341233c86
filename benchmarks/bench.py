"""All speeds of ``make bench``: each part in a process of its own, one table at the end.

python benchmarks/bench.py -o runs/bench [--data path/to/recordings] [PART ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PARTS = (
    "limits",
    "decoding_speed",
    "store_throughput",
    "frontend",
    "augmentation_speed",
    "training_speed",
    "prediction_speed",
    "detection_speed",
    "build_memory",
    "recipe_speed",
)
HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(part: str, output: Path, data: Path | None) -> None:
    """One part; its results are written to ``output``."""
    command = [sys.executable, str(HERE / f"{part}.py"), "-o", str(output)]
    command += [] if data is None else ["--data", str(data)]
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{part} failed:\n{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="all if none is given")
    parser.add_argument("--data", type=Path, help="folder of recordings, else synthetic ones")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"found '{unknown[0]}', expected some of {', '.join(PARTS)}")
    begin = time.perf_counter()
    files = []
    for part in options.parts or PARTS:
        files.append(options.output / f"{part}.json")
        start = time.perf_counter()
        run(part, files[-1], options.data)
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    from measuring import from_json, table  # torch only here: the parts are other processes

    rows = [
        from_json(row) for f in files for row in json.loads(f.read_text(encoding="utf-8"))["rows"]
    ]
    print(table(rows))
    print(f"{time.perf_counter() - begin:.0f} s; results in {options.output}")


if __name__ == "__main__":
    main()
