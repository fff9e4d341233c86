"""SimCLR: two views of a clip find each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_standins import DELTAS, MEL, Clips, Jitter, clips, encoder, learn, loss_of
from torch import nn

from semisonic.core.errors import DataError, ModelError
from semisonic.features.augmentation import TimeCrop, augmenter
from semisonic.learning.contrastive import SimClr, embedding_spread, pooled


def make(mel=MEL, view=None, **options):
    network = encoder(mel)
    options = {"projection": 16} | options
    return SimClr(network.encoder, network.frontend.standardize, view or Jitter(), **options)


def test_the_loss_falls_on_held_out_clips_and_the_embedding_stays_wide():
    objective, x, others = make(), clips(32), clips(32, seed=9)
    before = loss_of(objective, others)
    learn(objective, x, steps=40, rate=5e-3)
    assert loss_of(objective, others) < 0.7 * before
    objective.eval()
    assert not embedding_spread(objective.embed(others).detach()).is_collapsed


def test_the_loss_of_simclr_is_that_of_the_paper():
    objective = make(temperature=0.5).eval()
    torch.manual_seed(2)
    views = objective.two_views(clips(5))
    z = objective.projector(pooled(objective.encoder(views))).detach().double().numpy()
    torch.manual_seed(2)
    terms = objective({"unlabelled": Clips(clips(5))})
    losses, found = [], 0
    for i in range(10):
        partner = (i + 5) % 10
        alike = {
            k: z[i] @ z[k] / np.linalg.norm(z[i]) / np.linalg.norm(z[k])
            for k in range(10)
            if k != i
        }
        rest = sum(np.exp(value / 0.5) for value in alike.values())
        losses.append(-np.log(np.exp(alike[partner] / 0.5) / rest))
        found += max(alike, key=alike.get) == partner
    assert float(terms["loss"].detach()) == pytest.approx(np.mean(losses), rel=1e-4)
    assert float(terms["found"]) == pytest.approx(found / 10)


def test_a_plain_encoder_needs_the_length_of_its_embeddings():
    with pytest.raises(ModelError, match="out_channels: found 0 for a Flatten"):
        SimClr(nn.Flatten(), nn.Identity(), Jitter())


def test_simclr_of_one_clip_has_nothing_to_tell_apart():
    terms = make().eval()({"unlabelled": Clips(clips(1))})
    assert float(terms["loss"].detach()) == 0.0


@pytest.mark.parametrize("mel", [MEL, DELTAS])
def test_the_strong_views_with_a_time_crop_work_for_one_and_two_channels(mel):
    view = nn.Sequential(TimeCrop(mel, 0.4), augmenter("strong", mel))
    objective = make(mel, view)
    assert objective.two_views(clips(6, mel)).shape == (12, mel.n_channels, 16, 13)
    terms = objective({"unlabelled": Clips(clips(6, mel))})
    terms["loss"].backward()
    assert torch.isfinite(terms["loss"])


def test_views_are_random_in_training_and_fixed_by_a_seed_in_evaluation():
    objective, x = make(), clips()
    assert loss_of(objective, x, seed=1) == loss_of(objective, x, seed=1)
    assert loss_of(objective, x, seed=1) != loss_of(objective, x, seed=2)


def test_views_are_made_in_full_precision():
    objective, x = make(), clips()
    torch.manual_seed(0)
    wanted = objective.two_views(x)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        view = nn.Sequential(TimeCrop(MEL, 0.4), augmenter("strong", MEL))
        assert torch.equal(objective.two_views(x), wanted)
        torch.manual_seed(0)
        found = make(view=view).two_views(x)
    torch.manual_seed(0)
    assert torch.equal(found, make(view=view).two_views(x))


def numbers(n=200, width=16, seed=0):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def test_directions_at_random_are_no_collapse():
    spread = embedding_spread(numbers(2000, 16))
    assert spread.deviation == pytest.approx(1.0, abs=0.01)
    assert spread.rank == pytest.approx(16, abs=0.2)
    assert spread.n_dimensions == 16
    assert not spread.is_collapsed


def test_a_point_is_a_collapse():
    point = torch.ones(50, 16)
    assert embedding_spread(point).rank == 0.0
    assert embedding_spread(point).deviation == pytest.approx(0.0, abs=1e-6)
    almost = point + 1e-3 * numbers(50)
    assert embedding_spread(almost).rank > 10  # the rank alone would not show it
    assert embedding_spread(almost).is_collapsed


def test_a_line_is_a_collapse():
    line = numbers(50, 1) @ numbers(1, 16)
    spread = embedding_spread(line)
    assert spread.rank == pytest.approx(1.0, abs=1e-4)
    assert spread.deviation > 0.5  # the deviation alone would not show it
    assert spread.is_collapsed


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.floats(0.01, 100.0))
def test_the_rank_counts_equal_directions_at_any_scale(k, scale):
    basis = torch.linalg.qr(numbers(64, 8))[0][:, :k]
    basis = basis - basis.mean(0)
    axes = torch.linalg.qr(basis)[0]
    wide = scale * axes @ torch.eye(k, 16)
    assert embedding_spread(wide).rank == pytest.approx(k, rel=1e-3)


def test_what_all_clips_share_is_no_direction():
    assert embedding_spread(numbers() + 100.0).rank == pytest.approx(
        embedding_spread(numbers()).rank, rel=1e-6
    )
    assert embedding_spread(numbers() + 100.0).deviation < 0.1


@pytest.mark.parametrize("wrong", [torch.ones(1, 4), torch.ones(4), torch.full((3, 2), math.nan)])
def test_what_cannot_be_measured_is_an_error(wrong):
    with pytest.raises(DataError, match="spread"):
        embedding_spread(wrong)
