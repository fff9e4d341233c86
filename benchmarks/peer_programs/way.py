"""What the programs beside this file have in common: they read a job, do it, and write an answer.

    PYTHON benchmarks/peer_programs/NAME.py JOB.json ANSWER.json

A job has ``files``, their ``labels`` (numbers) and ``models``: for each the rows to learn from
(``train``), those without labels (``pool``) and those to name (``test``), and whatever the way was
told. The answer has the numbers of the classes named, and processor seconds. This file needs no
package, as each program runs where its own are installed.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

Job = dict[str, Any]
NOT_NAMED = -1


def seconds() -> float:
    """Of processors, by this process and those that it has waited for."""
    return sum(os.times()[:4])


def job_of() -> Job:
    found: Job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return found


def _answer(packages: Iterable[str], **found: Any) -> None:
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    Path(sys.argv[2]).write_text(json.dumps({**found, "versions": versions}), encoding="utf-8")


def by_vectors(
    vectors: Callable[[Job, Sequence[str]], Any],
    learn: Callable[[Job, Any, dict[str, Any]], Iterable[int]],
    packages: Iterable[str] = (),
) -> None:
    """A way that turns every file into a vector once, and learns from vectors."""
    job = job_of()
    begun = seconds()
    x = vectors(job, job["files"])
    once, begun = seconds() - begun, seconds()
    named = [[int(n) for n in learn(job, x, model)] for model in job["models"]]
    of_model = (seconds() - begun) / len(named)
    _answer(packages, named=named, vectors_seconds=once, model_seconds=of_model)


def by_folders(user: Callable[[Job], None], packages: Iterable[str] = ()) -> None:
    """A way that is used as a person does, in a folder with ``labelled``, ``pool`` and ``new``.

    ``labelled`` has a folder a class. ``user`` leaves ``predictions.csv`` with the names of files
    in its first column, and of classes in ``label`` or the second; a file that is not in it, or
    is called something else, counts as named wrongly.
    """
    job, here, named = job_of(), Path.cwd(), []
    begun = seconds()
    for number, model in enumerate(job["models"]):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            for row in model["train"]:
                _put(job, row, Path("labelled") / f"class {job['labels'][row]:02d}")
            for row in model["pool"]:
                _put(job, row, Path("pool"))
            for row in model["test"]:
                _put(job, row, Path("new"))
            user({**job, "seed": model["seed"] % 2**31})
            with Path("predictions.csv").open(encoding="utf-8", newline="") as table:
                rows = list(csv.reader(table))
            at = rows[0].index("label") if "label" in rows[0] else 1
            said = {Path(row[0]).stem: row[at] for row in rows}
            os.chdir(here)
        found = [said.get(f"{row:05d}", "") for row in model["test"]]
        named.append([int(name[6:]) if name.startswith("class ") else NOT_NAMED for name in found])
        right = sum(a == job["labels"][b] for a, b in zip(named[-1], model["test"], strict=True))
        print(f"model {number + 1}: {right} of {len(named[-1])}", file=sys.stderr, flush=True)
    _answer(packages, named=named, model_seconds=(seconds() - begun) / len(named))


def _put(job: Job, row: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(job["files"][row]).resolve()
    (folder / f"{row:05d}{source.suffix.lower()}").symlink_to(source)
