"""What a release says of itself is the same everywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

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


def address(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / ".ci" / "address.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What the page on PyPI is made from, and what it links to."""
    if "[project.urls]" in (ROOT / "pyproject.toml").read_text("utf-8"):
        pytest.skip("the files of a release have their address")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("README.md", "pyproject.toml", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_the_page_on_pypi_leads_to_the_repository_at_the_tag(source: Path) -> None:
    home = "https://forge.example/owner/semisonic"
    done = address(source, home, "v9.9.9")
    assert done.returncode == 0, done.stderr

    page = (source / "README.md").read_text("utf-8")
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", page)
    assert [link for _, link in links if not link.startswith("https://")] == []
    pictures = [link for picture, link in links if picture]
    assert f"{home}/raw/v9.9.9/docs/images/report.png" in pictures
    assert all(link.startswith(f"{home}/raw/v9.9.9/docs/images/") for link in pictures)
    pages = [link for picture, link in links if not picture]
    assert f"{home}/blob/v9.9.9/docs/guides/install.md" in pages
    inside = f"{home}/blob/v9.9.9/docs/getting-started.md#did-the-unlabelled-recordings-help"
    assert inside in pages
    assert "\npip install semisonic\n" in page
    assert "ADDRESS" not in page

    urls = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Source"] == home
    assert urls["Changelog"] == f"{home}/blob/v9.9.9/CHANGELOG.md"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<!-- from source -->", "", "outside the passage marked 'from source'"),
        ("docs/images/report.png", "docs/images/gone.png", "docs/images/gone.png"),
    ],
)
def test_a_page_that_would_be_wrong_on_pypi_is_refused(
    source: Path, old: str, new: str, said: str
) -> None:
    readme = source / "README.md"
    text = readme.read_text("utf-8").replace(old, new)
    readme.write_text(text, "utf-8")
    done = address(source, "https://forge.example/owner/semisonic", "v9.9.9")
    assert done.returncode
    assert said in done.stderr
    assert readme.read_text("utf-8") == text
