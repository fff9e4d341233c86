"""What a search is about: ranges by dotted names, the recipe around them, and Optuna's study."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from semisonic.core.errors import OptionError
from semisonic.core.options import field_types, from_mapping, nearest, to_dict
from semisonic.experiments.options import TuneOptions, parse_change
from semisonic.experiments.recipe import (
    COMPARISON,
    Recipe,
    Setting,
    expand,
    load_table,
    merged,
    put,
)
from semisonic.recipes import find

# What is searched: ranges and lists of values, by the dotted names of a recipe's options.
#
# A range is written ``"1e-4..1e-2 log"``, ``"0..0.5"`` or ``"0..0.5 step 0.1"``; of an option
# that is a whole number it is one of whole numbers. Anything else is a list of values.


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"\s*(?P<low>{_NUMBER})\s*\.\.\s*(?P<high>{_NUMBER})"
    rf"(?:\s+(?:(?P<log>log)|step\s+(?P<step>{_NUMBER})))?\s*"
)
EXPECTED = "a range such as '1e-4..1e-2 log' or '0..0.5 step 0.1', or a list of values"

Point = Mapping[str, Any]
"""A value for each name that is searched."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Attributes
    ----------
    name : str
        As ``setting.fit.learning_rate``.
    low, high : float
    log : bool
        Whether equal ratios count alike, and not equal differences.
    step : float
        From one value to the next; 0 for any value between the ends.
    whole : bool
        Whether the values are whole numbers.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float = 0.0
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The lowest and the highest value."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def __str__(self) -> str:
        more = " log" * self.log + (f" step {self.step:g}" if self.step else "")
        return f"{self.low:g}..{self.high:g}{more}"


@dataclass(frozen=True)
class Choices:
    """One of several values, which stand in no order."""

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as text, each its own."""
        return tuple(map(label_of, self.values))

    def __str__(self) -> str:
        return ", ".join(self.labels)


Dimension = Range | Choices
Space = tuple[Dimension, ...]


def label_of(value: Any) -> str:
    """A value as text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def dimension(name: str, spec: Any, kind: type) -> Dimension:
    """A range or a choice from what a TOML file or the command line says.

    Parameters
    ----------
    name : str
    spec : str or list
        A range as text, or values.
    kind : type
        Of the option: int and float have ranges.

    Raises
    ------
    OptionError
        For anything else, a range that is empty, or the same value twice.
    """
    where = f"search over '{name}': "
    if isinstance(spec, str) and (found := _RANGE.fullmatch(spec)):
        return _range(name, found, kind, where)
    if not isinstance(spec, (list, tuple)) or not spec:
        raise OptionError(f"{where}found {spec!r}, expected {EXPECTED}")
    one = Choices(name, tuple(spec))
    if len(spec) < 2:
        raise OptionError(
            f"{where}found one value, {one.labels[0]}, expected several; to set it use "
            f"--change {name}={one.labels[0]}"
        )
    if len(set(one.labels)) < len(one.labels):
        raise OptionError(f"{where}found a value twice in {list(one.labels)}")
    return one


def _range(name: str, found: re.Match[str], kind: type, where: str) -> Range:
    low, high, step = float(found["low"]), float(found["high"]), float(found["step"] or 0)
    text = found[0].strip()
    if kind not in (int, float):
        raise OptionError(f"{where}found the range '{text}', expected a list of values")
    if not low < high:
        raise OptionError(f"{where}found '{text}', expected the lower end first")
    if found["log"] and low <= 0:
        raise OptionError(f"{where}found '{text}', expected ends above 0 for log")
    if found["step"] and not 0 < step <= high - low:
        raise OptionError(f"{where}found '{text}', expected a step above 0 and within the range")
    if kind is int and not all(number.is_integer() for number in (low, high, step)):
        raise OptionError(f"{where}found '{text}', expected whole numbers")
    return Range(name, low, high, bool(found["log"]), step, kind is int)


def parse_search(text: str) -> tuple[str, Any]:
    """``"a.b=1..3"`` as ``("a.b", "1..3")`` and ``"a.b=x,y"`` as ``("a.b", ["x", "y"])``.

    Raises
    ------
    OptionError
        Without an equals sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise OptionError(f"option 'search': found '{text}', expected NAME=RANGE or NAME=A,B,C")
    if _RANGE.fullmatch(value):
        return key.strip(), value.strip()
    whole = parse_change(text)[1]
    if isinstance(whole, list):
        return key.strip(), whole
    return key.strip(), [parse_change(f"x={part}")[1] for part in value.split(",") if part.strip()]


def flat(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Tables within tables as one, by dotted names; of a name that stands twice the last counts."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}{str(key).replace('-', '_')}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every combination of the values, the last name changing fastest.

    Raises
    ------
    OptionError
        For a range: a grid is made of lists.
    """
    for one in space:
        if isinstance(one, Range):
            raise OptionError(
                f"option 'sampler': a grid needs lists, but '{one.name}' is the range '{one}'; "
                f'give its values, as in "{one.name}={_spread(one)}", or use --sampler tpe'
            )
    names = [one.name for one in space]
    return [dict(zip(names, p, strict=True)) for p in product(*_values(space))]


def _values(space: Iterable[Dimension]) -> list[tuple[Any, ...]]:
    return [one.values for one in space if isinstance(one, Choices)]


def _spread(one: Range) -> str:
    """Three values of a range, as an example."""
    middle = math.sqrt(one.low * one.high) if one.log else (one.low + one.high) / 2
    middle = round(middle) if one.whole else middle
    return f"{one.low:g},{middle:.2g},{one.high:g}"


# What a search is about: a recipe, the setting to start from, and the space around it.


SETTING = "setting."
BATCH = "batch_size"
"""Stands for that of pre-training and of training, as in a recipe."""
_FRONT = tuple(
    SETTING + name
    for name in (
        "mel.",
        "segments.hop",
        "segments.rest",
        "segments.copies",
        "classifier",
        "inputs",
    )
)


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
        lists = [one for one in self.space if is_of_front(one) and isinstance(one, Choices)]
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

    What the command line gives, with ``search``, is the whole space. Otherwise it is
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
        raise OptionError(
            f"{file}: found kind {kind!r}, but only one of kind {COMPARISON!r} has "
            "a setting to search around"
        )
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
    specs = {name.replace("-", "_"): spec for name, spec in map(parse_search, options.search)}
    where = ""
    if not specs:
        specs, where = (flat(tune), f"{file}: tune.") if tune else (grid, f"{file}: grid.")
    if not specs:
        raise OptionError(
            f"{file}: nothing to search: the recipe has no [tune] table. Add one, or give "
            "--search 'setting.fit.learning_rate=1e-4..1e-2 log'"
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
        for place in (f"pretrain.{BATCH}", f"fit.{BATCH}") if short == BATCH else (short,):
            put(table["setting"], place, value)
    return from_mapping(Setting, merged(to_dict(setting), table["setting"]), f"{where}{SETTING}")


def value_of(setting: Setting, name: str) -> Any:
    """The value that a setting has under a dotted name; of ``batch_size`` that of training."""
    short = name.removeprefix(SETTING)
    value: Any = setting
    for part in (f"fit.{BATCH}" if short == BATCH else short).split("."):
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


def _checked(base: Setting, name: str, spec: Any, where: str) -> Dimension:
    """The dimension, if the option exists and its values are allowed."""
    place = where.rpartition(": ")[0]
    place = f"{place}: " if place else ""
    one = dimension(name, spec, _kind_of(name, place))
    for value in one.values if isinstance(one, Choices) else one.ends:
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
