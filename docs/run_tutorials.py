"""Run the notebooks of docs/tutorials, and keep what they show.

python docs/run_tutorials.py [NAME ...]

The outputs are kept without the sounds, which would be most of a file: who runs the notebook can
listen. With names, such as ``detection``, only these are run.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "tutorials"
LONGEST = 600
"""Seconds after which a cell is taken to hang."""
_AUDIO = re.compile(r"<audio\b.*?</audio>", re.DOTALL)
_CELL = re.compile(r"\S*ipykernel_\d+\S*\.py:")
"""The file that Jupyter makes of a cell, which differs from run to run."""


def run(path: Path) -> Any:
    """A notebook with its outputs, run in a folder of its own.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="semisonic-") as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=LONGEST, kernel_name="python3", resources=where).execute()
    return notebook


def without_sounds(notebook: Any) -> Any:
    """The notebook without players, and without when its cells were run."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                data["text/html"] = _AUDIO.sub("", data["text/html"])
            if "text" in output:
                output["text"] = _CELL.sub("line ", output["text"])
    notebook.metadata.pop("language_info", None)
    return notebook


def main() -> None:
    """Run the notebooks that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            nbformat.write(without_sounds(run(path)), path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
