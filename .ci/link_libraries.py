"""Give an environment the libraries that a wheel asks for, as links into this Python's own.

``python .ci/link_libraries.py WHEEL ENVIRONMENT``. A library that is used and not asked for is
missing there, as for everybody who installs the wheel. Files of the package that are not in the
wheel are an error, too.
"""

from __future__ import annotations

import os
import sys
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCE = Path(__file__).parents[1] / "src"


def main(wheel: Path, environment: Path) -> None:
    """Check the files of a wheel, and link its libraries."""
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        name = next(name for name in inside if name.endswith(".dist-info/METADATA"))
        asked = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    files = (file for file in (SOURCE / "semisonic").rglob("*") if file.is_file())
    needed = {file.relative_to(SOURCE).as_posix() for file in files if file.suffix != ".pyc"}
    if missing := sorted(needed - inside):
        sys.exit(f"not in the wheel, add to package-data: {', '.join(missing)}")
    target = next(environment.glob("lib/python*/site-packages"))
    for distribution in libraries(asked):
        for file in distribution.files or []:
            top = file.parts[0]
            place = target / top
            if top not in ("..", "__pycache__") and not place.exists():
                os.symlink(Path(str(distribution.locate_file(top))), place)


def libraries(asked: list[str]) -> list[metadata.Distribution]:
    """What is asked for, and all that is needed for it."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(text, "") for text in asked]
    seen = set(waiting)
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found[name] = metadata.distribution(name)
        for more in found[name].requires or []:
            new = {(more, wanted) for wanted in ("", *requirement.extras)} - seen
            seen |= new
            waiting += new
    return list(found.values())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
