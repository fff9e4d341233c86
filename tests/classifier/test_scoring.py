from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_sounds import MEL, NOTATION

from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.models.sound_model import build

FEATURES = np.random.default_rng(0).normal(-40, 10, (11, *MEL.shape)).astype(np.float16)


@pytest.fixture(params=[False, True])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    made = build(NOTATION, MEL, ("a", "b", "c"), multi_label=request.param, dropout=0.5, seed=1)
    made.frontend.standardize.fit(FEATURES)
    return made


def test_scores_are_probabilities_in_the_order_asked_for(model: torch.nn.Module) -> None:
    rows = np.array([7, 2, 2, 10])
    scores = score_rows(model, FEATURES, rows)
    assert scores.shape == (4, 3)
    assert np.array_equal(scores[1], scores[2])
    assert scores.min() >= 0
    if not model.multi_label:
        assert np.allclose(scores.sum(axis=1), 1)
    every = score_rows(model, FEATURES, np.arange(11))
    assert np.allclose(scores, every[rows], atol=1e-6)


def test_one_at_a_time_is_the_same_as_a_batch(model: torch.nn.Module) -> None:
    one = score_rows(model, FEATURES, np.arange(11), batch_size=1)
    many = score_rows(model, FEATURES, np.arange(11), batch_size=64)
    assert np.allclose(one, many, atol=1e-6)


def test_the_mode_of_the_model_is_kept(model: torch.nn.Module) -> None:
    model.train()
    first = score_rows(model, FEATURES, [0, 1])
    assert np.array_equal(first, score_rows(model, FEATURES, [0, 1]))  # no dropout
    assert model.training


def test_no_rows_give_no_scores(model: torch.nn.Module) -> None:
    assert score_rows(model, FEATURES, []).shape == (0, 3)


def test_embeddings_are_what_the_class_layer_sees(model: torch.nn.Module) -> None:
    found = embed_rows(model, FEATURES, np.arange(11))
    assert found.shape == (11, 16)
    model.eval()
    with torch.no_grad():
        logits = model.head(torch.from_numpy(found).float())
        expected = model.from_features(torch.from_numpy(FEATURES.astype(np.float32)))
    assert torch.allclose(logits, expected, atol=1e-5)
