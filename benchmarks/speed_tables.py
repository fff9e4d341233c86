"""Write the tables of docs/results/speed.md from the results in benchmarks/results.

python benchmarks/speed_tables.py
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bench import PARTS
from measuring import Row, from_json

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "results" / "speed.md"


@dataclass(frozen=True)
class Target:
    """What a row should reach: at least ``least``, or at most ``most``, of a column."""

    words: str
    file: str
    key: str
    column: str = "ratio"
    least: float = float("nan")
    most: float = float("nan")


FIT, PLAIN = "training_speed", "plain loop, fp32, DataLoader"
TARGETS = (
    Target(
        "front end, 1024/512/60, times librosa",
        "frontend",
        "front end: 60 x 216 (1024/512, 22.05 kHz) / librosa",
        least=3.5,
    ),
    Target(
        "front end, share of the bare real FFT",
        "frontend",
        "front end: 60 x 216 (1024/512, 22.05 kHz) / librosa",
        "share",
        least=0.5,
    ),
    Target(
        "training step, the paper's network, times a plain fp32 loop",
        FIT,
        f"training step: the paper's network / {PLAIN}",
        least=2.5,
    ),
    Target(
        "training step, `small`, times a plain fp32 loop",
        FIT,
        f"training step: small / {PLAIN}",
        least=2.0,
    ),
    Target(
        "loop and loader, share of the step that a loop by hand takes",
        FIT,
        "training step: loop and loader, small / loop by hand",
        "share",
        least=0.95,
    ),
    Target(
        "prediction from Ogg, times real time",
        "prediction_speed",
        "prediction: from ogg, speed / ",
        "ours",
        least=500,
    ),
    Target(
        "prediction from wav, times real time",
        "prediction_speed",
        "prediction: from wav, speed / ",
        "ours",
        least=2000,
    ),
    Target(
        "start without torch (`--help`), s",
        "prediction_speed",
        "cold start: semisonic --help / ",
        "ours",
        most=0.5,
    ),
    Target(
        "start with torch (`predict`, one clip), s",
        "prediction_speed",
        "cold start: semisonic predict, one clip / ",
        "ours",
        most=3.0,
    ),
    Target(
        "largest memory of building for 300 clips, share of that for 3 000",
        "build_memory",
        "memory: 3000 clips of 1 s / 300 clips",
        least=0.9,
    ),
    Target(
        "250 000 clips to features from Ogg, two cores, minutes",
        "../two_cores",
        "two cores: 250 000 clips to features, ogg / ",
        "ours",
        most=13,
    ),
    Target(
        "250 000 clips to features from wav, two cores, minutes",
        "../two_cores",
        "two cores: 250 000 clips to features, wav / ",
        "ours",
        most=2.5,
    ),
    *(
        Target(
            f"two cores against one: {words}",
            "../two_cores",
            f"two cores: {row} / one core",
            least=1.8,
        )
        for words, row in (
            ("two trainings", "two trainings, in processes"),
            ("from Ogg to features", "store and features, ogg"),
            ("from wav to features", "store and features, wav"),
            ("from wav to features, many clips", "store and features, wav, many clips"),
            ("prediction from Ogg", "prediction, ogg"),
            ("prediction from wav", "prediction, wav"),
            ("prediction from wav, many clips", "prediction, wav, many clips"),
        )
    ),
)


def read(name: str) -> list[Row]:
    """The rows of a result file; none if it is not there."""
    file = RESULTS / "bench" / f"{name}.json"
    if not file.exists():
        return []
    return [from_json(row) for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]


ALONE = ("limits", "memory", "recipe")
"""Parts that no other program does."""


def targets() -> str:
    lines = ["| what | wanted | found |", "| --- | ---: | ---: |"]
    for target in TARGETS:
        rows = [row for row in read(target.file) if row.key.startswith(target.key)]
        if not rows:
            continue
        value = getattr(rows[0], target.column)
        good = value >= target.least or value <= target.most
        wanted = f"≥ {target.least:g}" if target.least == target.least else f"≤ {target.most:g}"
        shown = _number(value, 3)
        found = f"**{shown}**" if good else f"{shown} (missed)"
        lines.append(f"| {target.words} | {wanted} | {found} |")
    return "\n".join(lines)


def parts() -> str:
    """A line for each thing that was timed beside another program; the files have all rows."""
    lines = [
        "| what | ours | times as fast as | share of the limit |",
        "| --- | ---: | --- | ---: |",
    ]
    for part in PARTS:
        rows = [row for row in read(part) if row.part not in ALONE and row.alternative]
        for (name, what), found in groupby(rows, key=lambda row: (row.part, row.what)):
            same = list(found)
            first = same[0]
            others = "; ".join(f"{row.alternative}: {_number(row.ratio)}" for row in same)
            share = "" if first.share != first.share else f"{100 * first.share:.0f} %"
            lines.append(
                f"| {name}: {what} | {_number(first.ours)} {first.unit} | {others} | {share} |"
            )
    return "\n".join(lines)


def _number(value: float, digits: int = 2) -> str:
    if value != value:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (("targets", targets()), ("parts", parts())):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, n = re.subn(pattern, lambda m, c=content: m[1] + c + "\n" + m[2], text, flags=re.S)
        if n != 1:
            raise SystemExit(f"{PAGE}: found {n} places for the table '{name}', expected one")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
