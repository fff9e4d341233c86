"""Generated patches in training: of their class, from training rows alone, in no other part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from semisonic.classifier.config import METHODS, TrainConfig
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.training import NO_ROWS, TrainedModel, TrainingData
from semisonic.core.errors import OptionError
from semisonic.experiments.generated import (
    METHODS_WITH_PATCHES,
    Generated,
    generate,
    train_with_patches,
)
from semisonic.experiments.recipe import GENERATORS, GeneratedOptions
from semisonic.features.options import WAVE, MelOptions
from semisonic.training.options import FitOptions

N = 36
TARGET = np.arange(N) % 3
TRAIN, POOL, TEST = np.arange(9), np.arange(9, 24), np.arange(24, N)
MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
FIT = FitOptions(
    steps=4,
    epoch_steps=2,
    batch_size=8,
    learning_rate=5e-3,
    precision="fp32",
)
PATCHES = GeneratedOptions(generator="vae", generator_steps=4, generated_per_class=5)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Each class is loud in bands of its own."""
    x = -60 + 4 * np.random.default_rng(0).standard_normal((N, *MEL.shape))
    for clip, kind in zip(x, TARGET, strict=True):
        clip[:, 5 * kind : 5 * kind + 5] += 25
    return x.astype(np.float16)


def made(features: np.ndarray, options: GeneratedOptions = PATCHES, **more: object) -> Generated:
    given: dict[str, object] = {"target": TARGET, "rows": TRAIN, "seed": 0, "mel": MEL} | more
    return generate(features, options=options, n_classes=3, **given)  # type: ignore[arg-type]


def run(
    features: np.ndarray,
    options: GeneratedOptions = PATCHES,
    *,
    method: str = "supervised",
    validation: np.ndarray = NO_ROWS,
    noisy: np.ndarray = NO_ROWS,
    folder: Path | None = None,
) -> tuple[TrainedModel, Generated | None]:
    config = TrainConfig("(4)3c-2p-(4)3c-2p-8fc", method=method, fit=FIT, mel=MEL)
    data = TrainingData(features, TARGET, ("low", "middle", "high"), TRAIN, validation, POOL, noisy)
    return train_with_patches(config, options, data, seed=0, folder=folder)


def test_a_judge_of_real_clips_names_the_classes_of_patches(features: np.ndarray) -> None:
    flat = features[POOL].astype(np.float32).reshape(len(POOL), -1)
    judge = LogisticRegression(max_iter=500).fit(flat, TARGET[POOL])
    found = made(features, replace(PATCHES, generator_steps=150, generated_per_class=20))
    patches = found.features.astype(np.float32).reshape(len(found.target), -1)
    assert judge.score(patches, found.target) > 0.9
    assert found.fit.history[-1]["loss"] < found.fit.history[0]["loss"]
    spread = patches.reshape(3, 20, -1).std(axis=1).mean()
    assert spread > 1.0, "patches of a class are not all the same"


@pytest.mark.parametrize("generator", GENERATORS[1:])
def test_patches_are_those_of_the_seed(features: np.ndarray, generator: str) -> None:
    options = replace(PATCHES, generator=generator)
    first, again = made(features, options), made(features, options)
    other = made(features, options, seed=1)
    assert np.array_equal(first.features, again.features)
    assert not np.array_equal(first.features, other.features)
    assert first.features.shape == (15, *features.shape[1:])
    assert first.features.dtype == np.float16
    assert np.isfinite(first.features).all()
    assert first.features.min() >= MEL.quietest_db - 0.1
    assert first.target.tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_the_generator_hears_training_rows_alone(features: np.ndarray) -> None:
    blind = features.copy()
    blind[9:] = np.nan  # validation, test and everything else
    assert np.array_equal(made(features).features, made(blind).features)
    hidden = np.where(np.arange(N) < 9, TARGET, -1)
    assert np.array_equal(made(features).features, made(features, target=hidden).features)


def test_a_class_without_a_clip_gets_no_patch(features: np.ndarray) -> None:
    rows = TRAIN[TARGET[TRAIN] < 2]
    assert set(made(features, rows=rows).target.tolist()) == {0, 1}


def test_patches_are_learned_from_and_never_validated_on(
    features: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[tuple[bool, int]] = []

    def watched(model: object, given: np.ndarray, rows: object, **more: object) -> np.ndarray:
        scored.append((given is features, len(np.asarray(rows))))
        return score_rows(model, given, rows, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("semisonic.classifier.training.score_rows", watched)
    (plain, none), (beside, patches) = (
        run(features, options, validation=TEST) for options in (GeneratedOptions(), PATCHES)
    )
    assert set(scored) == {(True, len(TEST))}
    assert none is None
    assert patches is not None
    assert beside.fit.n_steps == plain.fit.n_steps
    assert patches.summary()["seconds"] > 0
    one, two = (out.model.frontend.standardize.state_dict() for out in (plain, beside))
    assert all(torch.equal(one[name], two[name]) for name in one), "statistics are those of clips"
    with_them, without = beside.model.state_dict(), plain.model.state_dict()
    assert not all(torch.equal(with_them[name], without[name]) for name in without)


def test_an_interrupted_training_goes_on_with_the_same_patches(
    features: np.ndarray, tmp_path: Path
) -> None:
    _, first = run(features, folder=tmp_path)
    assert (tmp_path / "generator" / "checkpoint.pt").is_file()
    _, again = run(features, folder=tmp_path)
    assert first is not None
    assert again is not None
    assert np.array_equal(first.features, again.features)


@pytest.mark.parametrize("method", METHODS_WITH_PATCHES)
def test_every_method_with_a_place_for_patches_takes_them(
    features: np.ndarray, method: str
) -> None:
    outcome, _ = run(features, method=method)
    assert np.isfinite(outcome.history[-1]["loss"])


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(METHODS_WITH_PATCHES)))
def test_other_methods_say_so(features: np.ndarray, method: str) -> None:
    with pytest.raises(OptionError, match=method):
        run(features, method=method)


def test_what_cannot_be_generated_is_refused(features: np.ndarray) -> None:
    with pytest.raises(OptionError, match="several labels"):
        made(features, target=np.eye(3, dtype=np.float32)[TARGET])
    for mel, word in (
        (MelOptions(input=WAVE, sample_rate=8000, duration=0.5), "waves"),
        (replace(MEL, deltas=True), "maps"),
    ):
        with pytest.raises(OptionError, match=word):
            made(features, mel=mel)
    with pytest.raises(OptionError, match="nobody checked"):
        run(features, noisy=POOL)
