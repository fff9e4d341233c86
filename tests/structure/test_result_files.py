"""A number in the docs can be traced: its file says how, from what code and where it was made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

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
    missing = [
        key for key in ("command", "commit", "seed", "machine", "versions") if key not in found
    ]
    assert not missing
    assert found["command"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["versions"]["semisonic"])
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
