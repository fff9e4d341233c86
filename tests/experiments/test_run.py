import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from semisonic import recipes
from semisonic.audio.write import write
from semisonic.cli.main import main
from semisonic.core.errors import DataError, OptionError
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.statistics import corrected_resampled_t
from semisonic.experiments.options import RunOptions
from semisonic.experiments.recipe import Recipe, Setting, read_recipe
from semisonic.experiments.runner import with_number_format
from systems import POSIX
from waiting import until


@pytest.fixture(scope="module")
def finished(run_tiny, tiny_recipe) -> Path:
    return run_tiny(tiny_recipe).report.parent


def accuracies(folder: Path, fold: int | None = None) -> list[float]:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    jobs = [job for job in results["jobs"] if job["kind"] == "train"]
    return [job["accuracy"] for job in jobs if fold in (None, job["fold"])]


def test_numbers_of_table_page_and_predictions_agree(finished) -> None:
    predictions = Predictions.read(finished / "tables" / "predictions.csv")
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert len(results["comparisons"]) == 2
    for one in results["comparisons"]:
        for arm in ("a", "b"):
            part = predictions.select(setting=one["setting"], arm=one[arm]["name"])
            assert one[arm]["mean"] == pytest.approx(part.correct.mean())
            assert len(part) == 24 * 2
    text = (finished / "report.html").read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert min(accuracies(finished)) < 1
    assert "Most confident errors" in text
    assert "<audio" in text, "also of clips that are shorter than what a page plays"
    row = text.partition("share never active")[2].partition("</tr>")[2].partition("</tr>")[0]
    assert "%</td>" in row.replace("\u00a0", " ")


def test_features_of_the_batch_give_the_same_results(finished, run_tiny, tiny_recipe) -> None:
    folder = run_tiny(tiny_recipe, in_batch="yes", change=("folds=[1]",)).report.parent
    assert not (folder / "cache" / "features").exists()
    assert accuracies(folder) == pytest.approx(accuracies(finished, 1), abs=0.1)


def test_budgets_are_written_into_the_run(finished) -> None:
    lines = (finished / "budgets.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "labels_per_class,draw,fold,part,clip"
    assert len(lines) == 1 + 2 * 2 * 2 * 3  # labels x classes x draws x folds


def test_a_finished_run_is_not_trained_again_and_another_recipe_is_refused(
    finished, run_tiny, tiny_recipe, job_times
) -> None:
    before = job_times(finished)
    result = run_tiny(tiny_recipe, finished)
    assert job_times(finished) == before
    assert result.model.is_file()
    assert "un-pooling" in result.summary()
    with pytest.raises(OptionError, match="epochs"):
        run_tiny(tiny_recipe, finished, change=("setting.fit.epochs=9",))


def test_the_same_weights_with_any_number_of_threads_and_processes(
    finished, run_tiny, tiny_recipe
) -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(3)  # of this process, which does the jobs where there is one worker
    try:
        folders = [
            run_tiny(tiny_recipe, workers=n, change=("folds=[1]",)).report.parent for n in (1, 2)
        ]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(n_threads)
    one, two = (
        {file.relative_to(folder): file.read_bytes() for file in folder.glob("jobs/*/model.*")}
        for folder in folders
    )
    assert one == two
    assert one
    assert accuracies(folders[0]) == accuracies(folders[1]) == accuracies(finished, 1)


@POSIX
@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_result(
    finished, run_tiny, tiny_recipe, tiny_set, tmp_path, job_times
) -> None:
    output = tmp_path / "killed"
    command = f"{sys.executable} -m semisonic run {tiny_recipe} --data {tiny_set}/labelled.csv"
    command += f" --unlabelled {tiny_set}/pool -o {output} --workers 1 --device cpu"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command.split(), **quiet, start_new_session=True)
    until(lambda: len(job_times(output)) >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = job_times(output)
    assert 3 <= len(done) < len(accuracies(finished))
    run_tiny(tiny_recipe, output)
    assert job_times(output).items() >= done.items()
    assert accuracies(output) == accuracies(finished)


QUICK = ("setting.pretrain.epochs=1", "setting.fit.epochs=1")


def test_transductive_is_said_in_the_report(run_tiny, tiny_recipe) -> None:
    result = run_tiny(tiny_recipe, transductive=True, change=(*QUICK, "folds=[1, 2]"))
    assert "Transductive" in result.report.read_text(encoding="utf-8")


def test_the_t_test_knows_the_folds_that_were_not_tested(run_tiny, tiny_recipe) -> None:
    quick = ("setting.pretrain.epochs=1", "folds=[1, 2]")
    folder = run_tiny(tiny_recipe, change=quick).report.parent
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))["comparisons"]
    tested = [one for one in found if one["p_folds"] not in (0.0, 1.0)]
    assert tested
    for one in tested:
        gains = [fold["difference"] for fold in one["folds"]]
        # Three folds of eight clips: 8 tested, 16 trained on.
        assert one["p_folds"] == pytest.approx(corrected_resampled_t(gains, 8 / 16).p)


def test_copies_of_labelled_clips_in_the_pool_are_left_out(run_tiny, tiny_recipe, tiny_set) -> None:
    pool = tiny_set / "clips"
    result = run_tiny(tiny_recipe, unlabelled=pool, change=(*QUICK, "folds=[1]"))
    assert any("24 files of the pool are copies" in note for note in result.notes)


def test_recordings_without_labels_cannot_be_the_labelled_set(run_tiny, tiny_set) -> None:
    with pytest.raises(DataError, match="--unlabelled"):
        run_tiny("demo", data=tiny_set / "pool")


def test_changes_are_toml_values_or_text() -> None:
    given = RunOptions(change=("a.b=[1, 2]", "a = unpool"))
    assert given.changes == {"a.b": [1, 2], "a": "unpool"}
    with pytest.raises(OptionError, match="KEY=VALUE"):
        RunOptions(change=("nonsense",)).changes  # noqa: B018


def test_a_method_is_tried_against_its_own_control_under_other_names(run_tiny, tiny_recipe) -> None:
    text = tiny_recipe.read_text(encoding="utf-8").partition("[[settings]]")[0]
    text = text.replace('title = "tiny"', 'title = "tiny"\narms = ["without", "with"]') + (
        '[[settings]]\nname = "pool"\nobjective = "none"\nmethod = "fixmatch"\n'
        "[settings.method_params]\nthreshold = 0.5\n[settings.control.method_params]\nmixup = 0.2\n"
    )
    result = run_tiny(text)
    assert "without" in result.summary()
    assert "Pre-training" not in result.report.read_text(encoding="utf-8")
    assert all("Pre-training" not in verdict for verdict in result.answers)
    results = json.loads((result.report.parent / "results.json").read_text(encoding="utf-8"))
    assert results["comparisons"][0]["b"]["name"] == "with"
    jobs = [job for job in results["jobs"] if job["kind"] == "train"]
    assert {job["arm"]: job["n_pool"] > 0 for job in jobs} == {"without": False, "with": True}


@pytest.mark.parametrize("has_bf16", [True, False])
def test_both_arms_take_the_same_steps_in_a_number_format_that_the_record_names(
    tiny_set, tiny_recipe, tmp_path, monkeypatch, has_bf16
) -> None:
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bf16}, raising=False
    )
    text = (
        tiny_recipe.read_text(encoding="utf-8")
        .partition("[[settings]]")[0]
        .replace("[setting]\n", "[setting]\nobjective = 'none'\npool = false\n")
    )
    text += (
        '[[settings]]\nname = "copies"\nsegments.copies = ["white"]\n'
        "[control.segments]\ncopies = []\n"
        '[quick]\n"setting.fit.steps" = 7\n"setting.fit.batch_size" = 3\nfolds = [1]\n'
        "budgets = [{}]\n"
    )
    file, out = tmp_path / "steps.toml", tmp_path / "run"
    file.write_text(text, encoding="utf-8")
    where = ["--data", str(tiny_set / "labelled.csv"), "-o", str(out), "--device", "cpu"]
    assert main(["run", str(file), "--quick", "--workers", "1", "-q", *where]) == 0
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert {job["arm"] for job in results["jobs"]} == {"supervised", "pre-trained"}
    assert [job["n_steps"] for job in results["jobs"]] == [7, 7]
    computed = "bf16" if has_bf16 else "fp32"
    assert {job["precision"] for job in results["jobs"]} == {computed}
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["notes"]["precision"] == [
        computed
    ]
    assert results["precision"] == [computed]
    assert computed in (out / "report.html").read_text(encoding="utf-8").replace("&#43;", "+")


@pytest.mark.parametrize("name", [one for one in recipes.names() if one != "esc-baselines"])
def test_every_recipe_of_a_network_names_its_number_format(name) -> None:
    assert read_recipe(recipes.find(name)).precision == "fp32"


def test_a_recipe_sets_the_number_format_of_all_its_trainings() -> None:
    processor = torch.device("cpu")
    named = replace(Setting().fit, precision="bf16")
    recipe = Recipe(precision="fp32", settings=(Setting(), Setting(name="other", fit=named)))
    settled = with_number_format(recipe, processor)
    found = [(one.pretrain.precision, one.fit.precision) for one in settled.settings]
    assert found == [("fp32", "fp32"), ("fp32", "bf16")]


def test_trainings_that_hear_each_clip_less_than_once_say_so_first(
    finished, run_tiny, tiny_recipe
) -> None:
    changes = ("setting.fit.steps=1", "setting.fit.batch_size=2", "setting.pretrain.steps=1")
    changes += ("setting.pretrain.batch_size=2", "folds=[1]", "settings=[{name='one'}]")
    result = run_tiny(tiny_recipe, change=changes)
    before, training = (note for note in result.notes if "Too few steps" in note)
    assert "the pre-training for 'one' sees 2 windows of" in before
    assert "sees 2 windows of 4 clips (1 step of 2)" in training
    assert "setting.fit.steps=NUMBER" in training
    page = result.report.read_text(encoding="utf-8")
    assert page.index("Too few steps") < page.index("<h2")
    assert "Too few steps" not in (finished / "report.html").read_text(encoding="utf-8")


def test_a_dry_run_on_real_clips_warns_of_the_same(tiny_recipe, tiny_set, tells, tmp_path) -> None:
    call = f"run {tiny_recipe} --data {tiny_set / 'labelled.csv'} --unlabelled {tiny_set / 'pool'}"
    call += (
        f" -o {tmp_path / 'out'} --dry-run --change folds=[1] --change settings=[{{name='one'}}]"
    )
    few = "--change setting.fit.batch_size=2 --change setting.fit.steps"
    assert "sees 2 windows of 4 clips" in tells(0, call, *f"{few}=1".split()).err
    assert "Too few" not in tells(0, call, *f"{few}=2".split()).err
    assert not (tmp_path / "out").exists()


PICZAK = ("folds=[1]", "setting.fit.steps=2", "setting.fit.batch_size=4", "precision=fp32")
PICZAK += ("setting.segments.copies=[]", "settings=[{name='short', mel={duration=0.9288}}]")


def test_piczak_on_urbansound8k_stands_beside_what_was_published(run_tiny, tmp_path) -> None:
    rng, rows = (
        np.random.default_rng(0),
        ["slice_file_name,fsID,start,end,salience,fold,classID,class"],
    )
    for fold, (number, name) in product((1, 2, 10), ((1, "car_horn"), (3, "dog_bark"))):
        for recording in (0, 1):
            fsid = 100 * fold + 10 * number + recording
            file = f"{fsid}-{number}-0-0.wav"
            place = tmp_path / "audio" / f"fold{fold}"
            place.mkdir(parents=True, exist_ok=True)
            write(place / file, rng.uniform(-0.1, 0.1, 22050).astype(np.float32), 22050)
            rows.append(f"{file},{fsid},0,1,1,{fold},{number},{name}")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text(
        "\n".join(rows) + "\n", encoding="utf-8"
    )
    result = run_tiny("piczak-cnn", data=tmp_path, unlabelled=None, change=PICZAK)
    page = result.report.read_text(encoding="utf-8").replace("\u00a0", " ")
    for known in ("73.1 %", "61.7 %", "63.0 %"):
        row = next(one for one in page.split("<tr") if known in one)
        assert "UrbanSound8K" in row
        assert "soft" not in row, "on these data: no grey row"
    assert "ours: " in page
