"""What a search is about: a recipe, the setting to start from, and the space around it."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.options import field_types, from_mapping, nearest, to_dict
from semisonic.experiments.recipe import Recipe, Setting
from semisonic.experiments.recipe_file import COMPARISON, expand, load_table, merged, put
from semisonic.experiments.tune_options import TuneOptions
from semisonic.experiments.tuning.space import (
    Choice,
    Dimension,
    Point,
    Range,
    Space,
    dimension,
    flat,
    parse_search,
)
from semisonic.recipes import find

SETTING = "setting."
BATCH = "batch_size"
"""Stands for that of pre-training and of training, as in a recipe."""
_FRONT = tuple(
    SETTING + name
    for name in (
        "mel.", "segments.hop", "segments.rest", "segments.copies", "classifier", "inputs",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A recipe with one setting, and the space that is searched around it.

    Attributes
    ----------
    recipe : Recipe
        Its only setting is the one that the search starts from; its control is the same.
    space : tuple of Range or Choice
    file : Path
        The recipe's file.
    """

    recipe: Recipe
    space: Space
    file: Path

    @property
    def base(self) -> Setting:
        """The setting as the recipe has it."""
        return self.recipe.settings[0]

    def at(self, point: Point) -> Setting:
        """The setting with the values of a point.

        Raises
        ------
        OptionError
            Where the values do not go together.
        """
        return with_values(self.base, point, "search: ")

    def fronts(self) -> list[Setting]:
        """A setting for every front end and way to cut clips that the search can come to."""
        lists = [one for one in self.space if is_of_front(one) and isinstance(one, Choice)]
        found = []
        for values in product(*(one.values for one in lists)):
            point = dict(zip([one.name for one in lists], values, strict=True))
            try:
                found.append(self.at(point))
            except OptionError:
                continue  # values that do not go together: such a trial fails, and says so
        return found or [self.base]

    def around(self, setting: Setting) -> Recipe:
        """The recipe for one setting; both arms are it."""
        return replace(self.recipe, settings=(setting,), controls=(setting,))


def read_target(options: TuneOptions) -> Target:
    """Read the recipe and the space.

    What the command line gives, with ``search`` and ``space``, is the whole space. Otherwise it is
    the recipe's ``[tune]``, or its ``[grid]`` if it has no such table.

    Raises
    ------
    OptionError
        For a wrong key or value, in the recipe or in the space; for a recipe with several
        settings or budgets.
    """
    file = find(options.recipe)
    table = load_table(file, quick=options.quick, changes=options.changes)
    kind = table.pop("kind", COMPARISON)
    if kind != COMPARISON:
        raise OptionError(f"{file}: found kind {kind!r}, but only one of kind {COMPARISON!r} has "
                          "a setting to search around")  # fmt: skip
    tune = table.get("tune", {})
    recipe = expand({**table, "grid": {}}, str(file))
    recipe = replace(recipe, folds=())
    base = _the_setting(recipe, options.setting, str(file))
    if len(recipe.budgets) > 1:
        raise OptionError(
            f"{file}: found {len(recipe.budgets)} budgets, expected one to search under, as with "
            "--change 'budgets=[{labels_per_class = 4}]'"
        )
    grid = {f"{SETTING}{name}": values for name, values in table.get("grid", {}).items()}
    specs, where = _given(options)
    if not specs:
        specs, where = (flat(tune), f"{file}: tune.") if tune else (grid, f"{file}: grid.")
    if not specs:
        raise OptionError(
            f"{file}: nothing to search: the recipe has no [tune] table. Give one with --space "
            "FILE, or --search 'setting.train.learning_rate=1e-4..1e-2 log'"
        )
    space = tuple(_checked(base, name, spec, where) for name, spec in specs.items())
    one = replace(recipe, settings=(base,), controls=(base,), ensembles=(), against=(), main="")
    return Target(one, space, file)


def with_values(setting: Setting, values: Point, where: str) -> Setting:
    """A setting in which the options with these names (``setting.…``) have other values.

    Raises
    ------
    OptionError
        As for a recipe: with the nearest name, or what is expected.
    """
    table: dict[str, Any] = {"setting": {}}
    for name, value in values.items():
        short = name.removeprefix(SETTING)
        for place in (f"pretrain.{BATCH}", f"train.{BATCH}") if short == BATCH else (short,):
            put(table["setting"], place, value)
    return from_mapping(Setting, merged(to_dict(setting), table["setting"]), f"{where}{SETTING}")


def value_of(setting: Setting, name: str) -> Any:
    """The value that a setting has under a dotted name; of ``batch_size`` that of training."""
    short = name.removeprefix(SETTING)
    value: Any = setting
    for part in (f"train.{BATCH}" if short == BATCH else short).split("."):
        value = getattr(value, part)
    return value


def is_of_front(one: Dimension) -> bool:
    """Whether features, or the way clips are cut, depend on it."""
    return one.name.startswith(_FRONT)


def _the_setting(recipe: Recipe, wanted: str, where: str) -> Setting:
    names = [setting.name for setting in recipe.settings]
    if wanted and wanted not in names:
        raise OptionError(f"option 'setting': {where} has no '{wanted}': {nearest(wanted, names)}")
    if not wanted and len(names) > 1:
        raise OptionError(
            f"{where}: found {len(names)} settings; say which to search around with --setting, "
            f"one of: {'; '.join(names)}"
        )
    return recipe.settings[names.index(wanted)] if wanted else recipe.settings[0]


def _given(options: TuneOptions) -> tuple[dict[str, Any], str]:
    """What the command line says of the space, and where."""
    specs: dict[str, Any] = {}
    if options.space is not None:
        table = load_table(options.space)
        if set(table) != {"tune"} or not isinstance(table["tune"], dict):
            raise OptionError(
                f"option 'space': {options.space}: found {sorted(table)}, expected one table, "
                "[tune]"
            )
        specs |= flat(table["tune"])
    specs |= {name.replace("-", "_"): spec for name, spec in map(parse_search, options.search)}
    return specs, f"{options.space}: tune." if options.space else ""


def _checked(base: Setting, name: str, spec: Any, where: str) -> Dimension:
    """The dimension, if the option exists and its values are allowed."""
    place = where.rpartition(": ")[0]
    place = f"{place}: " if place else ""
    one = dimension(name, spec, _kind_of(name, place))
    for value in one.values if isinstance(one, Choice) else one.ends:
        with_values(base, {name: value}, place)
    if isinstance(one, Range) and is_of_front(one):
        raise OptionError(
            f"{place}search over '{name}': found the range '{one}', expected a list of values: "
            "features are computed before the search, once for each front end"
        )
    if value_of(base, name) is None:
        raise OptionError(
            f"{place}search over '{name}': the recipe gives it no value that the best one could "
            f"be compared with; give one with --change {name}=…"
        )
    return one


def _kind_of(name: str, place: str) -> type:
    """The type of an option of a setting."""
    if not name.startswith(SETTING):
        raise OptionError(
            f"{place}unknown option '{name}': a search is over options of the setting, as "
            f"{SETTING}train.learning_rate"
        )
    kind: Any = Setting
    path = name.removeprefix(SETTING).split(".")
    if path == [BATCH]:
        return int
    for i, part in enumerate(path):
        known = field_types(typing.cast(type, kind)) if dataclasses.is_dataclass(kind) else {}
        if part not in known or (i == 0 and part == "name"):
            full = SETTING + ".".join(path[: i + 1])
            raise OptionError(f"{place}unknown option '{full}': {nearest(part, known)}")
        kind = known[part]
    if dataclasses.is_dataclass(kind):
        inner = ", ".join(field_types(typing.cast(type, kind)))
        raise OptionError(
            f"{place}search over '{name}': a group of options, expected one of: {inner}"
        )
    alternatives = [one for one in typing.get_args(kind) if one is not type(None)]
    is_optional = type(None) in typing.get_args(kind)
    return typing.cast(type, alternatives[0] if is_optional else kind)
