"""Generated patches in training: of their class, from training rows alone, in no other part."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from test_plan import POOL, table
from torch.nn import functional as F

from semisonic import recipes
from semisonic.classifier.config import METHODS
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.training import NO_ROWS, TrainedModel, TrainingData, train_model
from semisonic.core.errors import OptionError
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments import generated
from semisonic.experiments.generated import (
    BOUND,
    METHODS_WITH_PATCHES,
    ConditionalGan,
    Generated,
    PatchCritic,
    PatchGenerator,
    generate,
    train_with_patches,
)
from semisonic.experiments.plan import make_plan
from semisonic.experiments.recipe import Recipe, Setting, read_recipe
from semisonic.features.frontend import Standardize
from semisonic.features.options import WAVE, MelOptions
from semisonic.training.options import FitOptions

N = 36
TARGET = np.arange(N) % 3
TRAIN, REST, TEST = np.arange(9), np.arange(9, 24), np.arange(24, N)
MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
FIT = FitOptions(steps=4, epoch_steps=2, batch_size=8, learning_rate=5e-3, precision="fp32")


@pytest.fixture(autouse=True)
def few_patches(monkeypatch) -> None:
    monkeypatch.setattr(generated, "PER_CLASS", 5)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Each class is loud in bands of its own."""
    x = -60 + 4 * np.random.default_rng(0).standard_normal((N, *MEL.shape))
    for clip, kind in zip(x, TARGET, strict=True):
        clip[:, 5 * kind : 5 * kind + 5] += 25
    return x.astype(np.float16)


def made(features: np.ndarray, **more: object) -> Generated:
    given: dict[str, object] = {"target": TARGET, "rows": TRAIN, "seed": 0, "mel": MEL, "steps": 4}
    return generate(features, n_classes=3, **(given | more))


def run(
    features: np.ndarray,
    *,
    ratio: float = 1.0,
    method: str = "supervised",
    validation: np.ndarray = NO_ROWS,
    folder: Path | None = None,
) -> tuple[TrainedModel, Generated | None]:
    config = Setting(
        model="(4)3c-2p-(4)3c-2p-8fc",
        method=method,
        fit=FIT,
        mel=MEL,
        generated_ratio=ratio,
        generator_steps=4,
    )
    data = TrainingData(features, TARGET, ("low", "middle", "high"), TRAIN, validation, REST)
    if not ratio:
        return train_model(config, data, seed=0), None
    return train_with_patches(config, data, seed=0, folder=folder)


def objective(features: np.ndarray) -> ConditionalGan:
    size = MEL.shape[1:]
    parts = PatchGenerator(size, 3, seed=1), PatchCritic(size, 3, seed=1)
    standardize = Standardize("mel", 1, size[0]).fit([features.astype(np.float32)])
    return ConditionalGan(*parts, standardize, torch.nn.Identity())


@pytest.mark.parametrize("size", [(5, 5), (16, 22), (70, 5), (33, 120)])
def test_patches_have_the_size_that_was_asked_for(size) -> None:
    condition = torch.eye(3)[:2]
    patches = PatchGenerator(size, 3)(torch.randn(2, 32), condition)
    assert patches.shape == (2, 1, *size)
    assert PatchCritic(size, 3)(patches, condition).shape == (2,)


@pytest.mark.parametrize("kind", [PatchGenerator, PatchCritic])
def test_weights_depend_on_the_seed_alone(kind) -> None:
    torch.manual_seed(1)
    first = kind((16, 22), 3, seed=4).state_dict()
    before = torch.get_rng_state()
    again, other = kind((16, 22), 3, seed=4).state_dict(), kind((16, 22), 3, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_critic_is_kept_smooth_and_patches_within_bounds() -> None:
    critic, generator = PatchCritic((16, 22), 3, seed=0), PatchGenerator((16, 22), 3)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(50.0)
        for _ in range(20):  # each pass finds the largest stretch a little better
            critic(torch.randn(8, 1, 16, 22), torch.eye(3)[torch.arange(8) % 3])
        for layer in (critic.score, critic.of_class, critic.dense):
            assert torch.linalg.matrix_norm(layer.weight, ord=2) < 1.1
        generator.band.fill_(100.0)
        assert generator(torch.randn(2, 32), torch.eye(3)[:2]).abs().max() <= BOUND


def test_one_step_gives_each_side_the_gradients_of_its_own_loss(features) -> None:
    """Generator and critic learn at once, yet neither sees the other's loss."""
    gan = objective(features).eval()  # the critic's norms stay as they are
    alone, clips = copy.deepcopy(gan), torch.from_numpy(features[TRAIN]).float()
    torch.manual_seed(2)
    gan({"labelled": SimpleNamespace(x=clips, y=torch.from_numpy(TARGET[TRAIN]))})[
        "loss"
    ].backward()
    torch.manual_seed(2)
    x, condition = alone.standardize(clips), torch.eye(3)[TARGET[TRAIN]]
    patches = alone.generator(torch.randn(len(x), 32), condition)
    real, fake = alone.critic(x, condition), alone.critic(patches, condition)
    on_critic = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    for part, loss in (("critic", on_critic), ("generator", -fake.mean())):
        weights = dict(getattr(alone, part).named_parameters())
        wanted = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
        found = dict(getattr(gan, part).named_parameters())
        for name, gradient in zip(weights, wanted, strict=True):
            torch.testing.assert_close(found[name].grad, gradient, msg=f"{part}.{name}")
    assert all(p.requires_grad for p in gan.parameters())


def test_a_judge_of_real_clips_names_the_classes_of_patches(features, monkeypatch) -> None:
    flat = features[REST].astype(np.float32).reshape(len(REST), -1)
    judge = LogisticRegression(max_iter=500).fit(flat, TARGET[REST])
    monkeypatch.setattr(generated, "PER_CLASS", 20)
    found = made(features, steps=120)
    patches = found.features.astype(np.float32).reshape(len(found.target), -1)
    assert judge.score(patches, found.target) > 0.9
    spread = patches.reshape(3, 20, -1).std(axis=1).mean()
    assert spread > 0.1, "patches of a class are not all the same"


def test_patches_are_those_of_the_seed(features) -> None:
    first, again, other = made(features), made(features), made(features, seed=1)
    assert np.array_equal(first.features, again.features)
    assert not np.array_equal(first.features, other.features)
    assert first.features.shape == (15, *features.shape[1:])
    assert first.features.dtype == np.float16
    assert np.isfinite(first.features).all()
    assert first.features.min() >= MEL.quietest_db - 0.1
    assert first.target.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert set(made(features, rows=TRAIN[TARGET[TRAIN] < 2]).target.tolist()) == {0, 1}


def test_the_generator_learns_from_training_rows_alone(features) -> None:
    blind, hidden = features.copy(), np.where(np.arange(N) < 9, TARGET, -1)
    blind[9:] = np.nan  # validation, test and everything else
    assert np.array_equal(made(features).features, made(blind, target=hidden).features)


def test_patches_are_learned_from_and_never_validated_on(features, monkeypatch) -> None:
    scored: list[tuple[bool, int]] = []

    def watched(model: object, given: np.ndarray, rows: object, **more: object) -> np.ndarray:
        scored.append((given is features, len(np.asarray(rows))))
        return score_rows(model, given, rows, **more)

    monkeypatch.setattr("semisonic.classifier.training.score_rows", watched)
    (plain, none), (beside, patches) = (
        run(features, ratio=ratio, validation=TEST) for ratio in (0.0, 1.0)
    )
    assert set(scored) == {(True, len(TEST))}
    assert none is None
    assert patches is not None
    assert beside.fit.n_steps == plain.fit.n_steps
    one, two = (out.model.frontend.standardize.state_dict() for out in (plain, beside))
    assert all(torch.equal(one[name], two[name]) for name in one), "statistics are those of clips"
    with_them, without = beside.model.state_dict(), plain.model.state_dict()
    assert not all(torch.equal(with_them[name], without[name]) for name in without)


def test_an_interrupted_training_goes_on_with_the_same_patches(features, tmp_path) -> None:
    _, first = run(features, folder=tmp_path)
    assert (tmp_path / "generator" / "checkpoint.pt").is_file()
    _, again = run(features, folder=tmp_path)
    assert first is not None
    assert again is not None
    assert np.array_equal(first.features, again.features)


@pytest.mark.parametrize("method", METHODS)
def test_methods_take_patches_or_say_that_they_cannot(features, method) -> None:
    if method in METHODS_WITH_PATCHES:
        assert np.isfinite(run(features, method=method)[0].history[-1]["loss"])
    else:
        with pytest.raises(OptionError, match=method):
            run(features, method=method)


def test_what_cannot_be_generated_is_refused(features) -> None:
    for mel, word in (
        (MelOptions(input=WAVE, sample_rate=8000, duration=0.5), "waves"),
        (replace(MEL, deltas=True), "deltas"),
    ):
        with pytest.raises(OptionError, match=word):
            made(features, mel=mel)


SMALL = {
    "setting.model": '"(4)3c-2p-(4)3c-2p-8fc"',
    "setting.mel": "{sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16}",
    "setting.fit": '{steps=4, epoch_steps=2, batch_size=4, precision="fp32"}',
    "setting.generator_steps": "2",
    "budgets": "[{labels_per_class=2}]",
    "folds": "[1]",
}


@pytest.fixture(scope="module")
def finished(run_tiny) -> Path:
    change = tuple(f"{key}={value}" for key, value in SMALL.items())
    return run_tiny("generated-sounds", quick=True, change=change, unlabelled=None).report.parent


def test_arms_are_compared_and_patches_shown(finished) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    names = [one["setting"] for one in results["comparisons"]]
    assert names[:2] == ["augmentation", "GAN samples"]
    jobs = {job["cell"]: job for job in results["jobs"] if job["arm"] == "with"}
    assert jobs["GAN samples"]["generated"]["n_patches"] == 200
    assert "critic_loss" in jobs["GAN samples"]["generated"]
    assert not jobs["augmentation"]["generated"]
    assert len({job["n_epochs"] for job in results["jobs"]}) == 1
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "A generator learns from the labelled training clips" in page
    assert (finished / "figures" / "generated.png").stat().st_size > 3000


def test_a_control_is_trained_once_and_only_clips_are_tested(finished) -> None:
    assert len(list((finished / "jobs").glob("train-*/job.json"))) == 4
    predictions = Predictions.read(finished / "tables" / "predictions.csv")
    one = predictions.select(setting="GAN samples", arm="with")
    plain = predictions.select(setting="GAN samples", arm="without")
    assert sorted(one.clip) == sorted(plain.clip)
    assert not list((finished / "jobs").glob("*/generator"))


def test_names_of_other_jobs_stay_and_options_make_new_ones() -> None:
    def name(ratio: float = 0.0, steps: int = 600) -> str:
        setting = Setting(objective="none", generated_ratio=ratio, generator_steps=steps)
        return make_plan(Recipe(settings=(setting,)), table(), POOL).cells[1][1].name

    assert name(0.0, 7) == name()
    assert len({name(), name(1.0), name(0.5), name(1.0, 7)}) == 4


@pytest.mark.parametrize("quick", [False, True])
def test_the_recipe_holds_both_arms_alike(quick) -> None:
    recipe = read_recipe(recipes.find("generated-sounds"), quick=quick)
    for control, treated in zip(recipe.controls, recipe.settings, strict=True):
        assert not control.generated_ratio
        assert (control.fit, control.model, control.mel) == (
            treated.fit,
            treated.model,
            treated.mel,
        )
    assert [one.generated_ratio for one in recipe.settings] == [0.0, 0.5, 0.5, 0.5]
    assert recipe.controls[-1].method_params == recipe.settings[-1].method_params
