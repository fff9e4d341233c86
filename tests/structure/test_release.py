"""What a release says of itself is the same everywhere."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from systems import POSIX

ROOT = Path(__file__).parents[2]


def test_the_version_is_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    parts = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert cited == version
    assert version == next(part for part in parts if part != "Unreleased")


@POSIX
def test_a_tag_of_another_version_is_refused() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

    def notes(tag: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", ROOT / ".ci" / "notes", tag], capture_output=True, text=True, check=False
        )

    assert notes(version).stdout.strip()
    assert "## " not in notes(version).stdout.replace("### ", "").replace("#### ", "")
    wrong = notes("9.9.9")
    assert wrong.returncode == 2
    assert version in wrong.stderr
