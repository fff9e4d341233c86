"""How long the paper's full experiment would take here, worked out from measured speeds.

The paper pre-trained on 50 000 five-second clips for up to 50 epochs, which took it more than
24 hours on a GPU, as every epoch decoded all files again. Reads the committed results of the
store, the front end and the experiment; measures nothing.

    python benchmarks/paper_estimate.py [-o FILE.json]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from measuring import head
from semisonic.core.files import read_json, write_json

RESULTS = Path(__file__).parent / "results"
N_CLIPS, N_EPOCHS, N_TUNE, TUNE_EPOCHS = 50_000, 50, 1280, 150
HELD_OUT = 0.9  # share of the clips that a pre-training epoch trains on


def estimate() -> dict[str, Any]:
    store = _milliseconds("store_throughput", "store of samples, ogg")
    mel = _milliseconds("frontend", "28 x 36 (the paper's)")
    jobs = read_json(RESULTS / "cae-decoders.json")["jobs"]
    seconds_per_clip = median(
        job["seconds"] / job["n_epochs"] / job["n_clips"]
        for job in jobs
        if job["kind"] == "pre-train" and job["decoder"] == "unpool"
    )
    tune_per_clip = median(
        job["seconds"] / job["n_epochs"] / job["n_train"]
        for job in jobs
        if job["kind"] == "train" and not job["labels_per_class"]
    )
    decode = N_CLIPS * store / 1e3
    features = N_CLIPS * mel / 1e3
    return {
        "decode and resample, two cores": decode / 2 / 60,
        "log-mel 28 x 36, two cores": features / 2 / 60,
        "pre-train 50 epochs, one core": HELD_OUT * N_CLIPS * N_EPOCHS * seconds_per_clip / 60,
        "fine-tune 150 epochs on 1 280 clips, one core": N_TUNE * TUNE_EPOCHS * tune_per_clip / 60,
    }


def _milliseconds(part: str, what: str) -> float:
    rows = read_json(RESULTS / "bench" / f"{part}.json")["rows"]
    return next(float(row["ours"]) for row in rows if row["what"] == what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    minutes = estimate()
    for what, value in minutes.items():
        print(f"{what:48} {value:8.1f} min")
    print(f"{'together':48} {sum(minutes.values()):8.1f} min")
    if args.output:
        write_json(
            args.output,
            {
                **head("python benchmarks/paper_estimate.py -o FILE", 0),
                "note": "Worked out from bench/store_throughput.json, bench/frontend.json and "
                "cae-decoders.json, each with the machine it was measured on.",
                "minutes": minutes,
                "together": sum(minutes.values()),
            },
        )


if __name__ == "__main__":
    main()
