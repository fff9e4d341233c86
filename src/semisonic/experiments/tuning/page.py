"""The report of a search: what was found, how far to trust it, and what mattered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.base.files import write_json
from semisonic.base.options import to_dict
from semisonic.base.wording import duration, percent, points
from semisonic.evaluation.plots import Slice, option_importance, search_course, search_slices
from semisonic.evaluation.report import Number, Page
from semisonic.experiments.material import Material
from semisonic.experiments.tune_options import TuneOptions
from semisonic.experiments.tuning.outcome import COMPLETE, FAILED, PRUNED, Outcome, Trial
from semisonic.experiments.tuning.plain import (
    best_rows,
    command_of,
    short,
    text_of,
    values_of,
)
from semisonic.experiments.tuning.space import Choice, Space, label_of
from semisonic.experiments.tuning.target import Target, value_of
from semisonic.training import RunFolder

ONCE = (
    "The score of the best trial is optimistic: it was chosen because it is high on these very "
    "clips. Only the test folds, scored once, say what the search brought."
)
KEEP = "no trial beat the recipe: keep its values"
FEW = 15
"""With fewer complete trials, what mattered is a guess, and the page says so."""


def write_page(
    run: RunFolder,
    options: TuneOptions,
    target: Target,
    material: Material,
    outcome: Outcome,
    *,
    command: str,
    n_test: int,
    notes: Sequence[str],
) -> Path:
    """Write ``report.html`` with tables and figures, and ``results.json``.

    Parameters
    ----------
    command : str
        What measures the best settings on the test folds.
    n_test : int
        Clips of the test folds.
    notes : sequence of str
        What a reader must know of the data.
    """
    labelled = material.labelled
    recipe = target.recipe
    page = Page(
        f"Search over settings: {recipe.title}",
        f"{len(labelled)} training clips of '{labelled.name}', {len(labelled.classes)} classes, "
        f"in {options.inner_folds} inner folds by recording; {n_test} clips of test "
        f"{_folds(options.test_folds)} were not heard",
    )
    page.verdict(_claim(outcome), " ".join((*gain_in_words(outcome), ONCE)), outcome="open")
    page.numbers(_numbers(outcome))
    for note in notes:
        page.warning(note)
    if outcome.best is not None:
        page.section("The recipe's own values" if outcome.keeps_recipe else "The best settings")
        _settings(page, target, outcome, outcome.best)
    if outcome.keeps_recipe:
        page.text(f"{KEEP.capitalize()}. They stand in best.toml; there is nothing to measure.")
    elif outcome.best is not None:
        page.section("Measure it, once")
        page.text(
            "This trains the tuned settings and the recipe's own with the same split, seed and "
            "labels, and scores the test folds. Do it once: who searches on after looking at the "
            "test folds has made them training clips."
        )
        page.code(command)
    page.section("What mattered")
    _mattered(page, outcome, target.space)
    page.section("The course of the search")
    _course(page, outcome)
    page.section("Each option")
    page.figure(_slices(outcome, target), "Every trial. Hollow dots were given up early, after "
                "the first inner folds; the dashed line is the recipe's own value.",
                name="options")  # fmt: skip
    page.section("All trials")
    _trials(page, outcome, target.space)
    page.section("How it was made")
    page.facts({short(one.name): str(one) for one in target.space}, summary="What was searched")
    record = run.record
    page.facts(
        {**{key: str(record[key]) for key in ("commit", "machine", "started")}, **_plain(options)},
        summary="Options, machine and commit",
    )
    page.data = values_of(target, outcome)
    write_json(
        run.folder / "results.json",
        {
            **{key: record[key] for key in ("commit", "machine", "versions", "data", "started")},
            "command": command_of(options), "seed": options.seed, "recipe": to_dict(recipe),
            **page.data,
        },
    )  # fmt: skip
    return page.write(run.folder)


def gain_in_words(outcome: Outcome) -> tuple[str, ...]:
    """What is left of the gain without the luck of the choice; nothing where it is not known."""
    chosen = outcome.chosen
    if chosen is None or np.isnan(chosen.gain):
        return ()
    gain = points(chosen.gain, signed=True)
    ends = f"{points(chosen.gain_low, signed=True)} to {points(chosen.gain_high, signed=True)}"
    shown = "better than" if chosen.is_gain else "not shown to be better than"
    return (
        f"Without the luck of the choice the best is {shown} the recipe's own values: "
        f"{gain} points ({ends}).",
    )


def columns_of(outcome: Outcome) -> tuple[str, str]:
    """What the recipe's values and those of the best trial are called in tables."""
    if outcome.keeps_recipe:
        return "recipe (kept)", "best trial (worse)"
    return "recipe", "best"


def _claim(outcome: Outcome) -> str:
    best, default = outcome.best, outcome.default
    if best is None:
        return "No trial came to its end"
    n_all = len(outcome.trials)
    if outcome.keeps_recipe:
        return (
            f"{KEEP.capitalize()}. None of {n_all} trials does better on inner folds: "
            f"{percent(best.score)} against {percent(default.score)}"
        )
    claim = f"The best of {n_all} trials reaches {percent(best.score)} on inner folds"
    if default.state == COMPLETE:
        claim += f", the recipe's own values {percent(default.score)}"
    return claim


def _numbers(outcome: Outcome) -> list[Number]:
    best, default, chosen = outcome.best, outcome.default, outcome.chosen
    found = []
    if best is not None:
        gain = points(best.score - default.score, signed=True)
        note = f"{gain} points against the recipe" if default.state == COMPLETE else ""
        found.append(
            Number(percent(best.score), "inner accuracy of the best trial", note, "treated")
        )
    if chosen is not None:
        note = f"{percent(chosen.low)} to {percent(chosen.high)}"
        found.append(Number(percent(chosen.mean), "without the luck of the choice", note))
    if default.state == COMPLETE:
        found.append(
            Number(percent(default.score), "the recipe's own values", "same folds", "control")
        )
    ended = ", ".join(
        f"{len(outcome.of(state))} {word}"
        for state, word in ((COMPLETE, "complete"), (PRUNED, "given up early"), (FAILED, "failed"))
        if outcome.of(state)
    )
    found.append(Number(str(len(outcome.trials)), "trials", ended))
    spent = sum(trial.seconds for trial in (default, *outcome.trials))
    return [*found, Number(duration(spent), "training", "of one process")]


def _settings(page: Page, target: Target, outcome: Outcome, best: Trial) -> None:
    page.table(
        ["option", *columns_of(outcome)], best_rows(target, best), name="best",
        caption=f"Trial {best.number}; all other options are as the recipe has them",
    )  # fmt: skip
    if outcome.chosen is not None:
        page.text(
            "'Without the luck of the choice' is the score when the best trial is chosen on some "
            "recordings and scored on the others, again and again (Tsamardinos and others, 2018). "
            "It is nearer the truth than the highest score, and still says nothing of other places "
            "and microphones."
        )
    runners = sorted(outcome.of(COMPLETE), key=lambda trial: -trial.score)[1:]
    spread = float(np.std(best.accuracies, ddof=1)) if len(best.accuracies) > 1 else np.nan
    close = [
        one for one in runners if best.score - one.score <= spread / np.sqrt(len(best.accuracies))
    ]
    if close:
        page.text(
            f"{len(close)} other complete trials lie within one standard error of the best over "
            "its inner folds: which of them is on top is chance."
        )


def _mattered(page: Page, outcome: Outcome, space: Space) -> None:
    n = len(outcome.of(COMPLETE))
    if not outcome.importance:
        page.text(
            "Only one option was searched." if len(space) == 1 else
            f"{n} complete trials are too few, or too much alike, to say what mattered."
        )  # fmt: skip
        return
    shares = {short(name): share for name, share in outcome.importance.items()}
    page.figure(
        option_importance(shares),
        "Functional ANOVA of the complete trials: the share of the variance of their scores that "
        "each option explains alone. What is missing to 100 % are options acting together, and "
        "chance.",
        name="importance",
    )
    if n < FEW:
        page.warning(f"{n} complete trials: take this as a hint, not as a result.")
    page.table(["option", "share"], list(shares.items()), name="importance",
               formats={"share": percent}, folded=True, caption="The same as numbers")  # fmt: skip


def _course(page: Page, outcome: Outcome) -> None:
    trials = outcome.trials
    scores = [one.score for one in trials]
    done = [one.state == COMPLETE for one in trials]
    default = outcome.default.score
    page.figure(
        search_course([one.number for one in trials], scores, done, default=default),
        "Trials in the order of their beginning.", name="course", wide=False,
    )  # fmt: skip
    spent = np.cumsum([one.seconds for one in trials]) / 60
    page.figure(
        search_course(
            spent, scores, done, default=default, label="minutes of training", whole=False
        ),
        "The same against the time that training took.", name="course-time", wide=False,
    )  # fmt: skip


def _slices(outcome: Outcome, target: Target) -> Any:
    trials = [one for one in outcome.trials if one.point]
    slices = []
    for one in target.space:
        values = [trial.point[one.name] for trial in trials]
        default = value_of(target.base, one.name)
        if isinstance(one, Choice):
            texts, text = [label_of(v) for v in values], _label(default, one)
            slices.append(Slice(short(one.name), texts, one.labels, default=text))
        else:
            slices.append(
                Slice(short(one.name), [float(v) for v in values], log=one.log,
                      default=float(default))
            )  # fmt: skip
    return search_slices(
        slices, [one.score for one in trials], [one.state == COMPLETE for one in trials]
    )


def _trials(page: Page, outcome: Outcome, space: Space) -> None:
    n_steps = max((len(one.accuracies) for one in (outcome.default, *outcome.trials)), default=0)
    names = [short(one.name) for one in space]
    headers = ["trial", "ended", "inner accuracy", *names,
               *(f"part {i + 1}" for i in range(n_steps)), "seconds", "reason"]  # fmt: skip
    rows = [
        [
            one.number, one.state, one.score,
            *(text_of(one.point[d.name]) if d.name in one.point else None for d in space),
            *one.accuracies, *[None] * (n_steps - len(one.accuracies)), round(one.seconds, 1),
            one.reason,
        ]
        for one in outcome.trials
    ]  # fmt: skip
    shares = ("inner accuracy", *(f"part {i + 1}" for i in range(n_steps)))
    best = outcome.best
    page.table(
        headers, rows, name="trials", formats=dict.fromkeys(shares, percent),
        styles={i: "strong" for i, one in enumerate(outcome.trials) if one is best},
        note="A part is an inner fold, of each draw of labels in turn.", folded=len(rows) > 30,
        caption="Every trial",
    )  # fmt: skip


def _plain(options: TuneOptions) -> dict[str, Any]:
    """Options, with the places of data named and not given."""
    values = to_dict(options)
    return {
        name: value.name if isinstance(value, Path) else str(value)
        for name, value in values.items()
        if name not in ("output", "cache", "where") and value not in (None, "", [])
    }


def _label(value: Any, one: Choice) -> str | None:
    text = label_of(list(value) if isinstance(value, tuple) else value)
    return text if text in one.labels else None


def _folds(folds: Sequence[int]) -> str:
    return f"fold {folds[0]}" if len(folds) == 1 else f"folds {', '.join(map(str, folds))}"
