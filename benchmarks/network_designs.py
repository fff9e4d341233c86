"""Which design makes a good small network? Size, speed, and accuracy on inner validation parts.

``time`` measures each design on random features of 64 x 216 (5 s): parameters, multiply-adds,
the forward pass in evaluation for one clip and for a batch, and a whole training step of 20
clips (forward, backward, AdamW) in each number format; the one that the training loop would
choose is marked. Rounds are interleaved and each design's best counts, in processor time, as
another load on the machine lengthens only time on the wall.

``train`` measures accuracy without looking at a test fold: for outer fold k, fold k is dropped
and never read, the fold before it (cyclic) is the validation part, the other three train. The
weights (their moving average) are those after the last step; nothing is chosen by validation
within a run. Over all outer folds each clip validates once a seed. A design chosen by the mean
of all folds has seen every fold as validation, so a later test on the same folds is, for this one
choice, not wholly blind. Strong augmentation, mixup 0.4, dropout 0.3, AdamW 3e-3, weight decay
0.01, one-cycle, moving average 0.995. Each finished run is kept in the file; a second call does
what is missing. Runs of other steps or labels stand beside each other.

Designs whose step takes more than twice that of ``small`` are left out unless they are named; the
file says which (``left_out``).

    python benchmarks/network_designs.py time -o FILE.json
    python benchmarks/network_designs.py train --data ESC10 -o FILE.json --steps 1500 --seeds 2
    python benchmarks/network_designs.py train --data ESC10 -o FILE.json --designs small fold
    python benchmarks/network_designs.py show -o FILE.json
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from measuring import head
from network_accuracy import Material, Run, train
from network_speed import Record, group_of, measure, too_slow
from network_summary import summarise
from semisonic.core.files import read_json, write_json
from semisonic.models.staged import DESIGNS


def accuracy(args: argparse.Namespace, record: Record) -> None:
    """Do the runs that are missing; write the file after each."""
    material = Material.load(args.data, args.cache)
    record["data"] = {"name": material.clips.name, "clips": len(material.clips)}
    record["validation"] = material.validation()
    timings = record["timings"]
    designs = args.designs or [
        name for name in DESIGNS if group_of(name) == "small" and name not in record["left_out"]
    ]
    wanted = [
        Run(design, args.labels, args.steps, args.augment, fold, seed)
        for seed in range(args.seeds)
        for fold in args.folds or material.parts
        for design in designs
    ]
    done = {Run(**{k: r[k] for k in Run.__dataclass_fields__}) for r in record["runs"]}
    missing = [run for run in wanted if run not in done]
    print(f"{len(wanted)} runs, {len(wanted) - len(missing)} of them done")
    pool = ProcessPoolExecutor(args.workers, mp_context=get_context("spawn"))
    try:
        futures = [
            pool.submit(
                train,
                material.table,
                material.target,
                material.rows(run),
                run,
                timings[run.design]["plan"],
                args.device,
            )
            for run in missing
        ]
        for number, future in enumerate(as_completed(futures), 1):
            row = future.result()
            record["runs"].append(row)
            keep(args.output, record)
            print(
                f"{number}/{len(missing)}  {row['design']:18} fold {row['fold']} seed "
                f"{row['seed']}  {row['accuracy']:.3f}  {row['seconds']:.0f} s",
                flush=True,
            )
    finally:
        pool.shutdown(cancel_futures=True)


def keep(file: Path, record: Record) -> None:
    """Write the file, with a summary of its runs."""
    record["summary"] = summarise(record)
    write_json(file, record)


def show(record: Record) -> None:
    """Print both tables."""
    print("design              parameters   MMAC  step ms  forward ms (1, 20)  number format")
    for name, row in record["timings"].items():
        print(
            f"{name:18} {row['parameters']:11,} {row['million_macs']:6.1f} {row['step_ms']:8.1f}"
            f" {row['forward_ms_one_clip']:9.2f} {row['forward_ms_a_clip_of_20']:8.2f}"
            f"  {row['plan']}{'  left out' if name in record['left_out'] else ''}"
        )
    for row in record.get("summary", []):
        versus = row.get("against_small")
        print(
            f"{row['labels'] or 'all':>4} labels, {row['steps']} steps  {row['design']:18} "
            f"{row['accuracy']:.3f}  loss {row['loss']:.3f}  {row['runs']} runs of "
            f"{row['seconds_a_run']:.0f} s"
            + (f"  {versus['difference']:+.3f} (p {versus['p']:.2f})" if versus else "")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("time", "train", "show"))
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file, continued")
    parser.add_argument("--designs", nargs="+", choices=list(DESIGNS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=10, help="time: rounds [10]")
    parser.add_argument("--data", type=Path, help="train: labelled clips with folds")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--folds", type=int, nargs="+", help="train: outer folds [all]")
    parser.add_argument("--seeds", type=int, default=3, help="train: seeds, from 0 [3]")
    parser.add_argument("--steps", type=int, default=4000, help="train: steps a run [4000]")
    parser.add_argument("--labels", type=int, default=0, help="train: labels a class; 0: all [0]")
    parser.add_argument("--augment", default="strong", choices=("none", "weak", "strong"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="train: processes")
    args = parser.parse_args()
    empty: Record = {"timings": {}, "left_out": {}, "runs": []}
    record: Record = read_json(args.output) if args.output.is_file() else empty
    if args.what != "show":
        words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv]
        command = " ".join(["python", *words])
        now = head(command, list(range(args.seeds)))
        record |= now
        record.setdefault("commands", []).append({k: now[k] for k in ("command", "commit")})
        missing = [n for n in args.designs or DESIGNS if n not in record["timings"]]
        again = (args.designs or list(DESIGNS)) if args.what == "time" else missing
        if again:  # small again, too, as others are compared with it
            record["timings"] |= measure(sorted({"small", *again}), args.rounds)
            record["left_out"] = too_slow(record["timings"])
            record["load_while_timing"] = round(os.getloadavg()[0], 2)
        if args.what == "train":
            if args.data is None:
                parser.error("train needs --data")
            accuracy(args, record)
        keep(args.output, record)
    show(record)


if __name__ == "__main__":
    main()
