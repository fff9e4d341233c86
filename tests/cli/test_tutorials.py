"""The notebooks of the tutorials: they run from top to bottom, and say what is so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
LONG = {"detection", "few-labels", "own-recordings"}
"""Those that take the longest."""
LARGEST = 300_000
"""Bytes of a notebook in the repository."""
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def _runner() -> Any:
    spec = importlib.util.spec_from_file_location("run_tutorials", ROOT / "docs/run_tutorials.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"no '{pattern}' in:\n{text}"
    return float(found[1])


def _copies_flatter(text: str) -> None:
    by_file = _number(r"each file for itself +accuracy ([\d.]+)", text)
    assert by_file > _number(r"by recording +accuracy ([\d.]+)", text) + 0.1
    assert "recordings on both sides: none" in text


def _labels_help(text: str) -> None:
    automatic = _number(r"automatic, with the pool: +([\d.]+)", text)
    assert automatic > _number(r"labels only, random weights: +([\d.]+)", text)
    assert _number(r"after one round: ([\d.]+)", text) >= automatic - 0.05


def _events_are_found(text: str) -> None:
    assert _number(r"labels \(.*?recall ([\d.]+)", text) > 0.6
    assert _number(r"labels \(.*?precision ([\d.]+)", text) > 0.6


def _parts_learn(text: str) -> None:
    numbers = re.findall(r"(?:two-layers|small|tilt|minimisation|encoder): *([\d.]+)", text)
    assert len(numbers) == 5
    assert min(map(float, numbers)) > 0.4, "chance is 0.2"


SAYS = {
    "detection": _events_are_found,
    "few-labels": _labels_help,
    "own-parts": _parts_learn,
    "own-recordings": _copies_flatter,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.long] * (path.stem in LONG))
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_and_shows_what_its_text_says(path: Path) -> None:
    notebook = _runner().run(path)
    assert any(
        "text/html" in o.get("data", {}) for c in notebook.cells for o in c.get("outputs", ())
    )
    SAYS.get(path.stem, len)(_printed(notebook))


def test_there_are_notebooks_with_what_they_show_and_no_more() -> None:
    assert len(NOTEBOOKS) == 5
    for path in NOTEBOOKS:
        assert path.stat().st_size <= LARGEST, f"{path.name}: run docs/run_tutorials.py"
        text = path.read_text(encoding="utf-8")
        assert "ipykernel_" not in text, f"{path.name}: run docs/run_tutorials.py"
        assert "<audio" not in text, f"{path.name}: run docs/run_tutorials.py"
        assert "image/" in text, f"{path.name}: without outputs; run docs/run_tutorials.py"
        counts = [
            cell.execution_count
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code"
        ]
        assert counts == list(range(1, len(counts) + 1)), f"{path.name}: not run in order"


def test_links_of_notebooks_lead_somewhere() -> None:
    links = [
        (path, target)
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
        for target in _LINK.findall(cell.source)
    ]
    assert len(links) > 5
    assert [(p.name, t) for p, t in links if not (p.parent / t).exists()] == []
