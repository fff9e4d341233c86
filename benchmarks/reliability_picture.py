"""Draw the reliability diagram of docs/explanation/scores.md from the result of calibration.py.

python benchmarks/reliability_picture.py benchmarks/results/calibration.json -o reliability.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.core.files import read_json, replacing
from semisonic.evaluation.calibration import Reliability
from semisonic.evaluation.plots.results import reliability_diagram


def curve(table: dict[str, Any]) -> Reliability:
    """A curve as the result file holds it; -1 where a bin is empty."""
    score, right = (np.array(table[name], np.float64) for name in ("score", "right"))
    empty = score < 0
    score[empty], right[empty] = np.nan, np.nan
    return Reliability(score, right, np.array(table["n"]), table["calibration_error"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("result", type=Path, help="result of calibration.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    pooled = read_json(options.result)["pooled"]
    figure = reliability_diagram({"before": curve(pooled["none"]), "after": curve(pooled["auto"])})
    with replacing(options.output) as part:
        figure.savefig(part, format="png", dpi=110)


if __name__ == "__main__":
    main()
