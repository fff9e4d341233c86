"""A search over settings: what it hears, how it goes on, and what it leaves."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semisonic.audio.write import write
from semisonic.cli.main import main
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import EngineOptions
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.options import RunOptions, TuneOptions
from semisonic.experiments.recipe import read_recipe
from semisonic.experiments.run import run_recipe
from semisonic.experiments.tune import ARMS, TuneResult, tune
from waiting import until

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


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


def options(recipe: Path, data: Path, output: Path, **changes: object) -> TuneOptions:
    values: dict[str, object] = {
        "recipe": str(recipe),
        "data": data,
        "output": output,
        "trials": 4,
        "inner_folds": 2,
        "device": "cpu",
        "workers": 1,
        "near_copies": False,
    }
    return TuneOptions(**(values | changes))


@pytest.fixture(scope="module")
def finished(recipe, tiny_set, tmp_path_factory) -> tuple[TuneOptions, TuneResult]:
    chosen = options(recipe, tiny_set / "labelled.csv", tmp_path_factory.mktemp("tune") / "out")
    return chosen, tune(chosen)


def trials(folder: Path) -> list[dict[str, object]]:
    """What a search wrote of its trials, without times."""
    found = json.loads((folder / "results.json").read_text())
    rows = [found["default"], *found["trials"]]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_numbers_of_results_page_and_python_agree(finished) -> None:
    chosen, result = finished
    rows = trials(chosen.output)
    assert [row["number"] for row in rows] == [-1, 0, 1, 2, 3]
    complete = [row for row in rows[1:] if row["state"] == "complete"]
    best = max(complete, key=lambda row: (row["score"], -row["number"]))
    beaten = best["score"] <= rows[0]["score"]
    own = {"setting.fit.learning_rate": 1e-3, "setting.dropout": 0.0}
    own["setting.fit.batch_size"] = 8
    assert dict(result.best) == (own if beaten else best["settings"])
    assert result.score == best["score"] == pytest.approx(np.mean(best["accuracies"]))
    assert result.default_score == rows[0]["score"]
    assert (chosen.output / "tables" / "trials.csv").read_text().count("\n") == 5
    page = result.report.read_text(encoding="utf-8")
    assert ("No trial beat the recipe: keep its values" in page) == beaten
    assert "optimistic" in page
    assert "best.toml" in page


def test_where_no_trial_beats_the_recipe_its_values_are_kept_in_file_page_and_terminal(
    tiny_set, tmp_path, capsys
) -> None:
    file, out = tmp_path / "hopeless.toml", tmp_path / "out"
    text = RECIPE.partition("[tune]")[0].replace("epochs = 2", "epochs = 6\nlearning_rate = 0.01")
    file.write_text(text + '[tune]\nsetting.fit.learning_rate = "1e-9..1e-8 log"\n')
    call = ["tune", str(file), "--data", str(tiny_set / "labelled.csv"), "-o", str(out)]
    rest = ["--trials", "2", "--inner-folds", "2", "--device", "cpu", "--workers", "1", "-q"]
    assert main([*call, *rest, "--no-near-copies"]) == 0
    said, page = capsys.readouterr().out, (out / "report.html").read_text(encoding="utf-8")
    assert "no trial beat the recipe: keep its values" in said
    assert "recipe (kept)" in said
    assert "To measure it" not in said
    assert "No trial beat the recipe: keep its values" in page
    assert "Measure it, once" not in page
    found = read_recipe(out / "best.toml")
    assert found.settings[0].fit.learning_rate == 0.01
    assert found.settings[0].fit == found.controls[0].fit


def test_every_value_is_in_its_range(finished) -> None:
    points = [row["settings"] for row in trials(finished[0].output)[1:]]
    for point in points:
        assert isinstance(point, dict)
        assert 1e-4 <= point["setting.fit.learning_rate"] <= 1e-1
        assert 0 <= point["setting.dropout"] <= 0.5
        assert point["setting.fit.batch_size"] in (4, 8)
    assert len({json.dumps(point) for point in points}) == 4


def test_the_test_fold_has_no_say(finished, recipe, tiny_set, tmp_path) -> None:
    """Other sounds and other labels in the test fold: the same search, to the last digit."""
    other = tmp_path / "other"
    shutil.copytree(tiny_set / "clips", other / "clips")
    lines = (tiny_set / "labelled.csv").read_text().splitlines()
    rng = np.random.default_rng(1)
    changed = [lines[0]]
    for line in lines[1:]:
        file, label, group, fold = line.split(",")
        if fold == "1":
            write(other / file, (0.1 * rng.standard_normal(4000)).astype(np.float32), 8000)
            label = "high" if label == "low" else "low"
        changed.append(",".join([file, label, group, fold]))
    (other / "labelled.csv").write_text("\n".join(changed) + "\n")
    assert changed != lines
    tune(options(recipe, other / "labelled.csv", tmp_path / "out"))
    assert trials(tmp_path / "out") == trials(finished[0].output)


def test_files_of_the_test_fold_are_not_opened(finished, recipe, tiny_set, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_set / "clips", other / "clips")
    text = (tiny_set / "labelled.csv").read_text()
    for line in text.splitlines()[1:]:
        if line.endswith(",1"):
            (other / line.split(",")[0]).write_text("no sound")
    (other / "labelled.csv").write_text(text)
    result = tune(options(recipe, other / "labelled.csv", tmp_path / "out"))
    assert not result.failures
    assert trials(tmp_path / "out") == trials(finished[0].output)


def test_no_recording_stands_in_two_inner_folds(finished) -> None:
    import csv
    import gzip

    where: dict[str, set[str]] = {}
    for file in finished[0].output.glob("jobs/train-*/predictions.csv.gz"):
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                where.setdefault(row["group"], set()).add(row["fold"])
    assert len(where) == 8  # two classes, two folds of three, two recordings each
    assert all(len(folds) == 1 for folds in where.values())


def test_a_finished_search_is_not_done_again_and_more_trials_go_on(
    finished, recipe, tiny_set, tmp_path
) -> None:
    chosen, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(chosen.output, copy)
    before = trials(copy)
    jobs = set(copy.glob("jobs/*/job.json"))
    tune(options(recipe, tiny_set / "labelled.csv", copy))
    assert trials(copy) == before
    assert set(copy.glob("jobs/*/job.json")) == jobs
    tune(options(recipe, tiny_set / "labelled.csv", copy, trials=6))
    assert trials(copy)[:5] == before
    assert len(trials(copy)) == 7


def test_other_options_in_the_same_folder_are_refused(finished, recipe, tiny_set) -> None:
    chosen = finished[0].output
    with pytest.raises(OptionError, match="belongs to another run"):
        tune(options(recipe, tiny_set / "labelled.csv", chosen, sampler="random"))


def test_killed_in_the_middle_it_goes_on_to_the_same_search(
    finished, recipe, tiny_set, tmp_path
) -> None:
    output = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "semisonic",
        "tune",
        str(recipe),
        "--data",
        str(tiny_set / "labelled.csv"),
        "-o",
        str(output),
        "--trials",
        "4",
        "--inner-folds",
        "2",
        "--device",
        "cpu",
        "--workers",
        "1",
        "--no-near-copies",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: len(list(output.glob("jobs/*/job.json"))) >= 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {file: file.stat().st_mtime_ns for file in output.glob("jobs/*/job.json")}
    assert len(done) >= 5
    assert not (output / "results.json").exists()
    with (output / "study.log").open("ab") as stream:
        stream.write(b'{"op_code":5,"worker')  # a line that was cut off
    (output / "study.log.lock").touch()  # a lock that nobody holds

    tune(options(recipe, tiny_set / "labelled.csv", output))

    assert trials(output) == trials(finished[0].output)
    assert all(file.stat().st_mtime_ns == then for file, then in done.items())


def test_two_processes_do_every_trial_once(finished, recipe, tiny_set, tmp_path) -> None:
    """The search may take another way, but what one setting reaches is the same."""
    chosen = options(
        recipe, tiny_set / "labelled.csv", tmp_path / "two", workers=2, sampler="random"
    )
    tune(chosen)
    tune(options(recipe, tiny_set / "labelled.csv", tmp_path / "one", sampler="random"))
    assert trials(tmp_path / "two") == trials(tmp_path / "one")


def test_the_best_settings_are_a_recipe_that_measures_them_against_the_old_ones(
    finished, recipe, tiny_set, tmp_path
) -> None:
    result = finished[1]
    tuned = read_recipe(result.recipe)
    plain = read_recipe(recipe)
    assert tuned.folds == (1,)
    setting, control = tuned.settings[0], tuned.controls[0]
    assert setting.fit.learning_rate == result.best["setting.fit.learning_rate"]
    assert setting.dropout == result.best["setting.dropout"]
    assert (control.fit, control.dropout) == (plain.settings[0].fit, 0.0)
    assert (setting.mel, control.mel) == (plain.settings[0].mel, plain.settings[0].mel)
    words = shlex.split(result.command)
    assert words[:3] == ["semisonic", "run", str(result.recipe)]
    measured = run_recipe(
        RunOptions(
            recipe=words[2],
            data=Path(words[words.index("--data") + 1]),
            output=tmp_path / "test",
            near_copies=False,
            device="cpu",
            workers=1,
        )
    )
    assert "tuned" in measured.summary()
    jobs = json.loads((tmp_path / "test" / "results.json").read_text())["jobs"]
    assert [job["fold"] for job in jobs] == [1, 1]
    assert [job["n_train"] for job in jobs] == [16, 16]


def test_the_best_recipe_reaches_on_the_inner_folds_what_its_trial_reached(
    finished, tiny_set, tmp_path
) -> None:
    """The written recipe is the trial, and its control the recipe's own values, to the digit."""
    chosen, result = finished
    fold_of = {row["clip"].partition("@")[0]: row["fold"] for row in _scored(chosen.output)}
    lines = [line.split(",") for line in (tiny_set / "labelled.csv").read_text().splitlines()]
    inner = [[*row[:3], fold_of[row[0]]] for row in lines[1:] if row[0] in fold_of]
    assert len(inner) == 16
    data = tiny_set / "inner.csv"
    data.write_text("\n".join(",".join(row) for row in [lines[0], *inner]) + "\n")
    run_recipe(
        RunOptions(
            recipe=str(result.recipe),
            data=data,
            output=tmp_path / "again",
            change=("folds=[1,2]",),
            near_copies=False,
            device="cpu",
            workers=1,
        )
    )
    data.unlink()
    jobs = json.loads((tmp_path / "again" / "results.json").read_text())["jobs"]
    found = {arm: [j["accuracy"] for j in jobs if j["arm"] == arm] for arm in ARMS}
    best = max(result.outcome.ended("complete"), key=lambda one: one.score)
    assert found[ARMS[1]] == list(best.accuracies)
    assert found[ARMS[0]] == list(result.outcome.default.accuracies)


def test_a_grid_tries_every_combination_once(recipe, tiny_set, tmp_path) -> None:
    grid = ("setting.batch_size=4,8", "setting.model=(2)3c-4fc,(4)3c-4fc")
    chosen = options(
        recipe,
        tiny_set / "labelled.csv",
        tmp_path / "g",
        sampler="grid",
        trials=None,
        search=grid,
        change=("setting.fit.epochs=1",),
    )
    result = tune(chosen)
    points = [tuple(one.settings.values()) for one in result.outcome.trials]
    assert points == [(4, "(2)3c-4fc"), (4, "(4)3c-4fc"), (8, "(2)3c-4fc"), (8, "(4)3c-4fc")]
    assert {one.state for one in result.outcome.trials} == {"complete"}


def test_a_trial_that_cannot_be_trained_fails_alone(recipe, tiny_set, tmp_path) -> None:
    """Thirteen halvings of 16 bands leave nothing: that model does not fit the input."""
    deep = "-".join(["(2)3c-2p"] * 13)
    chosen = options(
        recipe,
        tiny_set / "labelled.csv",
        tmp_path / "f",
        sampler="grid",
        trials=None,
        search=(f"setting.model=(2)3c-4fc,{deep}",),
    )
    result = tune(chosen)
    assert [one.state for one in result.outcome.trials] == ["complete", "failed"]
    assert result.outcome.trials[1].reason
    assert any("1 trial failed" in line for line in result.answers)


def test_front_ends_are_searched_too(recipe, tiny_set, tmp_path) -> None:
    search = ("setting.mel.n_mels=8,16",)
    result = tune(
        options(
            recipe,
            tiny_set / "labelled.csv",
            tmp_path / "m",
            search=search,
            sampler="grid",
            trials=None,
        )
    )
    assert [one.settings["setting.mel.n_mels"] for one in result.outcome.trials] == [8, 16]
    assert result.outcome.trials[1].accuracies == result.outcome.default.accuracies


def test_a_hopeless_trial_is_given_up_after_its_first_fold(recipe, tiny_set, tmp_path) -> None:
    chosen = options(
        recipe,
        tiny_set / "labelled.csv",
        tmp_path / "p",
        trials=12,
        search=("setting.fit.learning_rate=1e-7..1e-1 log",),
        sampler="random",
        change=("setting.fit.epochs=4",),
    )
    outcome = tune(chosen).outcome
    assert outcome.ended("pruned")
    assert all(len(one.accuracies) == 1 for one in outcome.ended("pruned"))
    assert all(len(one.accuracies) == 2 for one in outcome.ended("complete"))
    assert outcome.best is not None
    assert outcome.best.state == "complete"


def test_a_set_without_folds_gets_some_and_keeps_them_for_the_measurement(
    recipe, tiny_set, tmp_path
) -> None:
    lines = (tiny_set / "labelled.csv").read_text().splitlines()
    data = tiny_set / "without.csv"
    data.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    result = tune(options(recipe, data, tmp_path / "w", trials=2))
    words = shlex.split(result.command)
    table = load_clips(words[words.index("--data") + 1])
    assert len(table) == 24
    assert set(table.fold.tolist()) == {1, 2, 3, 4, 5}
    heard = {row["clip"] for row in _scored(tmp_path / "w")}
    names = [Path(file).name for file in table.file.tolist()]
    test = {n for n, fold in zip(names, table.fold.tolist(), strict=True) if fold == 1}
    assert test
    assert not test & {Path(clip.partition("@")[0]).name for clip in heard}
    data.unlink()


def _scored(folder: Path) -> list[dict[str, str]]:
    import csv
    import gzip

    rows = []
    for file in folder.glob("jobs/train-*/predictions.csv.gz"):
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            rows += list(csv.DictReader(stream))
    return rows


def test_the_pool_holds_nothing_of_the_test_fold(recipe, tiny_set, tmp_path) -> None:
    chosen = options(
        recipe,
        tiny_set / "labelled.csv",
        tmp_path / "pool",
        unlabelled=tiny_set / "clips",
        trials=1,
        change=(
            "setting.objective=reconstruction",
            "setting.pool=true",
            "setting.pretrain.epochs=1",
            "setting.fit.epochs=1",
        ),
    )
    result = tune(chosen)
    assert any("8 clips of the pool are copies" in note for note in result.notes)


def test_every_draw_of_labels_counts_and_a_start_from_another_set_is_a_value(
    tiny_set, tmp_path
) -> None:
    text = RECIPE[: RECIPE.index("[tune]")].replace(
        "pool = false", 'pool = false\nstart = "trained"'
    )
    text = text.replace("validation = 0.0", "validation = 0.0\nbudgets = [{draws = 2}]")
    text += "[source]\nvalidation = 0.25\n[source.fit]\nepochs = 2\nbatch_size = 4\n"
    (tmp_path / "start.toml").write_text(text)
    time_axis = np.arange(4000) / 8000
    for name, pitch in (("a", 500.0), ("b", 3000.0)):
        (tmp_path / "source" / name).mkdir(parents=True)
        for i in range(6):
            wave = 0.3 * np.sin(2 * np.pi * (pitch + 20 * i) * time_axis)
            write(tmp_path / "source" / name / f"{name}{i}.wav", wave.astype(np.float32), 8000)
    chosen = options(
        tmp_path / "start.toml",
        tiny_set / "labelled.csv",
        tmp_path / "s",
        sampler="grid",
        trials=None,
        search=("setting.start=fresh,trained",),
        source=tmp_path / "source",
    )
    result = tune(chosen)
    fresh, trained = result.outcome.trials
    assert len(fresh.accuracies) == len(trained.accuracies) == 2 * 2
    assert trained.accuracies == result.outcome.default.accuracies
    assert any("transferred" in note for note in result.notes)
    assert f"--source {tmp_path / 'source'}" in result.command
    assert read_recipe(result.recipe).source == read_recipe(tmp_path / "start.toml").source
    assert read_recipe(result.recipe).budgets[0].draws == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": ("setting.fit.lr=1..2",)}, "unknown option 'setting.fit.lr'"),
        ({"search": ("setting.dropuot=0..0.5",)}, "did you mean 'dropout'"),
        ({"search": ("setting.dropout=0..2",)}, "at most 0.95"),
        ({"search": ("setting.method=supervised,fixmach",)}, "did you mean 'fixmatch'"),
        ({"search": ("setting.model=1..2",)}, "expected a list of values"),
        ({"search": ("setting.fit.epochs=1.5..3",)}, "expected whole numbers"),
        ({"search": ("setting.fit.learning_rate=0..1 log",)}, "must hold for"),
        ({"search": ("setting.dropout=0.5..0.1",)}, "low <= high"),
        ({"search": ("setting.dropout=0.5",)}, "--change setting.dropout=0.5"),
        ({"search": ("setting.fit=1,2",)}, "a group of options"),
        ({"search": ("validation=0,0.1",)}, "options of the setting"),
        ({"search": ("setting.mel.n_mels=8..16",)}, "once for each front end"),
        ({"search": ("setting.segments.silence_db=-50..-30",)}, "no value"),
        ({"search": ("nonsense",)}, "NAME=RANGE"),
        ({"sampler": "grid"}, "a grid needs lists"),
        ({"sampler": "grid", "search": ("setting.batch_size=4,8",), "trials": 3}, "2 points"),
        ({"test_folds": (7,)}, "found 7, expected some of the folds"),
        ({"test_folds": (1, 2, 3)}, "no labelled clip is left"),
        ({"setting": "other"}, "has no 'other'"),
        ({"change": ("budgets=[{draws=1},{draws=2}]",)}, "found 2 budgets"),
    ],
)
def test_wrong_use_is_said(recipe, tiny_set, tmp_path, changes, said) -> None:
    with pytest.raises(OptionError, match=said.replace("[", r"\[")):
        tune(options(recipe, tiny_set / "labelled.csv", tmp_path / "x", **changes))


def test_too_few_recordings_for_the_inner_folds(recipe, tiny_set, tmp_path) -> None:
    with pytest.raises(DataError, match="ask for fewer folds"):
        tune(options(recipe, tiny_set / "labelled.csv", tmp_path / "x", inner_folds=50))


def test_without_optuna_the_error_names_the_extra(recipe, tiny_set, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(OptionError, match=r"pip install 'semisonic\[tune\]'"):
        tune(options(recipe, tiny_set / "labelled.csv", tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_search_by_chance_is_the_same_on_ray(recipe, tiny_set, tmp_path) -> None:
    pytest.importorskip("ray")
    data, few = tiny_set / "labelled.csv", {"sampler": "random", "trials": 2}
    tune(options(recipe, data, tmp_path / "here", **few))
    tune(options(recipe, data, tmp_path / "there", **few, where=EngineOptions(engine="ray")))
    assert trials(tmp_path / "there") == trials(tmp_path / "here")
