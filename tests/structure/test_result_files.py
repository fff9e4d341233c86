"""A number in the docs can be traced: its file says how, from what code and where it was made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "benchmarks" / "results").rglob("*.json"))


def git(*arguments: str) -> str | None:
    """What git answers about this checkout, None where it fails."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def history() -> frozenset[str] | None:
    """The commits that lead to this one, None where they are not all here."""
    if shutil.which("git") is None or git("rev-parse", "--is-shallow-repository") != "false":
        return None
    found = git("rev-list", "HEAD")
    return None if found is None else frozenset(found.splitlines())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_result_file_says_how_it_was_made(file: Path) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))
    missing = [key for key in ("command", "commit", "seed", "machine") if key not in found]
    assert not missing
    assert found["command"]
    assert re.fullmatch(r"[0-9a-f]{40}\+?", found["commit"])
    seeds = found["seed"] if isinstance(found["seed"], list) else [found["seed"]]
    assert seeds
    assert all(isinstance(seed, int) for seed in seeds)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_commit_of_a_result_file_is_in_the_history(file: Path) -> None:
    commits = history()
    if commits is None:
        pytest.skip("no complete history of commits here")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["commit"].rstrip("+") in commits
    for short in re.findall(r"\bcommits? ([0-9a-f]{7,40})\b", found.get("note", "")):
        assert any(commit.startswith(short) for commit in commits), short


PAGES = [
    page for folder in ("results", "explanation") for page in (ROOT / "docs" / folder).glob("*.md")
]
INTERVAL = re.compile(r"\(([−+]?\d+\.\d) to ([−+]?\d+\.\d)\)")
SPREAD = re.compile(r"(\d+\.\d)\*{0,2} ± (\d+\.\d)")


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries within a value of JSON."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from dictionaries(inner)


@cache
def measured(low: str, high: str) -> list[tuple[float, float]]:
    """The pairs of numbers under two keys, in percent, of all result files."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in FILES]
    pairs = [
        (d[low], d[high]) for file in found for d in dictionaries(file) if low in d and high in d
    ]
    return [(100 * a, 100 * b) for a, b in pairs if a is not None and b is not None]


def in_no_file(text: str) -> list[str]:
    """The intervals and the means with their spread in a text that no result file holds."""
    return [
        found.group()
        for pattern, keys in ((INTERVAL, ("low", "high")), (SPREAD, ("mean", "spread")))
        for found in pattern.finditer(text)
        if not any(
            abs(number(found[1]) - a) < 0.051 and abs(number(found[2]) - b) < 0.051
            for a, b in measured(*keys)
        )
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_intervals_and_spreads_of_a_page_are_those_of_a_result_file(page: Path) -> None:
    assert not in_no_file(page.read_text(encoding="utf-8"))


def test_a_number_that_was_not_measured_would_be_seen() -> None:
    told = "| **90.8** ± 0.7 | 50.1 ± 49.9 | +17.8 (12.4 to 23.3) | −1.0 (−98.7 to 96.5) |"
    assert in_no_file(told) == ["(−98.7 to 96.5)", "50.1 ± 49.9"]
