"""Groups of classes by class name: the five of ESC-50, or groups that the user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from semisonic.core.errors import DataError
from semisonic.core.options import nearest
from semisonic.data.tables import read_table

ESC_50 = {
    "animals": "dog, rooster, pig, cow, frog, cat, hen, insects, sheep, crow",
    "natural and water": "rain, sea waves, crackling fire, crickets, chirping birds, water drops, "
    "wind, pouring water, toilet flush, thunderstorm",
    "human, not speech": "crying baby, sneezing, clapping, breathing, coughing, footsteps, "
    "laughing, brushing teeth, snoring, drinking sipping",
    "interior": "door wood knock, mouse click, keyboard typing, door wood creaks, can opening, "
    "washing machine, vacuum cleaner, clock alarm, clock tick, glass breaking",
    "exterior": "helicopter, chainsaw, siren, car horn, engine, train, church bells, airplane, "
    "fireworks, hand saw",
}
_OTHER_WORDS = {
    "dog bark": "dog",
    "baby cry": "crying baby",
    "person sneeze": "sneezing",
    "fire crackling": "crackling fire",
    "insects flying": "insects",
    "door knock": "door wood knock",
}
_GROUP_OF = {name: group for group, names in ESC_50.items() for name in names.split(", ")}


def categories_of(
    classes: Sequence[str], given: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """The group of each class, in the order of the classes.

    Parameters
    ----------
    classes : sequence of str
    given : mapping of class to group, optional
        By default the five groups of ESC-50, if all classes are known there.

    Returns
    -------
    dict of class to group, or None
        None if nothing is given and some class is not in ESC-50.

    Raises
    ------
    DataError
        When ``given`` leaves a class out, or names an unknown one.
    """
    if not given:
        plain = [esc_name(name) for name in classes]
        if not all(name in _GROUP_OF for name in plain):
            return None
        return {name: _GROUP_OF[key] for name, key in zip(classes, plain, strict=True)}
    missing = [name for name in classes if name not in given]
    unknown = [name for name in given if name not in classes]
    if missing or unknown:
        what = (
            f"the class '{missing[0]}' has no group"
            if missing
            else (f"'{unknown[0]}' is not a class of the data; {nearest(unknown[0], classes)}")
        )
        raise DataError(f"groups of classes: {what}. Every class needs exactly one group")
    return {name: given[name] for name in classes}


def read_categories(path: Path) -> dict[str, str]:
    """Read a table with the columns ``class`` and ``group``.

    Raises
    ------
    DataError
        When a column is missing, a cell is empty or a class has two groups.
    """
    table = read_table(path)
    if not {"class", "group"} <= set(table.columns):
        raise DataError(
            f"{path}: found the columns {', '.join(table.columns)}; expected 'class' and 'group'"
        )
    found: dict[str, str] = {}
    for row in table.rows:
        name, group = row["class"], row["group"]
        if not name or not group:
            raise DataError(f"{row.where}: found an empty cell, expected a class and its group")
        if found.setdefault(name, group) != group:
            raise DataError(
                f"{row.where}: '{name}' is in '{group}', and in '{found[name]}' above; "
                "expected one group per class"
            )
    return found


def esc_name(name: str) -> str:
    """A class name in the words of ESC-50's table, with spaces: 'Baby cry' is 'crying baby'."""
    plain = " ".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
    return _OTHER_WORDS.get(plain, plain)
