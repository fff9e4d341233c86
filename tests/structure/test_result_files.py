"""A number in the docs can be traced: its file says how, from what code and where it was made."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from page_numbers import ROOT, Number, claims, holds, made_by, pages, versions_block

FILES = sorted((ROOT / "benchmarks" / "results").rglob("*.json"))
PAGES = pages()


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_decimal_of_a_page_is_that_of_a_result_file_or_says_why_not(page: Path) -> None:
    missing = [claim for claim in claims(page) if not claim.is_held]
    told = "; ".join(map(str, missing))
    assert not missing, f"{page.relative_to(ROOT)}: in no file that the section names: {told}"


def test_nine_of_ten_decimals_are_those_of_a_result_file() -> None:
    found = [claim for page in PAGES for claim in claims(page)]
    by_a_file = [len(claim.numbers) for claim in found if not claim.kind]
    assert sum(by_a_file) > 0.9 * sum(len(claim.numbers) for claim in found) > 1000


def test_a_changed_digit_is_seen() -> None:
    """So many equal numbers are in the files that some changes cannot be seen; most must be."""
    tried = changed = noticed = 0
    for claim in (claim for page in PAGES for claim in claims(page)):
        if claim.kind or not claim.is_held:
            continue
        for place, number in enumerate(claim.numbers):
            for i, digit in enumerate(number.text):
                tried += digit.isdigit()
                if digit.isdigit() and tried % 4 == 0:  # some are enough
                    text = number.text[:i] + str((int(digit) + 5) % 10) + number.text[i + 1 :]
                    wrong = list(claim.numbers)
                    wrong[place] = replace(number, text=text)
                    changed += 1
                    noticed += not holds(claim.files, wrong)
    assert noticed > 0.8 * changed


def test_numbers_of_one_claim_must_stand_in_one_record() -> None:
    page = ROOT / "docs" / "results" / "made-up.md"
    text = """
    # A page

    | labels alone | `auto` | gain | p |
    | --- | --- | --- | --- |
    | 72.9 ± 2.6 | **90.8** ± 0.7 | +17.8 (12.4 to 23.3) | 0.001 |
    | 72.9 ± 0.8 | 50.1 ± 49.9 | +17.8 (12.4 to 23.4) | |

    With a threshold of 0.75. <!-- no file: setting -->

    It is 0.31 or 0.62 elsewhere. <!-- no file: cited 0.31 -->

    Of 0.75, with Python 3.11 and p < 0.001, `x = 0.5`. File: `few-labels-4.json`.
    """
    found = claims(page, text.replace("\n    ", "\n"))
    assert [str(claim) for claim in found if not claim.is_held] == [
        "line 6: +17.8 12.4 23.3 0.001",
        "line 7: 72.9 0.8",
        "line 7: 50.1 49.9",
        "line 7: +17.8 12.4 23.4",
        "line 11: 0.62",
        "line 13: 0.75",
    ]
    held = [number for claim in found if claim.is_held for number in claim.numbers]
    assert [number.text for number in held] == ["72.9", "2.6", "90.8", "0.7", "0.75", "0.31"]


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [
        ("0.48", 0.4849, True),
        ("0.48", 0.486, False),
        ("48.5", 0.4849, True),
        ("−1.3", -0.0131, True),
        ("+1.3", -0.0131, False),
        ("1.3", -0.0131, True),
        ("0.7", 0.67, True),
        ("1.20", 1_203_456, True),
    ],
)
def test_a_number_is_compared_as_it_is_printed(text: str, value: float, same: bool) -> None:
    assert Number(text).is_of(value) is same


@pytest.mark.parametrize("page", [page for page in PAGES if made_by(page)], ids=lambda p: p.stem)
def test_a_page_says_which_versions_made_its_files(page: Path) -> None:
    told = versions_block(page)
    assert told in page.read_text(encoding="utf-8"), "run: python tests/page_numbers.py"


def test_the_tables_of_speed_are_those_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables = importlib.import_module("speed_tables")
    text = (ROOT / "docs" / "results" / "speed.md").read_text(encoding="utf-8")
    for name, table in (("targets", tables.targets()), ("parts", tables.parts())):
        assert f"<!-- {name} -->\n{table}\n<!-- end -->\n" in text


def test_the_faults_that_are_made_for_the_tests_fit_the_code(monkeypatch) -> None:
    """A fault whose text is gone from the code would no longer be tried, and nobody would know."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    mutants = importlib.import_module("mutants")
    faults = [fault for several in mutants.FAULTS.values() for fault in several]
    assert len(faults) >= 60
    mutants.check(faults)
