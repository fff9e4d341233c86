"""How much disk the package takes, and each of its extras, with all that they ask for.

Counts the files of an environment in which pip has installed the package with all extras, with the
bytecode that pip compiles, and without. ``python benchmarks/install_sizes.py -o FILE`` writes it.
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
        both = f"{line['megabytes']:7.1f} MB, {line['without_bytecode']:7.1f} without bytecode"
        print(f"{line['part']:10} {both}  {line['largest']}")
    about = {"command": f"python benchmarks/install_sizes.py -o {output}", "seed": 0}
    write_json(output, {**about, "commit": commit(), "machine": machine(), "rows": rows})


def sizes(asked: str) -> dict[str, list[int]]:
    """Bytes of what is asked for and of all that it needs, by library: of source and bytecode."""
    return {found.metadata["Name"]: n_bytes(found) for found in libraries([asked])}


def n_bytes(library: metadata.Distribution) -> list[int]:
    """Bytes of the files of a library, and of its bytecode."""
    total = [0, 0]
    for name in library.files or []:
        file = Path(str(library.locate_file(name)))
        if file.is_file():
            total[file.suffix == ".pyc"] += file.stat().st_size
    return total


def row(part: str, found: dict[str, list[int]]) -> dict[str, object]:
    """One line of the result."""
    whole = {name: sum(parts) for name, parts in found.items()}
    largest = sorted(whole, key=lambda name: -whole[name])[:MOST]
    return {
        "part": part,
        "megabytes": round(sum(whole.values()) / MEGABYTE, 1),
        "without_bytecode": round(sum(files for files, _ in found.values()) / MEGABYTE, 1),
        "n_libraries": len(found),
        "largest": {name: round(whole[name] / MEGABYTE, 1) for name in largest},
    }


if __name__ == "__main__":
    main()
