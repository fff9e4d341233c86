"""The clips that a search may hear: those of the test folds are set apart first.

Their audio is opened for two things only, and only where it has to be: to keep copies of them out
of a pool, and, in a set without folds, to see that copies of one sound come into one fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisonic.base.errors import OptionError
from semisonic.base.files import write_csv
from semisonic.data.checks import COPIES, Together, clean_pool, copies_together
from semisonic.data.checks.recordings import AUTO
from semisonic.data.clips import Clips
from semisonic.data.splits import make_folds

N_FOLDS = 5
FOLDS = "folds.csv"
"""The clips with the folds that were made, where the data have none."""


@dataclass(frozen=True)
class Apart:
    """A labelled set without its test folds.

    Attributes
    ----------
    clips : Clips
        What the search may hear, without folds.
    pool : Clips or None
        Without copies and recordings of the test folds.
    n_test : int
        Labelled clips that are left for the measurement.
    folds_file : Path or None
        Where the made folds were written; None for a set that has its own.
    notes : tuple of str
    """

    clips: Clips
    pool: Clips | None
    n_test: int
    folds_file: Path | None
    notes: tuple[str, ...]


def set_apart(
    labelled: Clips,
    pool: Clips | None,
    test_folds: Sequence[int],
    folder: Path,
    *,
    seed: int,
    near_copies: bool,
    group: str = AUTO,
    workers: int | None = None,
) -> Apart:
    """Take the test folds out of a labelled set and out of what goes with it.

    Parameters
    ----------
    labelled : Clips
    pool : Clips, optional
    test_folds : sequence of int
    folder : Path
        Where the table of folds goes, if they have to be made.
    seed : int
        Of folds, where the data have none.
    near_copies : bool
        Listen for copies besides comparing bytes.
    group : str
        How recordings were told: where the user said it, no copies are looked for.

    Raises
    ------
    OptionError
        For a fold that there is not, or when none is left to search on.
    """
    notes: list[str] = []
    folds_file = None
    if not labelled.folds:
        together = Together(labelled)
        if group in (AUTO, COPIES):
            together = copies_together(
                labelled, near=near_copies, workers=workers, cache=folder / "cache"
            )
        labelled = together.clips
        labelled = labelled.with_columns(fold=make_folds(labelled, N_FOLDS, seed))
        folds_file = folder / FOLDS
        _write(labelled, folds_file)
        notes += ["The data have no official folds: five were made, by recording.", *together.notes]
    known = sorted({int(fold) for fold in labelled.fold[labelled.is_labelled]} - {0})
    wrong = [fold for fold in test_folds if fold not in known]
    if wrong or not test_folds:
        raise OptionError(
            f"option 'test_folds': found {', '.join(map(str, wrong)) or 'none'}, expected some of "
            f"the folds of '{labelled.name}': {', '.join(map(str, known))}"
        )
    tested = np.isin(labelled.fold, test_folds)
    groups = set(labelled.group[tested].tolist())
    straddling = ~tested & np.isin(labelled.group, list(groups))
    rest = labelled[~tested & ~straddling]
    if not rest.is_certain.any():
        raise OptionError(
            f"option 'test_folds': found {list(test_folds)} of {known}: no labelled clip is left "
            "to search on"
        )
    if straddling.any():
        notes.append(
            f"{int(straddling.sum())} training clips are of recordings that also stand in the test "
            "folds; the search does not hear them."
        )
    if pool is not None:
        n = len(pool)
        # A name that a data set gives a recording is the same recording in both.
        pool = pool[~np.isin(pool.group, list(groups)) | (pool.group == pool.file)]
        clean = clean_pool(pool, labelled[tested], near=near_copies, workers=workers)
        pool = clean.clips
        if n > len(pool):
            notes.append(f"{n - len(pool)} clips of the pool are copies or recordings of test "
                         "clips; the search does not hear them.")  # fmt: skip
    n_test = int((tested & labelled.is_labelled).sum())
    rest = rest.with_columns(fold=np.zeros(len(rest), np.int64))
    return Apart(rest, pool, n_test, folds_file, tuple(notes))


def _write(clips: Clips, path: Path) -> None:
    """A table that reads back as these clips, wherever it lies."""
    table = clips.to_frame()
    table["file"] = [str(file.resolve()) for file in clips.paths]
    table = table.astype(object).where(table.notna(), "")
    write_csv(path, [str(name) for name in table], table.itertuples(index=False))
