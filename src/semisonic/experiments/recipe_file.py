"""Recipe files: TOML read, quick and other changes put in, settings and grids spelled out."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.options import from_mapping, nearest
from semisonic.data.categories import read_categories
from semisonic.experiments.recipe import Budget, Ensemble, Recipe, Setting

COMPARISON, STAGES = KINDS = ("comparison", "stages")
"""What a recipe's ``kind`` may be; the first if it says none."""


def read_recipe(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe file.

    Parameters
    ----------
    path : str or Path
    quick : bool
        Apply the recipe's ``[quick]`` table: a look at the result in minutes.
    changes : mapping, optional
        Dotted keys and values put over the file, as ``{"setting.train.epochs": 5}``.

    Raises
    ------
    OptionError
        For a file that is not TOML, an unknown key or a value out of range.
    """
    table = load_table(path, quick=quick, changes=changes)
    kind = table.pop("kind", COMPARISON)
    if kind != COMPARISON:
        raise OptionError(f"{path}: found kind {kind!r}, expected {COMPARISON!r} here")
    return expand(table, str(path))


def recipe_kind(path: str | Path) -> str:
    """What kind of experiment a recipe file describes: "comparison" or "stages".

    Raises
    ------
    OptionError
        For a file that is not TOML, or an unknown kind.
    """
    kind = load_table(path).get("kind", COMPARISON)
    if kind not in KINDS:
        raise OptionError(f"{path}: kind: found {kind!r}; {nearest(str(kind), KINDS)}")
    return str(kind)


def load_table(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A recipe file's tables, with the changes of ``[quick]`` and of the caller put in.

    Raises
    ------
    OptionError
        For a file that is not TOML, or a change of what is no table.
    """
    source = Path(path)
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"recipe {source}: cannot be read: {error}") from error
    fast = table.pop("quick", {})
    _check_tables({"quick": fast}, str(source))
    for key, value in {**(fast if quick else {}), **(changes or {})}.items():
        put(table, key, value)
    return table


def put(table: dict[str, Any], dotted: str, value: Any) -> None:
    """Set ``table[a][b][c] = value`` for the key ``a.b.c``."""
    *path, last = dotted.replace("-", "_").split(".")
    for name in path:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise OptionError(f"recipe key '{dotted}': '{name}' is no table")
        table = inner
    table[last] = value


def _check_tables(table: Mapping[str, Any], where: str) -> None:
    """See that tables are tables and lists are lists, before anything is made of them."""
    for name in ("setting", "control", "grid", "quick", "tune"):
        if not isinstance(table.get(name, {}), dict):
            raise OptionError(f"{where}: '{name}': found {table[name]!r}, expected [{name}]")
    for name in ("settings", "budgets", "ensembles"):
        rows = table.get(name, [{}])
        if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
            raise OptionError(f"{where}: '{name}': found {rows!r}, expected one or more [[{name}]]")
    for key, values in table.get("grid", {}).items():
        if not (isinstance(values, list) and values):
            raise OptionError(f"{where}: 'grid.{key}': found {values!r}, expected a list of values")


def expand(table: dict[str, Any], where: str) -> Recipe:
    """The recipe that a file's tables describe; ``where`` is the file, for errors.

    ``[tune]`` is for a search over settings and left out here. The tables are changed.

    Raises
    ------
    OptionError
        For an unknown key or a value out of range.
    """
    _check_tables(table, where)
    table.pop("tune", None)
    shared = table.pop("setting", {})
    control = table.pop("control", {})
    own = table.pop("settings", [{}])
    grid = table.pop("grid", {})
    table["ensembles"] = [
        from_mapping(Ensemble, row, f"{where}: ensembles.") for row in table.pop("ensembles", [])
    ]
    table["against"] = _pairs(table.pop("against", []), where)
    table["categories"] = _categories(table.pop("categories", {}), where)
    budgets = tuple(
        from_mapping(Budget, row, f"{where}: budgets.") for row in table.pop("budgets", [{}])
    )
    settings, controls = [], []
    for changes in own:
        apart = changes.pop("control", {})
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            settings.append(_setting(shared, changes, point, where))
            plain = {"pretraining": False, "method": "supervised", "pool": False}
            without = merged(merged(plain, control), apart)
            controls.append(_setting(merged(deepcopy(shared), changes), without, point, where))
    names = [setting.name for setting in settings]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"{where}: two settings are called '{name}'; give each its own name")
    head = from_mapping(Recipe, table, f"{where}: ")
    _check_names(head, names, where)
    return replace(head, budgets=budgets, settings=tuple(settings), controls=tuple(controls))


def _check_names(head: Recipe, names: list[str], where: str) -> None:
    """See that ensembles are made of settings, and pairs of settings or ensembles."""
    for one in head.ensembles:
        if len(one.of) < 2 or not one.name or one.name in names:
            raise OptionError(
                f"{where}: 'ensembles': found name '{one.name}' of {list(one.of)}, expected a name "
                "of its own and two or more settings"
            )
    known = [*names, *(one.name for one in head.ensembles)]
    for key, wanted, among in (
        ("ensembles", [name for one in head.ensembles for name in one.of], names),
        ("against", [name for pair in head.against for name in pair], known),
    ):
        for name in wanted:
            if name not in among:
                raise OptionError(f"{where}: '{key}': no setting '{name}': {nearest(name, among)}")


def _pairs(given: Any, where: str) -> list[tuple[Any, ...]]:
    """The pairs of settings, lists in a file; what is in them is checked with the recipe."""
    if not isinstance(given, list) or not all(isinstance(p, list) and len(p) == 2 for p in given):
        raise OptionError(
            f'{where}: \'against\': found {given!r}, expected pairs of names, as [["a", "b"]]'
        )
    return [tuple(pair) for pair in given]


def _categories(given: Any, where: str) -> list[tuple[str, str]]:
    """Class and group of each class, from a table of the recipe or a file beside it."""
    if isinstance(given, str):
        return list(read_categories(Path(where).parent / given).items())
    if not isinstance(given, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in given.values()
    ):
        raise OptionError(
            f"{where}: 'categories': found {given!r}, expected a file, or [categories] with a "
            "list of class names for each group"
        )
    pairs = [(name, group) for group, names in given.items() for name in names]
    for name, _ in pairs:
        if sum(one == name for one, _ in pairs) > 1:
            raise OptionError(f"{where}: 'categories': '{name}' is in two groups, expected one")
    return pairs


def _setting(
    shared: Mapping[str, Any], changes: Mapping[str, Any], point: Mapping[str, Any], where: str
) -> Setting:
    values = merged(merged({}, shared), changes)
    for key, value in point.items():
        put(values, key, value)
    if "batch_size" in values:
        batch = values.pop("batch_size")
        for part in ("pretrain", "train"):
            put(values, f"{part}.batch_size", batch)
    coordinates = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in point.items())
    if coordinates:
        name = values.get("name")
        values["name"] = f"{name}, {coordinates}" if name else coordinates
    return from_mapping(Setting, values, f"{where}: setting.")


def merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over`` put in, tables within tables; it is changed."""
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merged(base[key], value)
        else:
            base[key] = deepcopy(value)
    return base
