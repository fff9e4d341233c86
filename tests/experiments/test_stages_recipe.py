"""Recipes in stages: what they may say, and the jobs that follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from changed_options import changed

from semisonic import recipes
from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.experiments.recipe import StagesRecipe, read_recipe
from semisonic.experiments.stages import make_stages_plan

HEAD = 'kind = "stages"\ndraws = 2\n[stage.fit]\nepochs = 4\n'
CHAIN = """
[[stages]]
name = "0"
data = ["noisy"]
[[stages]]
name = "1"
start = "0"
[[stages]]
name = "kept"
start = "1"
filter = "1"
data = ["curated", "kept"]
against = ["1"]
[[stages]]
name = "kept again"
start = "1"
filter = "1"
data = ["curated", "kept"]
[[stages]]
name = "full"
start = "1"
filter = "1"
data = ["curated", "kept"]
method = "pi-model"
length = 2
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def clips(tmp_path) -> Clips:
    """Three folds of checked clips, two a recording, and noisy ones, one in a tested recording."""
    rows = [
        {
            "file": f"c{i}",
            "labels": ["ab"[i % 2], "c"][: 1 + i % 2],
            "group": f"g{i // 2}",
            "fold": 1 + i // 2 % 3,
        }
        for i in range(36)
    ] + [
        {"file": f"n{i}", "labels": ["abc"[i % 3]], "group": f"n{i}", "label_type": "uncertain"}
        for i in range(20)
    ]
    rows[-1]["group"] = "g0"
    return Clips.from_rows(tmp_path, rows, ("a", "b", "c"))


def no_pool(clips: Clips) -> Clips:
    return clips[:0].without_labels()


@pytest.mark.parametrize("name", [n for n in recipes.names() if n.startswith("fsd2019")])
def test_recipes_of_the_package_are_read_quick_and_whole(name) -> None:
    file = recipes.find(name)
    whole, quick = read_recipe(file), read_recipe(file, quick=True)
    assert quick.draws < whole.draws
    assert [one.name for one in quick.stages] == [one.name for one in whole.stages]


def test_shared_keys_and_changes_reach_every_stage(tmp_path) -> None:
    file = write(tmp_path, HEAD + CHAIN)
    recipe = read_recipe(file, changes={"stage.fit.epochs": 7})
    assert {stage.fit.epochs for stage in recipe.stages} == {7, 14}
    assert recipe.stage("full").fit.epochs == 14
    assert recipe.headline == "full"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[stages]]\nname = "1"\nstart = "0"', "start: no stage '0' above it"),
        ('[[stages]]\nname = "1"\nagainst = ["0"]', "against: no stage '0' above it"),
        ('[[stages]]\nname = "1"\n[[stages]]\nname = "1"', "a different name for each stage"),
        ('[[stages]]\nname = "1"\ndata = ["kept"]', "need each other"),
        ('[[stages]]\nname = "1"\ndata = ["nosy"]', "did you mean 'noisy'"),
        ('[[stages]]\nname = "1"\ndata = []', "each once"),
        ('[[stages]]\nname = "1"\nkeep_top_k = 3', "does not filter labels"),
        ('[[stages]]\nname = "1"\nnoisy_weight = 0.5', "use 'loss' here"),
        ('[[stages]]\nname = "1"\nmethod_params = { threshold = 0.5 }', "does not use it"),
        (
            '[[stages]]\nname = "1"\ndata = ["curated", "noisy"]\nmethod = "joint"',
            "cannot weight unverified labels separately",
        ),
        ('[[stages]]\nname = "1"\nstrat = "0"', "did you mean 'start'"),
        ('[[stages]]\nname = "0"\n[[stages]]\nname = "1"\nstart = "0"\nmodel = "vgg"', "another"),
        (
            '[[stages]]\nname = "0"\n[[stages]]\nname = "1"\nfilter = "0"\n'
            'data = ["kept"]\nkeep_top_k = 0',
            "above 0",
        ),
        ("stages = []", "one or more"),
    ],
)
def test_a_wrong_recipe_is_told(tmp_path, text, said) -> None:
    with pytest.raises(OptionError, match=said):
        read_recipe(write(tmp_path, 'kind = "stages"\n' + text))


def test_each_kind_is_told_by_its_name(tmp_path) -> None:
    assert isinstance(read_recipe(write(tmp_path, HEAD + CHAIN)), StagesRecipe)
    with pytest.raises(OptionError, match="did you mean 'stages'"):
        read_recipe(write(tmp_path, 'kind = "stage"'))


def test_curated_clips_are_divided_by_recording_and_noisy_ones_only_train(tmp_path, clips) -> None:
    plan = make_stages_plan(read_recipe(write(tmp_path, HEAD + CHAIN)), clips, no_pool(clips))
    stages = plan.of("stage")
    assert len(plan.cells) == 5 * 3 * 2
    for job in stages:
        assert clips.is_verified[np.concatenate([job.train, job.validation, job.test])].all()
        assert not clips.is_verified[job.noisy].any()
        heard = np.concatenate([job.train, job.noisy, job.pool])
        for rows in (job.validation, job.test):
            assert not set(clips.group[heard]) & set(clips.group[rows]), "a recording on two sides"
    tested = sorted(np.concatenate([j.test for name, j in plan.cells if name == "1"]).tolist())
    assert tested == sorted([*range(36)] * 2), "each draw tests every checked clip once"


def test_equal_work_is_done_once(tmp_path, clips) -> None:
    plan = make_stages_plan(read_recipe(write(tmp_path, HEAD + CHAIN)), clips, no_pool(clips))
    assert len(plan.of("stage")) == 4 * 6
    assert len({job.name for job in plan.jobs}) == len(plan.jobs)
    place = {job.name: i for i, job in enumerate(plan.jobs)}
    for job in plan.jobs:
        assert all(place[before] < place[job.name] for before in job.needs)


def test_what_comes_before_is_in_the_name_of_a_job(tmp_path, clips) -> None:
    recipe = HEAD + CHAIN
    file = write(tmp_path, recipe)
    one = make_stages_plan(read_recipe(file), clips, no_pool(clips))
    file = write(tmp_path, recipe.replace('data = ["noisy"]', 'data = ["noisy"]\nlength = 3'))
    other = make_stages_plan(read_recipe(file), clips, no_pool(clips))
    assert not {job.name for job in one.jobs} & {job.name for job in other.jobs}


def test_without_noisy_clips_it_says_what_is_missing(tmp_path, clips) -> None:
    certain = clips[clips.is_verified]
    with pytest.raises(DataError, match="FSDKaggle2019"):
        make_stages_plan(read_recipe(write(tmp_path, HEAD + CHAIN)), certain, no_pool(clips))


def test_a_stage_may_have_a_network_of_its_own_which_those_after_it_share(tmp_path) -> None:
    text = HEAD + CHAIN.replace('data = ["noisy"]', 'data = ["noisy"]\nmodel = "vgg"')
    recipe = read_recipe(write(tmp_path, text + '[[stages]]\nname = "other"\n'))
    found = [stage.model for stage in recipe.stages]
    assert found == ["vgg"] * 5 + ["small"]


def test_stages_that_differ_in_one_option_are_two_jobs(tmp_path, clips) -> None:
    recipe = read_recipe(write(tmp_path, HEAD + '[[stages]]\nname = "a"\n'))
    plain = recipe.stages[0]
    stages = [plain]
    for number, (_, options) in enumerate(changed(plain.fit)):
        stages.append(replace(plain, name=f"b{number}", fit=options))
    plan = make_stages_plan(replace(recipe, draws=1, stages=stages), clips, no_pool(clips))
    assert len(plan.jobs) == len(stages) * 3  # folds
    assert len({job.name for job in plan.jobs}) == len(plan.jobs)
