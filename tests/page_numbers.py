"""Which decimals of a page of the docs its result files hold, and which version made the files.

    python tests/page_numbers.py    # writes the sentences about versions into the pages

A section names its files in text, commands or comments, else those of the heading above count; a
row of a table may name its own. Numbers that belong together (a cell of a table, a difference with
its interval and p) must be found in one record, the smallest parts of a file. So a number is hardly
ever held by an equal one that means something else.
"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PUBLISHED = ROOT / "src" / "semisonic" / "evaluation" / "published.toml"

KINDS = {
    "setting": "a value that the program or the user sets",
    "example": "the output of a command on recordings that the page describes",
    "cited": "from a work that the text names",
    "computed": "from numbers of the page or of the file",
    "unrecorded": "measured, but no file holds it; the text must say so",
}
"""Why numbers need no file: a page says so with a comment, ``no file: KIND NUMBERS``.

It is for the paragraph, item or row that it stands in, or for the table that it stands before;
without numbers it is for all of them.
"""

# Numbers of single folds, clips and trainings, and what a run was given, are no results.
_ASIDE = {"accuracy_by_seed_and_fold", "by_draw", "by_fold", "draws", "folds", "folds_of_draws"}
_ASIDE |= {"jobs", "level", "load", "load_average", "machine", "n_clips", "n_recordings"}
_ASIDE |= {"recipe", "seed", "settings", "versions"}
_LARGEST_RECORD = 60

_DECIMAL = re.compile(r"(?<![\w.,])([−+-]?)(\d+\.\d+)(?!\.?\w)")
_NO_RESULT = re.compile(
    r"[<≤≥] *$"
    r"|\b(?:Python|torch|[Vv]ersion|NumPy|Apache|BY-NC-SA|BirdNET|s3fs)(?: \d+\.\d+ to)? $"
)
"""Before a bound, as in ``< 0.001``, and before the number of a version."""
_CLAIM = re.compile(
    r"(?:[−+-]?[\d.]+\*{0,2} )?\([−+-]?\d+\.\d+ to [−+-]?\d+\.\d+\)(?:, (?:p = )?\d\.\d+)?"
    r"|\d+\.\d\*{0,2} ± \d+\.\d"
)
_END = "<!-- end -->"
_VERSIONS = "<!-- versions -->"
_GENERATED = (_VERSIONS, "<!-- targets -->", "<!-- parts -->")
_NO_FILE = re.compile(r"<!-- no file: ([\w-]+)((?: [\d.]+)*) -->")


Line = tuple[int, str, str | None]
"""Number, text, and the language of the block of code around it, None outside."""


@dataclass(frozen=True)
class Number:
    """A decimal as it is printed, with its sign if it has one."""

    text: str
    percent: bool = False

    def is_of(self, value: float) -> bool:
        """Whether it is the value, or 100 times a share, rounded as it is printed."""
        printed = float(self.text.replace("−", "-"))
        digits = len(self.text.partition(".")[2])
        scales: tuple[float, ...] = (1,)
        if abs(value) <= 1:
            in_percent = self.percent or (digits == 1 and abs(printed) >= 1)
            scales = (100,) if in_percent else (1, 100) if digits == 1 else (1,)
        elif value > 1e5:
            scales = (1e-6, 1e-9)  # bytes, as MB or GB
        near = 0.5 * 10**-digits * (1 + 1e-6) + 1e-9
        signed = self.text[0] in "+−-"
        return any(
            abs(scale * value - printed) <= near
            or (not signed and abs(abs(scale * value) - printed) <= near)
            for scale in scales
        )


@dataclass(frozen=True)
class Claim:
    """Numbers of a line that belong together, where they may be found, or why they need no file."""

    line: int
    numbers: tuple[Number, ...]
    files: tuple[Path, ...] = ()
    kind: str = ""

    @property
    def is_held(self) -> bool:
        return bool(self.kind) or holds(self.files, self.numbers)

    def __str__(self) -> str:
        return f"line {self.line}: {' '.join(number.text for number in self.numbers)}"


def holds(files: Sequence[Path], numbers: Sequence[Number]) -> bool:
    """Whether one record of the files has all numbers."""
    return any(
        all(any(number.is_of(value) for value in record) for number in numbers)
        for file in files
        for record in records(file)
    )


@cache
def records(file: Path) -> list[list[float]]:
    """The numbers of each dictionary that is small enough, and those that stand at the top."""
    text = file.read_text(encoding="utf-8")
    found = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    parts: list[list[float]] = []

    def numbers_of(value: Any) -> list[float]:
        if isinstance(value, bool) or not isinstance(value, int | float | dict | list):
            return []
        if isinstance(value, int | float):
            return [float(value)]
        inner = value
        if isinstance(value, dict):
            inner = [one for key, one in value.items() if key not in _ASIDE]
        numbers = [number for one in inner for number in numbers_of(one)]
        if isinstance(value, dict):
            ends = numbers_of(value.get("interval")) or [value.get("low"), value.get("high")]
            if "t" in value and None not in ends:
                numbers.append(sum(ends) / 2)  # of a t-test's interval: the difference
            if len(numbers) <= _LARGEST_RECORD:
                parts.append(numbers)
        return numbers

    numbers_of(found)
    at_top = {key: value for key, value in found.items() if key not in _ASIDE}
    parts.append([float(n) for n in at_top.values() if type(n) in (int, float)])
    return parts


def named(text: str) -> tuple[Path, ...]:
    """The result files that a text names, or folders of them."""
    found = [PUBLISHED] if PUBLISHED.name in text else []
    for name in re.findall(r"(?:benchmarks/results/)?([\w-]+(?:/[\w-]+)?\.json)\b", text):
        found += [RESULTS / name] if (RESULTS / name).is_file() else []
    for name in re.findall(r"`(?:benchmarks/results/)?([\w-]+)`", text):
        found += sorted((RESULTS / name).glob("*.json"))
    return tuple(found)


def pages() -> list[Path]:
    """The pages whose numbers are guarded."""
    docs = ROOT / "docs"
    folders = ("results", "guides", "explanation", "tutorials", "development")
    found = [page for folder in folders for page in sorted((docs / folder).glob("*.md"))]
    return [ROOT / "README.md", docs / "index.md", docs / "getting-started.md", *found]


def made_by(page: Path) -> str:
    """The sentence about the versions that made the files that the reader of a page sees named."""
    if page.parent.name == "development":
        return ""
    shown = re.sub(
        r"<!--.*?-->", "", "\n".join(line for _, line, _ in _lines(page.read_text("utf-8")))
    )
    files: dict[str, list[str]] = {}
    for file in sorted({file.relative_to(RESULTS) for file in named(shown)}):
        version = json.loads((RESULTS / file).read_text("utf-8"))["versions"]["semisonic"]
        name = file.as_posix() if file.parent == Path() else file.parent.as_posix()
        files.setdefault(version, [])
        files[version] += [name] if name not in files[version] else []
    if not files:
        return ""
    *older, newest = sorted(files)
    if not older:
        return f"All result files of this page are by version {newest}."
    told = (f"by version {one}: {', '.join(f'`{name}`' for name in files[one])}" for one in older)
    return f"Result files {'; '.join(told)}; the others by version {newest}."


def versions_block(page: Path) -> str:
    """The sentence of :func:`made_by` as it stands in the page, filled to the width of the docs."""
    told = made_by(page)
    if not told:
        return ""
    text = textwrap.fill(told, 118, break_long_words=False, break_on_hyphens=False)
    return f"{_VERSIONS}\n{text}\n{_END}\n"


def claims(page: Path, text: str | None = None) -> list[Claim]:
    """What a page tells in decimals, outside of code but with the outputs in tutorials.

    Trials of the development were made without a file, except in the lines that name one.
    """
    outputs, named_only = (page.parent.name == name for name in ("tutorials", "development"))
    lines = _lines(page.read_text(encoding="utf-8") if text is None else text)
    above: list[tuple[int, tuple[Path, ...]]] = []
    found = []
    for level, section in _sections(lines):
        own = named("\n".join(line for _, line, _ in section))
        above = [one for one in above if one[0] < level]
        files = own or next((theirs for _, theirs in reversed(above) if theirs), ())
        above.append((level, files))
        kinds = _kinds(section)
        for number, line, fence in section:
            if (fence is None or (fence == "" and outputs)) and (named(line) or not named_only):
                ours = (named(line) if line.startswith("|") else ()) or files
                for numbers in _together(line):
                    given = [kinds.get((number, one.text)) for one in numbers]
                    kind = kinds.get((number, "")) or (given[0] if all(given) else "")
                    found.append(Claim(number, numbers, ours, kind or ""))
    return found


def _lines(text: str) -> list[Line]:
    """All lines but those of generated parts, which tests of their own compare."""
    fence, generated, found = None, False, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() in _GENERATED:
            generated = True
        elif line.strip() == _END:
            generated = False
        elif line.lstrip().startswith("```"):
            fence = line.strip()[3:] if fence is None else None
        elif not generated:
            found.append((number, line, fence))
    return found


def _sections(lines: Sequence[Line]) -> Iterator[tuple[int, list[Line]]]:
    level, section = 0, []
    for number, line, fence in lines:
        heading = re.match(r"#+ ", line) if fence is None else None
        if heading:
            yield level, section
            level, section = len(heading[0]) - 1, []
        section.append((number, line, fence))
    yield level, section


def _kinds(section: Sequence[Line]) -> dict[tuple[int, str], str]:
    """The kinds that comments give, by line and number; the number is empty for all of a line."""
    found: dict[tuple[int, str], str] = {}
    block: list[tuple[int, str]] = []

    def close() -> None:
        text = "\n".join(line for _, line in block)
        for kind, numbers in _NO_FILE.findall(text):
            assert kind in KINDS, f"'no file: {kind}': expected one of {sorted(KINDS)}"
            assert kind != "unrecorded" or "no file" in _NO_FILE.sub("", text), text
            for line, _ in block:
                found.update({(line, number): kind for number in numbers.split() or [""]})
        block.clear()

    for number, line, _ in section:
        starts_row = line.startswith("|") and not (block and _NO_FILE.match(block[0][1]))
        if not line.strip() or line.startswith("* ") or starts_row:
            close()
        if line.strip():
            block.append((number, line))
    close()
    return found


def _together(line: str) -> list[tuple[Number, ...]]:
    """The decimals of a line, those of one claim together, without code, links and versions."""
    line = re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", lambda m: " " * len(m[0]), line)
    numbers = []
    for m in _DECIMAL.finditer(line):
        if not _NO_RESULT.search(line[: m.start()]):
            after = re.match(r"\*{0,2}(?: to [\d.]+)? %", line[m.end() :])
            numbers.append((m.start(), Number(m[1] + m[2], after is not None)))
    spans = [(m.start(), m.end()) for m in _CLAIM.finditer(line)]
    if line.startswith("|"):
        spans = list(_cells(line)) or spans
    groups: dict[object, list[Number]] = {}
    for start, number in numbers:
        own = next((span for span in spans if span[0] <= start < span[1]), start)
        groups.setdefault(own, []).append(number)
    # Means, spreads and intervals with one decimal are percent, also those below 1.
    return [
        tuple(replace(one, percent=one.text[-2] == ".") for one in group)
        if group[1:]
        else (*group,)
        for group in groups.values()
    ]


def _cells(line: str) -> Iterator[tuple[int, int]]:
    """Where cells of numbers are, an interval with p in the next cell; in cells of text, claims."""
    start, before = 0, None
    for cell in line.split("|"):
        end = start + len(cell)
        told = cell.replace(" to ", "")
        if re.search(r"[^\W\d_]", told) or not re.search(r"[(±:]|^ *\d\.\d+ *$", told):
            if before:
                yield before
            before = None
            yield from ((start + m.start(), start + m.end()) for m in _CLAIM.finditer(cell))
        elif before and re.fullmatch(r" *\d\.\d+ *", cell) and "(" in line[before[0] : before[1]]:
            yield before[0], end
            before = None
        else:
            if before:
                yield before
            before = (start, end)
        start = end + 1
    if before:
        yield before


def main() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        block, told = re.compile(rf"{_VERSIONS}\n.*?{_END}\n", re.S), versions_block(page)
        found = block.search(text)
        if told != (found[0] if found else ""):
            text = block.sub(told, text) if found else f"{text}\n{told}"
            page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
