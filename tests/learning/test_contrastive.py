"""SimCLR: two views of a clip find each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretext_parts import DELTAS, MEL, Clips, Jitter, clips, encoder, learn, loss_of
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.features.augment.sets import augmenter
from semisonic.features.augment.time import TimeCrop
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


def test_first_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    a = make(seed=3).state_dict()
    state = torch.random.get_rng_state()
    b, c = make(seed=3).state_dict(), make(seed=4).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["projector.0.weight"], c["projector.0.weight"])


@pytest.mark.parametrize("wrong", [{"projection": 1}, {"temperature": 0.0}])
def test_wrong_options_are_errors(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        make(**wrong)
