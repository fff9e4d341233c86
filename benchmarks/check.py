"""Whether something became slower: ratios of new results against those that are committed.

    python benchmarks/check.py runs/bench

A ratio (how many times faster than an alternative, in turns on one machine) depends on the
processor, hardly on what else runs. New results are compared with the committed ones of the same
processor; if there are none, with those of another one, and that is said. A row is a regression
when its ratio is less than that of the committed row divided by 1 + tolerance, and when the
quartiles of both do not overlap. The exit status is 1 if there is one, or if a row is missing,
and 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from measuring import Row, from_json

RESULTS = Path(__file__).parent / "results"
TOLERANCE = 0.25


def read(folder: Path) -> dict[str, list[Row]]:
    """Rows with a ratio, by part."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        rows = [from_json(row) for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
        rows = [row for row in rows if row.ratio == row.ratio]
        if rows:
            found[file.stem] = rows
    return found


def processor(folder: Path) -> str:
    """The processor that results were measured on."""
    files = sorted(folder.glob("*.json"))
    return json.loads(files[0].read_text(encoding="utf-8"))["machine"]["cpu"] if files else ""


def committed(cpu: str) -> Path:
    """The committed results of a processor, or those of another one."""
    folders = sorted(RESULTS.glob("bench*"))
    return next((folder for folder in folders if processor(folder) == cpu), folders[0])


def compare(
    new: dict[str, list[Row]], old: dict[str, list[Row]], tolerance: float = TOLERANCE
) -> list[str]:
    """What became slower or is missing, a line each; parts that were not run are passed over."""
    lines = []
    for part, rows in old.items():
        if part not in new:
            continue
        found = {_name(row): row for row in new[part]}
        for row in rows:
            now = found.get(_name(row))
            if now is None:
                lines.append(f"{row.key}: missing")
            elif now.ratio * (1 + tolerance) < row.ratio and not now.high >= row.low:
                lines.append(
                    f"{row.key}: {now.ratio:.2f} times as fast as the alternative, "
                    f"{row.ratio:.2f} before"
                )
    return lines


def _name(row: Row) -> str:
    """The key, without the number format, which goes by the machine."""
    return row.key.partition(", bf16")[0].partition(", fp32+")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("new", type=Path, help="folder of new results, as of `make bench`")
    parser.add_argument("--against", type=Path, help="committed results; of this processor if any")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    options = parser.parse_args()
    cpu = processor(options.new)
    against = options.against or committed(cpu)
    new, old = read(options.new), read(against)
    common = new.keys() & old.keys()
    if not common:
        print(f"no results of the same parts in {options.new} and {against}")
        return 2
    if cpu != processor(against):
        print(
            f"measured on '{cpu}', compared with '{processor(against)}': ratios may differ by that"
        )
    lines = compare(new, old, options.tolerance)
    for line in lines:
        print(f"slower: {line}")
    n = sum(len(old[part]) for part in common)
    print(f"{n - len(lines)} of {n} ratios are as they were, within {options.tolerance:.0%}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
