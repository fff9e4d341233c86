"""BYOL, VICReg and SimCLR: two views of a clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretext_parts import DELTAS, MEL, Clips, Jitter, clips, encoder, learn, loss_of
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.features.augment.chain import augmenter
from semisonic.features.augment.time import TimeCrop
from semisonic.features.options import preset
from semisonic.learning.contrastive import Byol, SimClr, VicReg, embedding_spread, pooled


def make(kind, mel=MEL, view=None, **options):
    network = encoder(mel)
    return kind(
        network.encoder, network.frontend.standardize, view or Jitter(), projection=16, **options
    )


def online(objective):
    """Weights of the online side that the target follows, by name."""
    parts = {"encoder": objective.encoder, "projector": objective.projector}
    return {f"{k}.{n}": t.clone() for k, m in parts.items() for n, t in m.state_dict().items()}


def target(objective):
    parts = {"encoder": objective.target_encoder, "projector": objective.target_projector}
    return {
        f"{k}.{n}": t.clone() for k, m in parts.items() for n, t in m.network.state_dict().items()
    }


def test_the_target_starts_equal_and_follows_as_a_moving_average():
    objective, x = make(Byol, target_decay=0.9), clips()
    expected = online(objective)
    assert all(torch.equal(expected[name], t) for name, t in target(objective).items())
    steps = []

    def follow():
        steps.append(1)
        decay = min(0.9, (1 + len(steps)) / (10 + len(steps)))
        for name, now in online(objective).items():
            if now.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * now

    learn(objective, x, steps=7, each=follow)
    found = target(objective)
    for name, wanted in expected.items():
        if wanted.is_floating_point():
            torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6)
    moved = online(objective)
    assert not torch.allclose(found["projector.0.weight"], moved["projector.0.weight"])


def test_the_target_gets_no_gradients():
    objective = make(Byol)
    objective({"unlabelled": Clips(clips())})["loss"].backward()
    trained = {n.split(".")[0] for n, p in objective.named_parameters() if p.requires_grad}
    assert trained == {"encoder", "projector", "predictor"}
    assert all(p.grad is None for p in objective.target_encoder.parameters())
    assert all(p.grad.abs().sum() > 0 for p in objective.encoder.parameters() if p.ndim > 1)


def test_without_a_slow_target_it_is_the_online_network():
    objective = make(Byol, target_decay=0.0)
    learn(objective, clips(), steps=2)
    now = online(objective)
    assert all(torch.equal(now[name], t) for name, t in target(objective).items())


@pytest.mark.parametrize("kind", [Byol, VicReg, SimClr])
def test_the_loss_falls_on_held_out_clips_and_the_embedding_stays_wide(kind):
    objective, x, others = make(kind), clips(32), clips(32, seed=9)
    before = loss_of(objective, others)
    learn(objective, x, steps=40, rate=5e-3)
    assert loss_of(objective, others) < 0.7 * before
    objective.eval()
    assert not embedding_spread(objective.embed(others).detach()).is_collapsed


def test_without_the_parts_that_keep_it_wide_the_embedding_collapses():
    x = clips(32)
    objective = make(VicReg, variance=0.0, covariance=0.0)
    before = loss_of(objective, x)
    learn(objective, x, steps=50, rate=2e-2)
    objective.eval()
    views = objective.two_views(x)
    narrow = objective.projector(pooled(objective.encoder(views))).detach()
    assert loss_of(objective, x) < 0.1 * before
    assert float(narrow.std(0).mean()) < 0.2


def test_the_terms_of_vicreg_are_those_of_the_paper():
    objective = make(VicReg).eval()
    torch.manual_seed(2)
    views = objective.two_views(clips())
    z = objective.projector(pooled(objective.encoder(views))).detach()
    torch.manual_seed(2)
    terms = objective({"unlabelled": Clips(clips())})
    a, b = z.chunk(2)
    covariance = torch.from_numpy(np.cov(z.T.numpy()))
    off = covariance - torch.diag(covariance.diagonal())
    assert float(terms["invariance"]) == pytest.approx(float((a - b).square().mean()), rel=1e-4)
    assert float(terms["covariance"]) == pytest.approx(float(off.square().sum() / 16), rel=1e-3)
    short = (1 - (covariance.diagonal() + 1e-4).sqrt()).clamp(min=0).mean()
    assert float(terms["variance"]) == pytest.approx(float(short), rel=1e-3)
    total = 25 * terms["invariance"] + 25 * terms["variance"] + terms["covariance"]
    assert float(terms["loss"].detach()) == pytest.approx(float(total.detach()), rel=1e-5)


def test_the_loss_of_simclr_is_that_of_the_paper():
    objective = make(SimClr, temperature=0.5).eval()
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
    terms = make(SimClr).eval()({"unlabelled": Clips(clips(1))})
    assert float(terms["loss"].detach()) == 0.0


@pytest.mark.parametrize("kind", [Byol, VicReg, SimClr])
@pytest.mark.parametrize("mel", [MEL, DELTAS])
def test_the_strong_views_with_a_time_crop_work_for_one_and_two_channels(kind, mel):
    view = nn.Sequential(TimeCrop(mel, 0.4), augmenter(preset("strong", mel), mel))
    objective = make(kind, mel, view)
    assert objective.two_views(clips(6, mel)).shape == (12, mel.n_channels, 16, 13)
    terms = objective({"unlabelled": Clips(clips(6, mel))})
    terms["loss"].backward()
    assert torch.isfinite(terms["loss"])


def test_views_are_random_in_training_and_fixed_by_a_seed_in_evaluation():
    objective, x = make(Byol), clips()
    assert loss_of(objective, x, seed=1) == loss_of(objective, x, seed=1)
    assert loss_of(objective, x, seed=1) != loss_of(objective, x, seed=2)


def test_views_are_made_in_full_precision():
    objective, x = make(Byol), clips()
    torch.manual_seed(0)
    wanted = objective.two_views(x)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        view = nn.Sequential(TimeCrop(MEL, 0.4), augmenter(preset("strong", MEL), MEL))
        assert torch.equal(objective.two_views(x), wanted)
        torch.manual_seed(0)
        found = make(Byol, view=view).two_views(x)
    torch.manual_seed(0)
    assert torch.equal(found, make(Byol, view=view).two_views(x))


def test_first_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    a = make(Byol, seed=3).state_dict()
    state = torch.random.get_rng_state()
    b, c = make(Byol, seed=3).state_dict(), make(Byol, seed=4).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["projector.0.weight"], c["projector.0.weight"])
    assert not torch.equal(a["projector.0.weight"][:16, :8], a["predictor.0.weight"][:16, :8])


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Byol, {"target_decay": 1.0}),
        (VicReg, {"variance": -1.0}),
        (SimClr, {"temperature": 0.0}),
    ],
)
def test_wrong_options_are_errors(kind, wrong):
    with pytest.raises(OptionError, match=next(iter(wrong)).removeprefix("target_")):
        make(kind, **wrong)
