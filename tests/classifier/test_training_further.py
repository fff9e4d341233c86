"""Training a classifier further as a whole, and beside labels that nobody checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_rows import train_rows

from semisonic.classifier.config import MethodOptions, TrainConfig
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.training import shares_of_batch
from semisonic.core.errors import ModelError, OptionError
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=8000, duration=1.0, n_fft=256, hop_length=250, n_mels=32)
FIT = FitOptions(epochs=2, batch_size=8, precision="fp32", restore_best=False)
SETTINGS = TrainConfig(model="(4)3c-2p-(4)3c-2p-8fc", fit=FIT)
CLASSES = ("low", "middle", "high")


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Features in which each class is a band that is louder, and one or two labels a row."""
    rng = np.random.default_rng(0)
    target = (rng.random((60, 3)) < 0.4).astype(np.float32)
    target[np.arange(60), rng.integers(3, size=60)] = 1.0
    features = rng.normal(-60, 5, (60, *MEL.shape)).astype(np.float32)
    for k in range(3):
        features[:, :, 10 * k : 10 * k + 8] += 25 * target[:, k, None, None, None]
    return features, target


def train(data, rows=range(40), settings=SETTINGS, **options):
    features, target = data
    given = {"mel": MEL, "classes": CLASSES, "seed": 1} | options
    return train_rows(features, target, list(rows), [], settings, **given)


def test_a_whole_model_goes_on_where_it_was(data) -> None:
    """With a learning rate of zero nothing but the norms' statistics may change."""
    first = train(data).model
    still = replace(SETTINGS, fit=replace(FIT, learning_rate=0.0))
    again = train(data, settings=still, start=first, seed=7).model
    np.testing.assert_allclose(
        score_rows(first, data[0], range(60)), score_rows(again, data[0], range(60)), atol=1e-6
    )
    fresh = train(data, settings=still, seed=7).model
    assert not np.allclose(
        score_rows(fresh, data[0], range(60)), score_rows(first, data[0], range(60)), atol=1e-3
    )


def test_a_whole_model_keeps_its_statistics_and_is_not_changed_itself(data) -> None:
    first = train(data, range(20)).model
    before = {name: value.clone() for name, value in first.state_dict().items()}
    second = train(data, range(20, 60), start=first).model
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, before[name])
    one, two = first.frontend.standardize, second.frontend.standardize
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"classes": ("low", "middle", "top")}, "classes"),
        ({"settings": replace(SETTINGS, model="(5)3c-2p-8fc")}, "network"),
        ({"mel": replace(MEL, fmin_hz=50.0)}, "front end"),
    ],
)
def test_another_model_cannot_go_on(data, changes, what) -> None:
    first = train(data).model
    with pytest.raises(ModelError, match=what):
        train(data, start=first, **changes)


def test_noisy_rows_are_learned_beside_others(data) -> None:
    features, target = data
    wrong = target.copy()
    wrong[20:] = np.roll(wrong[20:], 1, axis=1)
    long = replace(SETTINGS, fit=replace(FIT, epochs=12, learning_rate=0.01))
    given = {"rows": range(20), "rows_noisy": list(range(20, 60))}
    believing = train((features, wrong), settings=long, **given).model
    unweighted = replace(long, noisy_weight=0.0)
    doubting = train((features, wrong), settings=unweighted, **given).model
    error = [
        np.abs(score_rows(model, features, range(20)) - target[:20]).mean()
        for model in (believing, doubting)
    ]
    assert error[1] < error[0]


def test_a_noisy_loss_of_its_own_changes_what_is_learned(data) -> None:
    given = {"rows": range(20), "rows_noisy": list(range(20, 60))}
    plain = train(data, **given).model
    soft = replace(
        SETTINGS, noisy_loss="bootstrap", method_params=MethodOptions(bootstrap_beta=0.5)
    )
    other = train(data, settings=soft, **given).model
    assert not np.allclose(
        score_rows(plain, data[0], range(60)), score_rows(other, data[0], range(60))
    )


def test_parts_share_a_batch_as_they_occur() -> None:
    assert shares_of_batch(32, 100, 300) == (8, 24)
    assert shares_of_batch(32, 1000, 3) == (30, 2), "batch normalisation needs two"
    assert shares_of_batch(32, 3, 1000) == (2, 30)
    assert shares_of_batch(32, 100, 0) == (32, 0)
    with pytest.raises(OptionError, match="batch_size"):
        shares_of_batch(3, 10, 10)


def test_a_method_without_a_place_for_noisy_labels_says_so(data) -> None:
    with pytest.raises(OptionError, match="fixmatch"):
        train(
            data,
            settings=replace(SETTINGS, method="fixmatch"),
            rows_noisy=[41, 42],
            rows_pool=[50, 51, 52],
        )


@pytest.mark.parametrize("network", ["vgg", "crnn-lstm", "crnn-gru", "resnet"])
def test_the_networks_of_the_seed_train_in_all_stages(data, network: str) -> None:
    """Labels that nobody checked, then checked ones, then both with consistency."""
    fit = replace(FIT, epochs=1, epoch_steps=1, batch_size=8)
    settings = TrainConfig(model=network, fit=fit)
    noisy, curated = range(12), range(20, 32)
    model = train(data, noisy, settings).model
    model = train(data, curated, settings, start=model).model
    last = replace(settings, method="pi-model", method_params=MethodOptions(pool_ratio=1.0))
    outcome = train(
        data, curated, last, start=model, rows_noisy=list(noisy), rows_pool=list(range(40, 52))
    )
    row = outcome.history[-1]
    assert np.isfinite([row["loss"], row["disagreement"], row["labelled"]]).all()
    scores = score_rows(outcome.model, data[0], range(60))
    assert scores.shape == (60, 3)
    assert not np.allclose(scores, score_rows(model, data[0], range(60)))
