"""An experiment in stages from a folder in the layout of FSDKaggle2019 to its report."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semisonic.audio.write import write
from semisonic.cli.main import main
from semisonic.core.errors import OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.evaluation.metrics import lwlrap
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments.options import RunOptions
from semisonic.experiments.run import run_recipe
from semisonic.experiments.stages import read_decisions
from semisonic.models.model_file import load

RATE = 8000
PITCHES = {"Bass": 150.0, "Tenor": 600.0, "Treble": 1500.0, "Whistle": 3000.0}
RECIPE = """
kind = "stages"
title = "tiny"
draws = 2
validation = 0.2
[network]
model = "(8)3c-2p-(8)3c-2p-16fc"
[network.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[stage.fit]
epochs = 8
batch_size = 16
learning_rate = 0.01
precision = "fp32"
[[stages]]
name = "warm-up"
data = ["noisy"]
[[stages]]
name = "fine-tune"
start = "warm-up"
[[stages]]
name = "full"
start = "fine-tune"
filter = "fine-tune"
data = ["curated", "kept"]
keep_top_k = 1
method = "pi-model"
method_params = { pool_ratio = 1.0, pool_weight = 5.0, bootstrap_beta = 0.7 }
noisy_weight = 0.5
noisy_loss = "bootstrap"
against = ["fine-tune", "warm-up"]
"""


def tones(names: tuple[str, ...], seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    wave = 0.02 * rng.standard_normal(len(time))
    for name in names:
        wave += 0.2 * np.sin(2 * np.pi * PITCHES[name] * (1 + 0.05 * rng.random()) * time)
    return wave.astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """16 curated, 40 noisy (40 % with a wrong label) and 8 test clips of 0.3 to 1.3 s."""
    root = tmp_path_factory.mktemp("fsd")
    classes = tuple(PITCHES)
    meta = root / "FSDKaggle2019.meta"
    meta.mkdir()
    truth = {}
    sizes = {"train_curated": 24, "train_noisy": 40, "test": 12}
    for number, (part, n) in enumerate(sizes.items()):
        place = root / f"FSDKaggle2019.audio_{part}"
        place.mkdir()
        lines = ["fname,labels,flickr_video_url" if part == "train_noisy" else "fname,labels"]
        for i in range(n):
            heard = (classes[i % 4],) if i % 3 else (classes[i % 4], classes[(i + 1) % 4])
            file = f"{number}{i:07x}.wav"
            write(place / file, tones(heard, 0.3 + (i % 6) * 0.2, 100 * number + i), RATE)
            said = heard
            if part == "train_noisy" and i % 5 < 2:
                said = (classes[(i + 2) % 4],)
            truth[f"FSDKaggle2019.audio_{part}/{file}"] = heard
            tags = ",".join(said)
            lines.append(f'{file},"{tags}"' + (",http" if part == "train_noisy" else ""))
        (meta / f"{part}_post_competition.csv").write_text(
            "\n".join(lines) + "\n", encoding="utf-8"
        )
    rows = "\n".join(f"{i},{name},/m/{i}" for i, name in enumerate(classes))
    (meta / "vocabulary.csv").write_text(rows + "\n", encoding="utf-8")
    (root / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    (root / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    return root


def options(folder: Path, output: Path) -> RunOptions:
    return RunOptions(
        recipe=str(folder / "tiny.toml"),
        data=folder,
        output=output,
        device="cpu",
        workers=1,
        near_copies=False,
    )


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("run") / "out"
    run_recipe(options(folder, output))
    return output


def jobs(run: Path, kind: str) -> list[tuple[Path, dict]]:
    found = [
        (file.parent, json.loads(file.read_text(encoding="utf-8")))
        for file in run.glob("jobs/*/job.json")
    ]
    return sorted((one for one in found if one[1]["kind"] == kind), key=lambda one: str(one[0]))


def of_filter(run: Path) -> dict[str, Any]:
    """What the report says of the filter for the stage "full", over all classes."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    (row,) = [r for r in results["filters"] if (r["stage"], r["class"]) == ("full", "")]
    return dict(row)


def test_every_stage_is_tested_on_the_official_test_part_alone(finished, folder) -> None:
    clips = load_clips(folder)
    for place, job in jobs(finished, "stage"):
        scores = Predictions.read(place / "scores.csv.gz")
        assert len(scores) == job["n_test"] == 12
        assert all("audio_test" in name for name in scores.clip.tolist())
        found = lwlrap(scores.targets, scores.probabilities)
        assert found == pytest.approx(job["lwlrap"], abs=1e-12)
        rows = {clip: row for row, clip in enumerate(clips.ids)}
        truth = clips.targets()[[rows[name] for name in scores.clip.tolist()]]
        np.testing.assert_array_equal(scores.targets, truth)
    assert len(jobs(finished, "stage")) == 6


def test_the_filter_leaves_a_larger_share_of_right_labels(finished, folder) -> None:
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    full = [(place, job) for place, job in jobs(finished, "stage") if job["judge"]]
    assert len(full) == 2
    for place, job in full:
        found = read_decisions(place / "decisions.csv")
        right = np.array([one.label in truth[one.clip] for one in found.itertuples()])
        kept = found["kept"].to_numpy()
        assert found["clip"].nunique() == 40, "all noisy clips"
        assert right[kept].mean() > right.mean() + 0.05
        assert 0 < kept.sum() < len(kept)
        assert found["reason"].all()
        assert job["n_noisy"] == found["clip"][kept].nunique()
        # What has no label left is learned from unlabelled.
        assert job["n_noisy"] + job["n_pool"] == 40
        assert job["n_pool"] > 0
        assert all(np.isfinite(row["disagreement"]) for row in job["history"])


def test_a_finished_run_trains_nothing_again(finished, folder) -> None:
    before = {file: file.stat().st_mtime_ns for file in finished.glob("jobs/*/job.json")}
    results = (finished / "results.json").read_text(encoding="utf-8")
    run_recipe(options(folder, finished))
    assert {f: f.stat().st_mtime_ns for f in finished.glob("jobs/*/job.json")} == before
    old, new = (
        json.loads(results),
        json.loads((finished / "results.json").read_text(encoding="utf-8")),
    )
    assert old["stages"] == new["stages"]


def test_a_run_that_was_cut_off_goes_on_to_the_same_numbers(finished, folder, tmp_path) -> None:
    """Without the end of the last stage, as after a kill."""
    output = tmp_path / "out"
    shutil.copytree(finished, output, ignore=shutil.ignore_patterns("report*", "results.json"))
    for place, job in jobs(output, "stage"):
        if job["judge"] and job["draw"] == 0:
            (place / "job.json").unlink()
    run_recipe(options(folder, output))
    lwlraps = [
        {(job["setting"], job["draw"]): job["lwlrap"] for _, job in jobs(run, "stage")}
        for run in (finished, output)
    ]
    assert lwlraps[0] == pytest.approx(lwlraps[1], abs=1e-12)


def test_the_report_has_the_numbers_of_the_jobs(finished) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    with open(finished / "tables" / "stages.csv", encoding="utf-8", newline="") as stream:
        shown = {row["stage"]: float(row["lwlrap"]) for row in csv.DictReader(stream)}
    for stage in results["stages"]:
        mine = [job["lwlrap"] for job in stage["jobs"]]
        assert len(mine) == 2
        assert shown[stage["name"]] == pytest.approx(np.mean(mine))
    full = results["stages"][-1]
    assert [c["a"]["name"] for c in full["comparisons"]] == ["fine-tune", "warm-up"]
    assert of_filter(finished)["right among kept"] is None, "nobody knows the truth here"
    page = (finished / "report.html").read_text(encoding="utf-8")
    for text in ("earns its place", "Filtered labels", "By class", "is not known"):
        assert text in page
    with open(finished / "tables" / "gains.csv", encoding="utf-8", newline="") as stream:
        earned = {row["earns its place"].partition(":")[0] for row in csv.DictReader(stream)}
    assert earned <= {"yes", "no", "may be chance"}
    assert (finished / "figures" / "gains.png").stat().st_size > 1000
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "Too few steps" not in page


def test_the_models_of_the_first_draw_stay_and_know_what_they_heard(finished) -> None:
    for place, job in jobs(finished, "stage"):
        assert (place / "model.zip").exists() == (job["draw"] == 0)
        if job["draw"] == 0:
            assert load(place / "model.zip").multi_label


def test_the_truth_of_synthetic_sounds_is_in_the_report(tmp_path, folder) -> None:
    recipe = RECIPE.replace("sample_rate = 8000", "sample_rate = 16000") + (
        "[synth]\nn_classes = 3\nclips_per_class = 6\nn_folds = 3\nn_pool = 0\nn_noisy = 24\n"
        "mixtures = 0.3\nduration = 1.0\nsample_rate = 16000\n"
    )
    file = tmp_path / "recipe.toml"
    file.write_text(
        recipe.replace("epochs = 8", "epochs = 1").replace("draws = 2", "draws = 1"),
        encoding="utf-8",
    )
    assert main(["run", str(file), "-o", str(tmp_path / "out"), "--workers", "1"]) == 0
    found = of_filter(tmp_path / "out")
    assert found["labels"] >= found["kept"] > 0
    assert 0.4 < found["right before"] < 0.8, "four in ten clips have a wrong label"
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert sum(one["labels"] for one in results["filters"]) == 2 * found["labels"]


@pytest.mark.parametrize("option", [{"transductive": True}, {"source": Path("x")}])
def test_options_that_have_no_meaning_here_are_refused(folder, tmp_path, option) -> None:
    with pytest.raises(OptionError, match=next(iter(option))):
        run_recipe(replace(options(folder, tmp_path / "x"), **option))


def test_a_dry_run_says_how_large_it_is(folder, tmp_path, capsys) -> None:
    output = tmp_path / "x"
    code = main(
        ["run", str(folder / "tiny.toml"), "--data", str(folder), "-o", str(output), "--dry-run"]
    )
    assert code == 0
    assert "3 stages, 2 draws" in capsys.readouterr().err
    assert not output.exists()


def test_stages_that_hear_each_clip_less_than_once_say_so_first(folder, tmp_path, capsys) -> None:
    output = tmp_path / "x"
    command = ["run", str(folder / "tiny.toml"), "--data", str(folder), "-o", str(output)]
    command += ["--change", "draws=1", "--change", "stage.fit.steps=2"]
    command += ["--change", "stage.fit.batch_size=4", "--device", "cpu", "--workers", "1"]
    assert main([*command, "--no-near-copies"]) == 0
    said = capsys.readouterr()
    found = re.search(r"sees 8 windows of \d+ clips \(2 steps of 4\)", said.err)
    assert found
    log = (output / "log.txt").read_text(encoding="utf-8")
    assert log.index(found.group()) < log.index("jobs, 0 of them done")
    assert "--change stage.fit.steps=NUMBER" in said.err
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.index(found.group()) < page.index("<h2"), "before the first section of the report"
