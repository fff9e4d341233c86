"""Two runs on the same folds, clip by clip: one setting and arm of each, by the paired tests.

    semisonic run piczak-cnn --data path/to/urbansound8k -o runs/piczak
    semisonic run all-labels --data path/to/urbansound8k -o runs/all
    python benchmarks/compare_runs.py "runs/piczak:short, mean:clips as they are" \\
        "runs/all:all labels:auto" -o result.json

Draws that both runs have are compared; both must have tested the same clips in the same folds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from measuring import head
from semisonic.core.files import json_ready, write_json
from semisonic.evaluation.comparison import compare_setting_pairs
from semisonic.evaluation.predictions import Predictions


def read_arm(place: str) -> Predictions:
    """What one arm of one setting of a run predicted, from ``FOLDER:SETTING:ARM``.

    Names of settings may have colons, the folder has none.
    """
    folder, _, wanted_arm = place.partition(":")
    jobs = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))["jobs"]
    wanted = {job["name"] for job in jobs if f"{job['cell']}:{job['arm']}" == wanted_arm}
    if not wanted:
        known = sorted({f"{job['cell']}:{job['arm']}" for job in jobs if job["arm"]})
        raise SystemExit(f"{folder}: found no '{wanted_arm}', but {known}")
    files = [Path(folder) / "jobs" / name / "predictions.csv.gz" for name in sorted(wanted)]
    return Predictions.concat(map(Predictions.read, files)).assign(setting=Path(place).name, arm="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs=2, metavar="FOLDER:SETTING:ARM")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    first, second = (read_arm(place) for place in options.runs)
    draws = sorted({*first.draw} & {*second.draw})
    both = Predictions.concat(
        arm.select(draw=int(draw)) for arm in (first, second) for draw in draws
    )
    names = [Path(place).name for place in options.runs]
    (found,) = compare_setting_pairs(both, [(names[0], names[1])])
    print(found.verdict())
    inputs = {
        Path(place).name: {
            key: value
            for key, value in json.loads(
                (Path(place.partition(":")[0]) / "results.json").read_text(encoding="utf-8")
            ).items()
            if key in ("command", "commit", "data")
        }
        for place in options.runs
    }
    places = " ".join(f'"{name}"' for name in names)
    begun = head(f"python benchmarks/compare_runs.py {places}", 0)
    write_json(options.output, json_ready(begun | {"runs": inputs, "comparison": asdict(found)}))


if __name__ == "__main__":
    main()
