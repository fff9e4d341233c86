"""A search over settings: what it uses, how it goes on, and what it leaves."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semisonic.audio.write import write
from semisonic.cli.main import main
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import EngineOptions
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.options import RunOptions, TuneOptions
from semisonic.experiments.recipe import read_recipe
from semisonic.experiments.run import run_recipe
from semisonic.experiments.tune import ARMS, TuneResult, best_of, tune

pytest.importorskip("optuna")

RECIPE = """
title = "tiny"
validation = 0.0
[setting]
model = "(4)3c-2p-8fc"
objective = "none"
pool = false
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.fit]
epochs = 2
batch_size = 8
[tune]
setting.fit.learning_rate = "1e-4..1e-1 log"
setting.dropout = "0..0.5"
setting.fit.batch_size = [4, 8]
"""
GRID = {"sampler": "grid", "trials": None}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def options(recipe, tiny_set, tmp_path_factory) -> TuneOptions:
    return TuneOptions(
        recipe=str(recipe),
        data=tiny_set / "labelled.csv",
        output=tmp_path_factory.mktemp("tune") / "out",
        trials=4,
        inner_folds=2,
        device="cpu",
        workers=1,
        near_copies=False,
    )


@pytest.fixture
def search(options, tmp_path):
    """Search in a folder of its own."""

    def run(**changes: object) -> TuneResult:
        return tune(replace(options, **({"output": tmp_path / "out"} | changes)))

    return run


@pytest.fixture(scope="module")
def finished(options) -> TuneResult:
    return tune(options)


def trials(result: TuneResult) -> list[dict[str, object]]:
    """What a search wrote of its trials, without times."""
    found = json.loads((result.recipe.parent / "results.json").read_text(encoding="utf-8"))
    rows = [found["default"], *found["trials"]]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def jobs(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.glob("jobs/*/job.json")}


def scored(folder: Path) -> pd.DataFrame:
    """The clips that a search scored."""
    files = folder.glob("jobs/train-*/predictions.csv.gz")
    return pd.concat([pd.read_csv(file, dtype=str) for file in files])


def test_numbers_of_results_page_and_python_agree(finished) -> None:
    rows, folder = trials(finished), finished.recipe.parent
    assert [row["number"] for row in rows] == [-1, 0, 1, 2, 3]
    complete = [row for row in rows[1:] if row["state"] == "complete"]
    best = max(complete, key=lambda row: (row["score"], -row["number"]))
    beaten = best["score"] <= rows[0]["score"]
    own = {"setting.fit.learning_rate": 1e-3, "setting.dropout": 0.0}
    own["setting.fit.batch_size"] = 8
    assert dict(finished.best) == (own if beaten else best["settings"])
    assert finished.score == best["score"] == pytest.approx(np.mean(best["accuracies"]))
    assert finished.default_score == rows[0]["score"]
    assert (folder / "tables" / "trials.csv").read_text(encoding="utf-8").count("\n") == 5
    page = finished.report.read_text(encoding="utf-8")
    assert ("No trial beat the recipe: keep its values" in page) == beaten
    assert "optimistic" in page
    assert "best.toml" in page
    points = [row["settings"] for row in rows[1:]]
    for point in points:
        assert 1e-4 <= point["setting.fit.learning_rate"] <= 1e-1
        assert 0 <= point["setting.dropout"] <= 0.5
        assert point["setting.fit.batch_size"] in (4, 8)
    assert len({json.dumps(point) for point in points}) == 4


def test_where_no_trial_beats_the_recipe_its_values_are_kept(search, tmp_path) -> None:
    file = tmp_path / "hopeless.toml"
    text = RECIPE.partition("[tune]")[0].replace("epochs = 2", "epochs = 6\nlearning_rate = 0.01")
    file.write_text(
        text + '[tune]\nsetting.fit.learning_rate = "1e-9..1e-8 log"\n', encoding="utf-8"
    )
    result = search(recipe=str(file), trials=2)
    said, page = result.summary(), result.report.read_text(encoding="utf-8")
    assert "no trial beat the recipe: keep its values" in said
    assert "recipe (kept)" in said
    assert "To measure it" not in said
    assert "No trial beat the recipe: keep its values" in page
    assert "Measuring on the test folds" not in page
    found = read_recipe(result.recipe)
    assert found.settings[0].fit.learning_rate == 0.01
    assert found.settings[0].fit == found.controls[0].fit


@pytest.mark.parametrize("is_sound", [True, False], ids=["other sounds", "no sounds"])
def test_the_test_fold_has_no_say(finished, search, tiny_set, tmp_path, is_sound) -> None:
    """Other files and other labels in the test fold: the same search, to the last digit."""
    other = tmp_path / "other"
    shutil.copytree(tiny_set / "clips", other / "clips")
    table = pd.read_csv(tiny_set / "labelled.csv")
    tested = table["fold"] == 1
    rng = np.random.default_rng(1)
    for file in table["file"][tested]:
        if is_sound:
            write(other / file, (0.1 * rng.standard_normal(4000)).astype(np.float32), 8000)
        else:
            (other / file).write_text("no sound", encoding="utf-8")
    swapped = table["label"].map({"low": "high", "high": "low"})
    table["label"] = table["label"].where(~tested, swapped)
    table.to_csv(other / "labelled.csv", index=False)
    result = search(data=other / "labelled.csv")
    assert not result.failures
    assert trials(result) == trials(finished)


def test_no_recording_stands_in_two_inner_folds(finished) -> None:
    folds = scored(finished.recipe.parent).groupby("group")["fold"].nunique()
    assert len(folds) == 8  # two classes, two folds of three, two recordings each
    assert (folds == 1).all()


def test_a_finished_search_is_not_done_again_and_more_trials_go_on(
    finished, search, tmp_path
) -> None:
    shutil.copytree(finished.recipe.parent, tmp_path / "out")
    before = jobs(tmp_path / "out")
    assert trials(search()) == trials(finished)
    assert jobs(tmp_path / "out") == before
    more = trials(search(trials=6))
    assert len(more) == 7
    assert more[:5] == trials(finished)
    with pytest.raises(OptionError, match="belongs to another run"):
        search(sampler="random")


def test_cut_off_in_the_middle_it_goes_on_to_the_same_search(finished, search, tmp_path) -> None:
    shutil.copytree(finished.recipe.parent, tmp_path / "out")
    done = jobs(tmp_path / "out")
    gone = sorted(done)[: len(done) // 2]
    for file in gone:
        shutil.rmtree(file.parent)
    assert trials(search()) == trials(finished)
    kept = {file: time for file, time in done.items() if file not in gone}
    assert jobs(tmp_path / "out").items() >= kept.items()


@pytest.mark.slow
def test_two_processes_do_every_trial_once(search, tmp_path) -> None:
    """The search may take another way, but what one setting reaches is the same."""
    one = search(sampler="random", trials=2)
    two = search(sampler="random", trials=2, workers=2, output=tmp_path / "two")
    assert trials(one) == trials(two)


def test_the_best_settings_are_a_recipe_that_measures_them_against_the_old_ones(
    finished, recipe, tmp_path
) -> None:
    tuned, plain = read_recipe(finished.recipe), read_recipe(recipe)
    assert tuned.folds == (1,)
    setting, control = tuned.settings[0], tuned.controls[0]
    assert setting.fit.learning_rate == finished.best["setting.fit.learning_rate"]
    assert setting.dropout == finished.best["setting.dropout"]
    assert (control.fit, control.dropout) == (plain.settings[0].fit, 0.0)
    assert (setting.mel, control.mel) == (plain.settings[0].mel, plain.settings[0].mel)
    words = shlex.split(finished.command)
    assert words[:3] == ["semisonic", "run", str(finished.recipe)]
    assert main([*words[1:-1], str(tmp_path / "test"), "--device", "cpu", "--workers", "1"]) == 0
    found = json.loads((tmp_path / "test" / "results.json").read_text(encoding="utf-8"))["jobs"]
    assert [job["fold"] for job in found] == [1, 1]
    assert [job["n_train"] for job in found] == [16, 16]


def test_the_best_recipe_reaches_on_the_inner_folds_what_its_trial_reached(
    finished, tiny_set, tmp_path
) -> None:
    """The written recipe is the trial, and its control the recipe's own values, to the digit."""
    answers = scored(finished.recipe.parent)
    fold_of = dict(zip(answers["clip"].str.partition("@")[0], answers["fold"], strict=True))
    inner = pd.read_csv(tiny_set / "labelled.csv")
    inner["fold"] = inner["file"].map(fold_of)
    inner, data = inner.dropna(), tiny_set / "inner.csv"
    assert len(inner) == 16
    inner.to_csv(data, index=False)
    again = RunOptions(
        recipe=str(finished.recipe),
        data=data,
        output=tmp_path / "again",
        near_copies=False,
        change=("folds=[1,2]",),
        device="cpu",
        workers=1,
    )
    run_recipe(again)
    data.unlink()
    rows = json.loads((tmp_path / "again" / "results.json").read_text(encoding="utf-8"))["jobs"]
    found = {arm: [job["accuracy"] for job in rows if job["arm"] == arm] for arm in ARMS}
    assert found[ARMS[1]] == best_of(finished.trials).accuracies
    assert found[ARMS[0]] == finished.default.accuracies


def test_a_grid_tries_every_combination_once(search) -> None:
    grid = ("setting.mel.n_mels=8,16", "setting.model=(2)3c-4fc,(4)3c-4fc")  # front ends, too
    result = search(**GRID, search=grid, change=("setting.fit.epochs=1",))
    points = [tuple(one.settings.values()) for one in result.trials]
    assert points == [(8, "(2)3c-4fc"), (8, "(4)3c-4fc"), (16, "(2)3c-4fc"), (16, "(4)3c-4fc")]
    assert {one.state for one in result.trials} == {"complete"}


def test_a_trial_that_cannot_be_trained_fails_alone(search) -> None:
    """Thirteen halvings of 16 bands leave nothing: that model does not fit the input."""
    result = search(**GRID, search=(f"setting.model=(2)3c-4fc,{'-'.join(['(2)3c-2p'] * 13)}",))
    assert [one.state for one in result.trials] == ["complete", "failed"]
    assert result.trials[1].reason
    assert any("1 trial failed" in line for line in result.answers)


def test_a_hopeless_trial_is_given_up_after_its_first_fold(search) -> None:
    trials = search(
        trials=12,
        search=("setting.fit.learning_rate=1e-7..1e-1 log",),
        sampler="random",
        change=("setting.fit.epochs=4",),
    ).trials
    assert {one.state for one in trials} == {"pruned", "complete"}
    assert all(len(one.accuracies) == (1 if one.state == "pruned" else 2) for one in trials)
    assert best_of(trials).state == "complete"


def test_a_set_without_folds_gets_some_and_keeps_them_for_the_measurement(
    search, tiny_set, tmp_path
) -> None:
    data = tiny_set / "without.csv"
    pd.read_csv(tiny_set / "labelled.csv").drop(columns="fold").to_csv(data, index=False)
    words = shlex.split(search(data=data, trials=2).command)
    data.unlink()
    table = load_clips(words[words.index("--data") + 1])
    assert len(table) == 24
    assert set(table.fold.tolist()) == {1, 2, 3, 4, 5}
    used = {Path(clip.partition("@")[0]).name for clip in scored(tmp_path / "out")["clip"]}
    test = {Path(file).name for file in table.file[table.fold == 1].tolist()}
    assert test
    assert not test & used


def test_the_pool_holds_nothing_of_the_test_fold(search, tiny_set) -> None:
    changes = ("setting.objective=reconstruction", "setting.pool=true")
    changes += ("setting.pretrain.epochs=1", "setting.fit.epochs=1")
    result = search(unlabelled=tiny_set / "clips", trials=1, change=changes)
    assert any("8 clips of the pool are copies" in note for note in result.notes)


def test_every_draw_of_labels_counts_and_a_start_from_another_set_is_a_value(
    search, tmp_path
) -> None:
    text = RECIPE.partition("[tune]")[0]
    text = text.replace("pool = false", 'pool = false\nstart = "trained"')
    text = text.replace("validation = 0.0", "validation = 0.0\nbudgets = [{draws = 2}]")
    text += "[source]\nvalidation = 0.25\n[source.fit]\nepochs = 2\nbatch_size = 4\n"
    file, source = tmp_path / "start.toml", tmp_path / "source"
    file.write_text(text, encoding="utf-8")
    for name, pitch in (("a", 500.0), ("b", 3000.0)):
        (source / name).mkdir(parents=True)
        for i in range(6):
            wave = 0.3 * np.sin(2 * np.pi * (pitch + 20 * i) * np.arange(4000) / 8000)
            write(source / name / f"{name}{i}.wav", wave.astype(np.float32), 8000)
    result = search(
        recipe=str(file), **GRID, search=("setting.start=fresh,trained",), source=source
    )
    fresh, trained = result.trials
    assert len(fresh.accuracies) == len(trained.accuracies) == 2 * 2
    assert trained.accuracies == result.default.accuracies
    assert any("transferred" in note for note in result.notes)
    assert f"--source {source}" in result.command
    assert read_recipe(result.recipe).source == read_recipe(file).source
    assert read_recipe(result.recipe).budgets[0].draws == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("setting.fit.lr=1..2", "unknown option 'setting.fit.lr'"),
        ("setting.dropuot=0..0.5", "did you mean 'setting.dropout'"),
        ("setting.dropout=0..2", "at most 0.95"),
        ("setting.method=supervised,fixmach", "did you mean 'fixmatch'"),
        ("setting.model=1..2", "expected a list of values"),
        ("setting.fit.epochs=1.5..3", "expected a whole number"),
        ("setting.fit.learning_rate=0..1 log", "must hold for"),
        ("setting.dropout=0.5..0.1", "low <= high"),
        ("setting.dropout=0.5", "--change setting.dropout=VALUE"),
        ("setting.fit=1,2", "unknown option 'setting.fit'"),
        ("validation=0,0.1", "options of the setting"),
        ("setting.mel.n_mels=8..16", "computed before the search"),
        ("setting.segments.silence_db=-50..-30", "no value"),
        ("nonsense", "KEY=VALUE"),
        ({"sampler": "grid"}, "a grid needs lists"),
        ({"sampler": "grid", "search": ("setting.batch_size=4,8",), "trials": 3}, "2 points"),
        ({"test_folds": (7,)}, "found 7, expected some of the folds"),
        ({"test_folds": (1, 2, 3)}, "with clips left to search on"),
        ({"setting": "other"}, "has no 'other'"),
        ({"change": ("budgets=[{draws=1},{draws=2}]",)}, "found 2 budgets"),
    ],
)
def test_wrong_use_is_said(search, changes, said) -> None:
    with pytest.raises(OptionError, match=said.replace("[", r"\[")):
        search(**({"search": (changes,)} if isinstance(changes, str) else changes))


def test_too_few_recordings_for_the_inner_folds(search) -> None:
    with pytest.raises(DataError, match="use fewer folds"):
        search(inner_folds=50)


def test_without_optuna_the_error_names_the_extra(search, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(OptionError, match=r"pip install 'semisonic\[tune\]'"):
        search()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.long
def test_a_search_by_chance_is_the_same_on_ray(search, tmp_path) -> None:
    pytest.importorskip("ray")
    here = search(sampler="random", trials=2)
    there = search(
        sampler="random", trials=2, output=tmp_path / "ray", where=EngineOptions(engine="ray")
    )
    assert trials(there) == trials(here)
