"""How much disk the package takes, and each of its extras, with all that they ask for.

Counts the files of an environment in which the package is installed with all extras; compiled
bytecode is left out. ``python benchmarks/install_sizes.py -o FILE`` writes it.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path

from semisonic.core.files import write_json
from semisonic.training.run_folder import commit, machine

sys.path.append(str(Path(__file__).parents[1] / ".ci"))
from link_libraries import libraries

MEGABYTE = 1e6
MOST = 8
"""Libraries that are named, the largest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    core = sizes("semisonic")
    extras = metadata.metadata("semisonic").get_all("Provides-Extra") or []
    rows = [row("semisonic", {"semisonic": core["semisonic"]}), row("core", core)]
    for extra in sorted(set(extras) - {"test", "dev", "docs"}):
        found = sizes(f"semisonic[{extra}]")
        rows.append(row(extra, {name: n for name, n in found.items() if name not in core}))
    for line in rows:
        print(f"{line['part']:10} {line['megabytes']:7.1f} MB  {line['largest']}")
    about = {"command": f"python benchmarks/install_sizes.py -o {output}", "seed": 0}
    write_json(output, {**about, "commit": commit(), "machine": machine(), "rows": rows})


def sizes(asked: str) -> dict[str, int]:
    """Bytes of what is asked for and of all that it needs, by library."""
    return {found.metadata["Name"]: n_bytes(found) for found in libraries([asked])}


def n_bytes(library: metadata.Distribution) -> int:
    """Bytes of the files of a library."""
    files = [Path(str(library.locate_file(file))) for file in library.files or []]
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def row(part: str, found: dict[str, int]) -> dict[str, object]:
    """One line of the result."""
    largest = sorted(found, key=lambda name: -found[name])[:MOST]
    return {
        "part": part,
        "megabytes": round(sum(found.values()) / MEGABYTE, 1),
        "n_libraries": len(found),
        "largest": {name: round(found[name] / MEGABYTE, 1) for name in largest},
    }


if __name__ == "__main__":
    main()
