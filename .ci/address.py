"""Give the page on PyPI the address of the project, and the way to install it from there.

``python .ci/address.py ADDRESS TAG``, such as ``https://example.org/owner/semisonic v0.2.0``,
changes README.md and pyproject.toml in place, before the files of a release are built: links and
pictures lead to the repository at that tag, the marked passage about installing from source
becomes one command, and the project's links are set. The repository itself names no address.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README, PROJECT = Path("README.md"), Path("pyproject.toml")
FROM_SOURCE = re.compile(r"<!-- from source -->\n.*?<!-- /from source -->\n", re.DOTALL)
FROM_PYPI = """Install it in a virtual environment:

```bash
pip install semisonic
```
"""
LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?:|#|mailto:)([^)#\s]+)")


def main(address: str, tag: str) -> None:
    """Change both files, or none."""
    readme = readme_at(README.read_text(encoding="utf-8"), address.rstrip("/"), tag)
    project = project_at(PROJECT.read_text(encoding="utf-8"), address.rstrip("/"), tag)
    README.write_text(readme, encoding="utf-8", newline="\n")
    PROJECT.write_text(project, encoding="utf-8", newline="\n")


def readme_at(text: str, address: str, tag: str) -> str:
    """README.md as it is read elsewhere."""

    def absolute(match: re.Match[str]) -> str:
        picture, before, path = match.groups()
        if not Path(path).exists():
            sys.exit(f"{README}: found a link to {path}, which does not exist")
        return f"{picture}{before}{address}/{'raw' if picture else 'blob'}/{tag}/{path}"

    text = FROM_SOURCE.sub(FROM_PYPI, text)
    for words in ("from source -->", "not on PyPI", "git clone"):
        if words in text:
            sys.exit(f"{README}: found {words!r} outside the passage marked 'from source'")
    return LINK.sub(absolute, text)


def project_at(text: str, address: str, tag: str) -> str:
    """pyproject.toml with the project's links."""
    if "[project.urls]" in text:
        sys.exit(f"{PROJECT}: found [project.urls], expected none, as this sets them")
    return f"""{text.rstrip()}

[project.urls]
Documentation = "{address}/blob/{tag}/docs/index.md"
Source = "{address}"
Changelog = "{address}/blob/{tag}/CHANGELOG.md"
Issues = "{address}/issues"
"""


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python .ci/address.py ADDRESS TAG")
    main(*sys.argv[1:])
