from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from changed_options import changed

from semisonic.classifier.config import MethodOptions
from semisonic.data.clips import Clips
from semisonic.experiments.plan import PRETRAIN, TRAIN, Plan, make_plan
from semisonic.experiments.recipe import Budget, Recipe, Setting

CONTROL, PRETRAINED = "supervised", "pre-trained"


def table(n_recordings: int = 6, pool: bool = False) -> Clips:
    rows = [
        {
            "file": f"{label}/{r}-{take}.wav",
            "labels": () if pool else label,
            "group": f"{label}{r}",
            "fold": 0 if pool else r % 3 + 1,
        }
        for label in ("a", "b")
        for r in range(n_recordings)
        for take in range(2)
    ]
    return Clips.from_rows(Path("pool" if pool else "labelled"), rows, name="t")


RECIPE = Recipe(
    validation=0.2,
    budgets=(Budget(0, 1), Budget(2, 3)),
    settings=(Setting(name="x", decoder="unpool"), Setting(name="y", decoder="upsample")),
)
POOL = table(4, pool=True).with_columns(group=np.array([f"p{i}" for i in range(16)]))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(RECIPE, table(), POOL, seed=1)


def test_every_cell_scores_every_clip_once(plan) -> None:
    for cell in {cell for cell, _ in plan.cells}:
        for arm in (CONTROL, PRETRAINED):
            jobs = [job for name, job in plan.cells if name == cell and job.arm == arm]
            for draw in {job.draw for job in jobs}:
                rows = np.concatenate([job.test for job in jobs if job.draw == draw])
                assert sorted(rows.tolist()) == list(range(len(table())))


def test_arms_are_alike_but_for_the_start(plan) -> None:
    pairs: dict[tuple[str, int, int], list] = {}
    for cell, job in plan.cells:
        pairs.setdefault((cell, job.draw, job.fold), []).append(job)
    for control, treated in pairs.values():
        assert control.start is None
        assert treated.start is not None
        assert control.seed == treated.seed
        for part in ("train", "validation", "test"):
            assert np.array_equal(getattr(control, part), getattr(treated, part))


def test_test_clips_and_their_recordings_are_not_heard_in_pre_training(plan) -> None:
    groups = np.concatenate([table().group, POOL.group])
    for job in plan.of(TRAIN):
        if job.start is None:
            continue
        heard = np.concatenate([job.start.train, job.start.validation])
        assert not set(groups[heard]) & set(groups[job.test])
        assert not set(groups[job.start.train]) & set(groups[job.start.validation])
        assert set(np.arange(len(POOL)) + len(table())) <= set(heard.tolist())


def test_pool_clips_of_a_tested_recording_are_heard_by_other_folds_only() -> None:
    kin = POOL.with_columns(group=np.array(["a0", *(f"p{i}" for i in range(15))]))
    found = make_plan(RECIPE, table(), kin, seed=1)
    row = len(table())
    for job in found.of(TRAIN):
        if job.start is not None:
            tested = "a0" in table().group[job.test]
            heard = row in {*job.start.train.tolist(), *job.start.validation.tolist()}
            assert heard is not tested
    for job in make_plan(RECIPE, table(), kin, seed=1, transductive=True).of(PRETRAIN):
        assert row in {*job.train.tolist(), *job.validation.tolist()}


def test_a_giant_recording_of_the_pool_is_learnt_from() -> None:
    group = np.array(["night"] * 40 + [f"p{i}" for i in range(8)])
    rows = [{"file": f"{i:02d}.wav"} for i in range(48)]
    pool = Clips.from_rows(Path("pool"), rows).with_columns(group=group)
    for job in make_plan(RECIPE, table(), pool, seed=3).of(PRETRAIN):
        heard = np.concatenate([table().group, pool.group])
        assert "night" not in heard[job.validation]
        assert len(job.validation)


def test_transductive_hears_them_and_nothing_else_changes() -> None:
    plain = make_plan(RECIPE, table(), POOL, seed=1)
    heard = make_plan(RECIPE, table(), POOL, seed=1, transductive=True)
    for one, other in zip(plain.of(PRETRAIN), heard.of(PRETRAIN), strict=True):
        more = set(other.train) | set(other.validation)
        assert more - set(one.train) - set(one.validation)
    for (_, a), (_, b) in zip(plain.cells, heard.cells, strict=True):
        assert np.array_equal(a.train, b.train)


def test_budgets_are_kept_without_a_validation_part(plan) -> None:
    target = table().target()
    few = [job for job in plan.of(TRAIN) if job.budget.labels_per_class == 2]
    assert few
    for job in few:
        assert np.bincount(target[job.train]).tolist() == [2, 2]
        assert len(job.validation) == 0
        assert not set(job.train) & set(job.test)
    assert len({tuple(job.train) for job in few if job.fold == 1}) > 1


def test_all_labels_have_an_inner_validation_part_by_recording(plan) -> None:
    group = table().group
    for job in plan.of(TRAIN):
        if not job.budget.labels_per_class:
            assert len(job.validation)
            assert not set(group[job.train]) & set(group[job.validation])


ONE_FOLD = replace(
    RECIPE, settings=(Setting(name="x"),), controls=(), budgets=(Budget(),), folds=(1,)
)


def jobs_of(**parts: object) -> tuple[str, str]:
    """Names of the pre-training and of the training of a setting with other parts."""
    setting = replace(Setting(name="x", method="fixmatch", objective="denoising"), **parts)
    found = make_plan(replace(ONE_FOLD, settings=(setting,), controls=(setting,)), table(), POOL)
    return found.of(PRETRAIN)[0].name, found.of(TRAIN)[0].name


@pytest.mark.parametrize("part", ["fit", "method_params"])
def test_any_other_option_of_training_makes_another_job_of_the_same_start(part) -> None:
    start, plain = jobs_of()
    names = {plain}
    for option, options in changed(getattr(Setting(), part)):
        begun, name = jobs_of(**{part: options})
        assert begun == start, option
        assert name not in names, option
        names.add(name)


@pytest.mark.parametrize("part", ["pretrain", "mel", "pretext"])
def test_any_other_option_of_pre_training_makes_another_start_and_another_job(part) -> None:
    starts, names = ({name} for name in jobs_of())
    for option, options in changed(getattr(Setting(), part)):
        if part == "pretrain" and option in ("patience", "restore_best"):
            continue  # they also say whether clips are held out, which the rows tell
        begun, name = jobs_of(**{part: options})
        assert begun not in starts, option
        assert name not in names, option
        starts.add(begun)
        names.add(name)


def test_equal_work_is_done_once(plan) -> None:
    """The control of both decoders, the pre-trainings of draws that share them, arms alike."""
    assert {job.name for job in plan.jobs} == {
        job.name for job in make_plan(RECIPE, table(), POOL, seed=1).jobs
    }
    names = {
        arm: {job.name for _, job in plan.cells if job.arm == arm} for arm in (CONTROL, PRETRAINED)
    }
    assert len(names[PRETRAINED]) == 2 * len(names[CONTROL])
    assert not names[CONTROL] & {job.name for job in make_plan(RECIPE, table(), POOL, seed=2).jobs}
    assert len(plan.of(PRETRAIN)) == 2 * 3 * 3  # decoders x folds x draws
    shared = make_plan(replace(RECIPE, pretrain_draws=1), table(), POOL, seed=1)
    assert len(shared.of(PRETRAIN)) == 2 * 3
    one = Setting(objective="none")
    recipe = Recipe(
        validation=0.0,
        arms=("this", "that"),
        settings=(one,),
        controls=(replace(one, name="other", pool=False),),
    )
    alike = make_plan(recipe, table(40), POOL)
    assert len(alike.cells) == 2 * len(alike.of(TRAIN))
    assert [job.arm for _, job in alike.cells[:2]] == ["this", "that"]


def test_epochs_of_a_budget_replace_those_of_the_setting() -> None:
    recipe = replace(RECIPE, budgets=(Budget(2, 1, epochs=77), Budget(0, 1)))
    epochs = {
        job.budget.labels_per_class: job.setting.fit.epochs
        for job in make_plan(recipe, table(), POOL).of(TRAIN)
    }
    assert epochs == {2: 77, 0: Setting().fit.epochs}


def test_a_method_hears_the_pool_and_its_control_does_not() -> None:
    how = MethodOptions(augment="weak", threshold=0.8)
    recipe = Recipe(
        validation=0.0,
        arms=("labels alone", "fixmatch"),
        settings=(Setting(name="x", objective="none", method="fixmatch", method_params=how),),
    )
    plan = make_plan(recipe, table(), POOL, seed=1)
    groups = np.concatenate([table().group, POOL.group])
    assert not plan.of(PRETRAIN)
    for _, job in plan.cells:
        assert job.start is None
        assert job.setting.method_params.augment == "weak"
        if job.arm == "labels alone":
            assert job.setting.method == "supervised"
            assert not len(job.pool)
        else:
            assert job.setting.method == "fixmatch"
            assert set(np.arange(len(POOL)) + len(table())) <= set(job.pool.tolist())
            assert set(job.train.tolist()) <= set(job.pool.tolist())
            assert not set(groups[job.pool]) & set(groups[job.test])


def test_auto_is_settled_for_each_budget() -> None:
    recipe = Recipe(
        validation=0.0,
        arms=("labels alone", "labels and pool"),
        budgets=(Budget(0, 1), Budget(2, 1)),
        settings=(Setting(objective="none", method="auto"),),
        controls=(Setting(objective="none", method="auto", pool=False),),
    )
    big = table(80, pool=True).with_columns(group=np.array([f"q{i}" for i in range(320)]))
    labelled = table(40)
    for _, job in make_plan(recipe, labelled, big).cells:
        few = bool(job.budget.labels_per_class)
        pool = job.arm == "labels and pool"
        by_labels = "probe"
        assert job.setting.method == (by_labels if few else "supervised")
        assert job.setting.start == "synthetic"
        # The labelled clips alone are too few to be told apart here.
        assert (job.start is not None) == pool
        heard = [] if job.start is None else np.r_[job.start.train, job.start.validation]
        assert any(row >= len(labelled) for row in heard) == pool
        assert bool(len(job.pool)) == (few and pool)
        assert (job.setting.fit.steps > 0) == (not few)  # a probe has none
        assert (job.setting.method_params.mixup > 0) == (not few)
