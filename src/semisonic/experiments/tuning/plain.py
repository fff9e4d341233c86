"""A search as plain values: for files, for tables, and as the command that repeats it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.experiments.tune_options import TuneOptions
from semisonic.experiments.tuning.outcome import Outcome, Trial
from semisonic.experiments.tuning.space import label_of
from semisonic.experiments.tuning.target import SETTING, Target, value_of


def values_of(target: Target, outcome: Outcome) -> dict[str, Any]:
    """The numbers of a search as plain values."""
    chosen = outcome.chosen
    return {
        "space": {one.name: str(one) for one in target.space},
        "default": _trial(outcome.default),
        "best": _trial(outcome.best) if outcome.best else None,
        "keeps_recipe": outcome.keeps_recipe,
        "without_luck": asdict(chosen) if chosen else None,
        "importance": dict(outcome.importance),
        "trials": [_trial(one) for one in outcome.trials],
    }


def best_rows(target: Target, best: Trial) -> list[tuple[str, str, str]]:
    """Name, the recipe's value and the best one of each option that was searched."""
    return [
        (short(one.name), text_of(value_of(target.base, one.name)), text_of(best.point[one.name]))
        for one in target.space
    ]


def _trial(one: Trial) -> dict[str, Any]:
    score = None if np.isnan(one.score) else one.score
    return {
        "number": one.number, "state": one.state, "score": score,
        "accuracies": list(one.accuracies), "settings": dict(one.point),
        "seconds": one.seconds, "reason": one.reason,
    }  # fmt: skip


def command_of(options: TuneOptions) -> str:
    """The command that repeats the search; the places of data are named, not given."""
    parts = ["semisonic", "tune", Path(options.recipe).stem]
    plain = TuneOptions()
    for field in fields(options):
        value = getattr(options, field.name)
        name = f"--{field.name.replace('_', '-')}"
        skipped = field.name in ("recipe", "output", "cache", "device", "where")
        if skipped or value == getattr(plain, field.name):
            continue
        if isinstance(value, bool):
            parts.append(name if value else f"--no-{name[2:]}")
        elif field.name in ("change", "search"):
            parts += [part for one in value for part in (name, one)]
        elif isinstance(value, tuple):
            parts += [name, ",".join(map(str, value))]
        else:
            parts += [name, value.name if isinstance(value, Path) else str(value)]
    return shlex.join(parts)


def short(name: str) -> str:
    """An option's name as it stands in tables."""
    return name.removeprefix(SETTING)


def text_of(value: Any) -> str:
    """A value as it stands in tables."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return label_of(list(value) if isinstance(value, tuple) else value)
