"""Experiments whose settings are simple classifiers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_plan import POOL, table

from semisonic import recipes
from semisonic.classifier.config import SegmentOptions
from semisonic.classifier.simple import CLASSIFIERS
from semisonic.core.errors import DataError, OptionError
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments.plan import Plan, make_plan
from semisonic.experiments.recipe import Budget, Recipe, Setting, read_recipe
from semisonic.features.options import MelOptions

CONTEST = """
title = "classifiers"
validation = 0.0
arms = ["k-NN", "other"]
main = "forest"
[[budgets]]
draws = 2
[[budgets]]
labels_per_class = 2
draws = 2
[categories]
tones = ["low"]
whistles = ["high"]
[setting]
model = "(4)3c-2p-(4)3c-2p-8fc"
objective = "none"
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.pretrain]
epochs = 2
[setting.fit]
epochs = 2
[control]
classifier = "knn"
inputs = "mfcc-zcr"
group_first = false
[[settings]]
name = "forest"
classifier = "forest"
[[settings]]
name = "groups"
classifier = "logistic"
inputs = "mel"
group_first = true
[[settings]]
name = "machine"
classifier = "svm"
inputs = "mel"
[[settings]]
name = "network"
"""


@pytest.fixture(scope="module")
def finished(run_tiny) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semisonic.classifier.simple.TREES", 20)
        return run_tiny(CONTEST).report.parent


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_classifier_scores_every_clip_in_every_draw(finished) -> None:
    predictions = Predictions.read(finished / "tables" / "predictions.csv")
    for setting in ("forest", "groups", "machine", "network"):
        for budget in ("all labels", "2 per class"):
            one = predictions.select(setting=f"{setting}, {budget}", arm="other")
            assert len(one) == 2 * 24
            assert one.correct.mean() > 0.5
            assert set(one.draw.tolist()) == {0, 1}


def test_nothing_random_is_done_once_and_counts_in_each_draw(finished) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))

    def jobs_of(arm: str) -> list[dict[str, object]]:
        cell = "forest, all labels"
        return [j for j in results["jobs"] if (j["cell"], j.get("arm")) == (cell, arm)]

    control = jobs_of("k-NN")
    assert len(control) == 3  # folds
    assert len(jobs_of("other")) == 3 * 2
    assert all(job["n_parameters"] is None and job["n_epochs"] == 0 for job in control)
    predictions = Predictions.read(finished / "tables" / "predictions.csv")
    part = predictions.select(setting="forest, all labels", arm="k-NN")
    one, other = part.select(draw=0), part.select(draw=1)
    assert (one.predicted == other.predicted).all()
    assert set(one.seed.tolist()) != set(other.seed.tolist())


def test_the_report_has_every_classifier_in_every_fold(finished) -> None:
    predictions = Predictions.read(finished / "tables" / "predictions.csv")
    for suffix, budget in (("", "all labels"), ("-2", "2 per class")):
        rows = {row["classifier"]: row for row in rows_of(finished, f"classifiers-by-fold{suffix}")}
        assert list(rows) == ["k-NN", "forest", "groups", "machine", "network"]
        for name, row in rows.items():
            arm, setting = ("k-NN", "forest") if name == "k-NN" else ("other", name)
            part = predictions.select(setting=f"{setting}, {budget}", arm=arm)
            for fold in (1, 2, 3):
                truth = part.correct[part.fold == fold].mean()
                assert float(row[f"fold {fold}"]) == pytest.approx(truth)
    text = (finished / "report.html").read_text(encoding="utf-8")
    for words in ("500 trees", "softmax of the decision function", "Groups of classes"):
        assert words in text.replace("\N{NO-BREAK SPACE}", " ")
    assert (finished / "figures" / "classifiers-by-fold.png").is_file()
    assert (finished / "tables" / "recall-by-classifier-2.csv").is_file()


def test_groups_are_right_at_least_as_often_as_classes(finished) -> None:
    rows = rows_of(finished, "group-accuracy")
    assert len(rows) == 10
    for row in rows:  # each group has one class here
        assert float(row["group right"]) == pytest.approx(float(row["class right"]))
    assert [row["group"] for row in rows_of(finished, "groups")] == ["whistles", "tones"]


def test_hard_classes_are_measured_in_the_inputs_of_the_main_setting(finished) -> None:
    rows = rows_of(finished, "separability")
    assert {row["class"] for row in rows} == {"low", "high"}
    assert all(float(row["neighbours of its class"]) > 0.9 for row in rows)


def simple(**values: object) -> Plan:
    setting = Setting(name="s", objective="none", **values)
    recipe = Recipe(
        validation=0.0,
        budgets=(Budget(0, 2), Budget(2, 2)),
        settings=(setting,),
        controls=(Setting(objective="none", classifier="knn"),),
    )
    return make_plan(recipe, table(), POOL, seed=1, categories={"a": "x", "b": "x"})


def names(plan: Plan, arm: str = "pre-trained") -> list[str]:
    return [job.name for _, job in plan.cells if job.arm == arm]


def test_a_job_depends_on_what_it_reads_and_on_nothing_else() -> None:
    base = Setting()
    same = names(simple(classifier="forest"))
    changes: tuple[dict[str, object], ...] = (
        {"fit": replace(base.fit, epochs=3)},
        {"dropout": 0.5},
        {"model": "(8)3c-2p-8fc"},
        {"method": "fixmatch"},
        {"pool": False},
        {"mel": replace(base.mel, n_mels=32)},
    )
    for change in changes:
        assert names(simple(classifier="forest", **change)) == same, change
    other: tuple[dict[str, object], ...] = (
        {"classifier": "svm"},
        {"classifier": "forest", "inputs": "mel"},
        {"classifier": "forest", "group_first": True},
        {"classifier": "forest", "mel": replace(base.mel, sample_rate=44100)},
    )
    for change in other:
        assert not set(names(simple(**change))) & set(same), change


def test_only_what_is_random_or_has_other_labels_is_done_again_in_each_draw() -> None:
    plan = simple(classifier="forest")
    folds = 3
    assert len(set(names(plan))) == 2 * 2 * folds
    assert len(set(names(plan, "supervised"))) == folds + 2 * folds
    assert not any(len(job.pool) for job in plan.of("train"))
    assert not plan.of("pre-train")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"classifier": "svm", "segments": SegmentOptions(voting="majority")}, "all segments vote"),
        ({"classifier": "svm", "inputs": "mel", "mel": MelOptions(input="wave")}, "statistics of"),
        ({"group_first": True}, "needs a 'classifier'"),
    ],
)
def test_what_a_classifier_lacks_is_told(values, said) -> None:
    with pytest.raises(OptionError, match=said):
        simple(**values)


def test_groups_are_needed_to_name_them_first() -> None:
    recipe = Recipe(settings=(Setting(name="s", classifier="knn", group_first=True),))
    with pytest.raises(OptionError, match=r"give \[categories\]"):
        make_plan(recipe, table(), POOL)


def test_groups_of_a_recipe_are_read_and_checked(tmp_path) -> None:
    def read(text: str) -> Recipe:
        (tmp_path / "r.toml").write_text(text, encoding="utf-8")
        return read_recipe(tmp_path / "r.toml")

    assert read('[categories]\nx = ["a", "b"]\ny = ["c"]\n').categories == (
        ("a", "x"),
        ("b", "x"),
        ("c", "y"),
    )
    (tmp_path / "groups.csv").write_text("class,group\na,x\n", encoding="utf-8")
    assert read('categories = "groups.csv"\n').categories == (("a", "x"),)
    with pytest.raises(OptionError, match="found 'a' in two groups"):
        read('[categories]\nx = ["a"]\ny = ["a"]\n')
    with pytest.raises(OptionError, match="list of names"):
        read('[categories]\nx = "a"\n')


def test_a_group_that_is_no_class_of_the_data_is_an_error(run_tiny) -> None:
    with pytest.raises(DataError, match="'high' has no group"):
        run_tiny(CONTEST.replace('["high"]', '["hihg"]'))


@pytest.mark.parametrize("quick", [False, True])
def test_the_recipe_of_the_paper_has_its_protocol(quick) -> None:
    recipe = read_recipe(recipes.find("esc-baselines"), quick=quick)
    assert recipe.validation == 0
    assert recipe.folds == ((1, 2) if quick else ())
    assert {s.classifier for s in recipe.controls} == {"knn"}
    three = [s for s in recipe.settings if s.name in ("random forest", "linear SVM")]
    assert {(s.front.sample_rate, s.inputs) for s in three} == {(44100, "mfcc-zcr")}
    assert {s.classifier for s in recipe.settings} == set(CLASSIFIERS) - {"knn"}
