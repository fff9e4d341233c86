"""Generated patches in training: of their class, from training rows alone, in no other part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN, sound
from training_rows import train_rows

from semisonic.classifier.config import (
    GENERATORS,
    METHODS,
    WITH_NOISY,
    GeneratedOptions,
    MethodOptions,
    TrainConfig,
)
from semisonic.classifier.generated import Generated, generate
from semisonic.classifier.prepare import prepare_waves
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.training import TrainedModel
from semisonic.core.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.features.options import WAVE, MelOptions
from semisonic.training.options import FitOptions

N = 36
TARGET = np.arange(N) % 3
TRAIN, POOL, TEST = np.arange(9), np.arange(9, 24), np.arange(24, N)
FIT = FitOptions(steps=4, epoch_steps=2, learning_rate=5e-3, **PLAIN)
VAE = GeneratedOptions(generator="vae", generator_steps=4, generated_per_class=5)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    waves = [sound(KINDS[i % 3], i) for i in range(N)]
    clips = Clips.from_rows(".", [{"file": f"{i:02d}"} for i in range(N)])
    return np.asarray(prepare_waves(clips, waves, MEL).features)


def made(features: np.ndarray, options: GeneratedOptions = VAE, **more: object) -> Generated:
    given: dict[str, object] = {"target": TARGET, "rows": TRAIN, "seed": 0, "pool": POOL}
    given |= more
    return generate(features, options=options, mel=MEL, n_classes=3, **given)  # type: ignore[arg-type]


def run(features: np.ndarray, options: GeneratedOptions = VAE, **more: object) -> TrainedModel:
    method = str(more.pop("method", "supervised"))
    settings = TrainConfig(NOTATION, method=method, fit=FIT, generated=options)
    given: dict[str, object] = {
        "target": TARGET,
        "rows_train": TRAIN,
        "rows_validation": [],
        "settings": settings,
        "mel": MEL,
        "classes": KINDS,
        "seed": 0,
    }
    return train_rows(features, **(given | more))  # type: ignore[arg-type]


def test_a_judge_of_real_clips_names_the_classes_of_patches(features: np.ndarray) -> None:
    judge = LogisticRegression(max_iter=500).fit(
        features[POOL].reshape(len(POOL), -1), TARGET[POOL]
    )
    found = made(features, replace(VAE, generator_steps=150, generated_per_class=20))
    patches = found.features.astype(np.float32).reshape(len(found.target), -1)
    assert judge.score(patches, found.target) > 0.9
    assert found.fit.history[-1]["loss"] < found.fit.history[0]["loss"]
    spread = patches.reshape(3, 20, -1).std(axis=1).mean()
    assert spread > 1.0, "patches of a class are not all the same"


@pytest.mark.parametrize("generator", GENERATORS[1:])
@pytest.mark.parametrize("with_pool", [False, True])
def test_patches_are_those_of_the_seed(
    features: np.ndarray, generator: str, with_pool: bool
) -> None:
    options = replace(VAE, generator=generator, generator_pool=with_pool)
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


def test_a_pool_is_heard_where_that_is_asked_for(features: np.ndarray) -> None:
    asked = replace(VAE, generator_pool=True)
    assert not np.array_equal(made(features).features, made(features, asked).features)
    hidden = np.where(np.arange(N) < 9, TARGET, -1)  # never by its labels
    heard = made(features, asked, target=hidden).features
    assert np.array_equal(made(features, asked).features, heard)
    for pool in (None, POOL[:0]):
        with pytest.raises(OptionError, match="generator_pool"):
            made(features, asked, pool=pool)


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
    plain, beside = (
        run(features, options, rows_validation=TEST) for options in (GeneratedOptions(), VAE)
    )
    assert scored
    assert set(scored) == {(True, len(TEST))}
    assert plain.generated is None
    assert beside.generated is not None
    assert beside.fit.n_steps == plain.fit.n_steps
    assert beside.seconds > beside.fit.seconds
    one, two = (out.model.frontend.standardize.state_dict() for out in (plain, beside))
    assert all(torch.equal(one[name], two[name]) for name in one), "statistics are those of clips"
    with_it, without = beside.model.state_dict(), plain.model.state_dict()
    assert not all(torch.equal(with_it[name], without[name]) for name in without)


def test_with_weight_nought_patches_pull_at_nothing(features: np.ndarray) -> None:
    heavy, light = (
        run(features, replace(VAE, generated_weight=weight)).history[-1]["loss"]
        for weight in (1.0, 0.0)
    )
    assert light < heavy


def test_an_interrupted_training_goes_on_with_the_same_patches(
    features: np.ndarray, tmp_path: Path
) -> None:
    first = run(features, folder=tmp_path)
    assert (tmp_path / "generator" / "checkpoint.pt").is_file()
    again = run(features, folder=tmp_path)
    assert first.generated is not None
    assert again.generated is not None
    assert np.array_equal(first.generated.features, again.generated.features)


@pytest.mark.parametrize("method", WITH_NOISY)
def test_every_method_with_a_place_for_patches_takes_them(
    features: np.ndarray, method: str
) -> None:
    outcome = run(features, method=method, rows_pool=POOL)
    assert np.isfinite(outcome.history[-1]["loss"])


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(WITH_NOISY)))
def test_other_methods_say_so(features: np.ndarray, method: str) -> None:
    with pytest.raises(OptionError, match=method):
        run(features, method=method, rows_pool=POOL)


def test_what_cannot_be_generated_is_refused(features: np.ndarray) -> None:
    with pytest.raises(OptionError, match="several labels"):
        made(features, target=np.eye(3, dtype=np.float32)[TARGET])
    for mel, word in (
        (MelOptions(input=WAVE, sample_rate=8000, duration=0.5), "waves"),
        (replace(MEL, deltas=True), "maps"),
    ):
        with pytest.raises(OptionError, match=word):
            generate(features, TARGET, TRAIN, VAE, mel=mel, n_classes=3, seed=0)
    with pytest.raises(OptionError, match="nobody checked"):
        run(
            features,
            rows_noisy=POOL,
            settings=TrainConfig(
                NOTATION,
                fit=FIT,
                generated=VAE,
                method_params=MethodOptions(),
            ),
        )


def test_options_without_a_generator_are_refused() -> None:
    GeneratedOptions().check_for("probe")
    with pytest.raises(OptionError, match="generator"):
        GeneratedOptions(generated_ratio=2.0).check_for("supervised")
