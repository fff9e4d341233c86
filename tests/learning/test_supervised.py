"""The supervised objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_standins import MEL, NET, Clips, Jitter, Linear, Plus, clips, features
from sklearn.metrics import log_loss
from torch import nn

from semisonic.core.errors import DataError, ModelError
from semisonic.features.frontend import Standardize
from semisonic.learning.consistency import Consistency, FixMatch
from semisonic.learning.contrastive import SimClr
from semisonic.learning.losses import CrossEntropy, SoftBootstrapping
from semisonic.learning.reconstruction import Denoising, Reconstruction
from semisonic.learning.supervised import Joint, Supervised
from semisonic.models.pretrained import AutoEncoder
from semisonic.models.sound_model import build


@pytest.fixture
def x():
    return torch.randn(16, 1, 2, 3, generator=torch.Generator().manual_seed(0))


def test_is_the_log_loss_of_the_classes(x):
    model = Linear()
    y = torch.arange(16) % 4
    terms = Supervised(model, **model.told)({"labelled": Clips(x, y)})
    probabilities = model(x).softmax(1).detach().numpy()
    assert terms["loss"].item() == pytest.approx(log_loss(y.numpy(), probabilities), rel=1e-5)
    assert terms["accuracy"].item() == np.mean(probabilities.argmax(1) == y.numpy())
    terms["loss"].backward()
    assert model.layer.weight.grad is not None
    assert not terms["accuracy"].requires_grad


def test_several_labels_are_a_question_each(x):
    model = Linear(multi_label=True)
    y = (torch.arange(64).reshape(16, 4) % 3 == 0).float()
    terms = Supervised(model, **model.told)({"labelled": Clips(x, y)})
    p = model(x).sigmoid().detach()
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert set(terms) == {"loss"}
    smooth = Supervised(
        model, **model.told, loss=CrossEntropy(multi_label=True, label_smoothing=1 - 1e-9)
    )({"labelled": Clips(x, y)})
    half = nn.functional.binary_cross_entropy(p, torch.full_like(p, 0.5)).item()
    assert smooth["loss"].item() == pytest.approx(half, rel=1e-4)


def test_loss_is_computed_in_full_precision(x):
    y = torch.arange(16) % 4
    terms = Supervised(Linear(dtype=torch.bfloat16), n_classes=4)({"labelled": Clips(x, y)})
    assert terms["loss"].dtype == torch.float32


def test_unlabelled_batches_are_an_error(x):
    with pytest.raises(DataError, match="'labelled': found batches without targets"):
        Supervised(Linear(), n_classes=4)({"labelled": Clips(x, None)})


def test_clips_are_augmented_then_mixed(x):
    model, y = Linear(), torch.arange(16) % 4
    seen = []

    class Swap(nn.Module):
        def forward(self, x, target):
            seen.append(x)
            return x.flip(0), target.flip(0)

    augment = Plus(1.0)
    terms = Supervised(model, **model.told, augment=augment, mix=Swap())({"labelled": Clips(x, y)})
    assert torch.equal(seen[0], x + 1.0)
    expected = nn.functional.cross_entropy(model(x + 1.0), y).item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_a_plain_module_needs_its_number_of_classes():
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 4))
    with pytest.raises(ModelError, match="n_classes: found 0 for a Sequential"):
        Supervised(network)
    with pytest.raises(ModelError, match="found values for a SoundModel, which knows them"):
        Supervised(build(NET, MEL, ("a", "b")), n_classes=2)


def learned_in_a_loop(objective, given, n_steps=60):
    """The loss before and after an ordinary loop of torch, with the same random numbers."""
    objective.train()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=0.02)
    losses = []
    for _ in range(n_steps):
        torch.manual_seed(0)
        terms = objective(given)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        objective.after_step()
        losses.append(terms["loss"].item())
    return losses[0], losses[-1]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4))


def rebuilder():
    torch.manual_seed(0)
    return nn.Conv2d(1, 1, 3, padding=1)


VIEWS = {"weak": nn.Identity(), "strong": Plus(0.1)}
ON_PLAIN_MODULES = {
    "supervised": lambda scale: Supervised(network(), n_classes=4),
    "pi-model": lambda scale: Consistency(network(), n_classes=4, **VIEWS),
    "fixmatch": lambda scale: FixMatch(network(), n_classes=4, threshold=0.3, **VIEWS),
    "simclr": lambda scale: SimClr(
        nn.Flatten(), nn.Identity(), nn.Dropout(0.1), out_channels=6, projection=8
    ),
    "reconstruction": lambda scale: Reconstruction(rebuilder(), scale),
    "denoising": lambda scale: Denoising(rebuilder(), scale, noise_db=1.0),
    "jointly": lambda scale: Joint(
        Supervised(network(), n_classes=4), Reconstruction(rebuilder(), scale)
    ),
}


@pytest.mark.parametrize("name", ON_PLAIN_MODULES)
def test_an_objective_trains_plain_modules_in_a_loop_of_torch(name):
    scale = Standardize("global", 1, 2).fit(features(16))
    given = {
        "labelled": Clips(features(16, 1), torch.arange(16) % 4),
        "unlabelled": Clips(features(16, 2)),
    }
    before, after = learned_in_a_loop(ON_PLAIN_MODULES[name](scale), given)
    assert after < 0.9 * before


def targets(n, seed):
    hot = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed)) < 0.4
    return hot.float()


def batches():
    return {
        "labelled": Clips(features(6, 1), targets(6, 1)),
        "noisy": Clips(features(10, 2), targets(10, 2)),
        "unlabelled": Clips(features(6, 3)),
    }


def made(model, noisy=None, kind=Supervised, **options):
    loss = CrossEntropy(multi_label=True)
    return kind(model, **model.told, loss=loss, noisy_loss=noisy or loss, **options)


def test_with_one_loss_for_both_it_is_the_loss_of_one_batch():
    model, given = Linear(multi_label=True, norm=True), batches()
    found = made(model)(given)["loss"]
    x = torch.cat([given["labelled"].x, given["noisy"].x])
    y = torch.cat([given["labelled"].y, given["noisy"].y])
    together = Supervised(model, **model.told, loss=CrossEntropy(multi_label=True))
    expected = together({"labelled": Clips(x, y)})["loss"]
    torch.testing.assert_close(found, expected)


def test_each_part_has_its_loss_and_the_weight_is_that_of_a_noisy_row():
    model, given = Linear(multi_label=True), batches()
    beta = 0.7
    found = made(model, SoftBootstrapping(beta, multi_label=True), noisy_weight=0.5)(given)["loss"]
    bce = nn.functional.binary_cross_entropy_with_logits
    own = model(given["noisy"].x)
    soft = beta * given["noisy"].y + (1 - beta) * own.sigmoid()  # each class by itself
    noisy = bce(own, soft, reduction="none").mean(1).sum()
    sure = model(given["labelled"].x)
    certain = bce(sure, given["labelled"].y, reduction="none").mean(1).sum()
    torch.testing.assert_close(found, (certain + 0.5 * noisy) / 16)


def test_weight_zero_takes_noisy_labels_out():
    model, given = Linear(multi_label=True), batches()
    made(model, noisy_weight=0.0)(given)["loss"].backward()
    found = model.layer.weight.grad.clone()
    model.zero_grad()
    given["noisy"] = Clips(given["noisy"].x, 1 - given["noisy"].y)
    made(model, noisy_weight=0.0)(given)["loss"].backward()
    torch.testing.assert_close(found, model.layer.weight.grad)


def test_the_stream_is_read_only_where_there_is_a_loss_for_it():
    assert Supervised(Linear(), n_classes=4).streams == ("labelled",)
    assert made(Linear(multi_label=True)).streams == ("labelled", "noisy")
    both = made(Linear(multi_label=True), kind=Consistency, weak=Plus(), strong=Plus(0.5))
    assert both.streams == ("labelled", "unlabelled", "noisy")


def parts(task=Reconstruction):
    model = build(NET, MEL, ("a", "b", "c"), seed=1)
    standardize = model.frontend.standardize.fit(clips())
    if task is SimClr:
        return model, SimClr(model.encoder, standardize, Jitter(), projection=8)
    return model, task(
        AutoEncoder(model.encoder, model.frontend, NET, decoder="upsample"), standardize
    )


def clips_of_both():
    return {"labelled": Clips(clips(9), torch.arange(9) % 3), "unlabelled": Clips(clips(12))}


@pytest.mark.parametrize("task", [Reconstruction, Denoising, SimClr])
def test_both_losses_reach_one_encoder(task):
    model, other = parts(task)
    objective = Joint(Supervised(model), other, weight=0.5)
    assert objective.streams == ("labelled", "unlabelled")
    torch.manual_seed(0)
    terms = objective(clips_of_both())
    total = terms["class_loss"] + 0.5 * terms["task_loss"]
    assert float(terms["loss"].detach()) == pytest.approx(float(total.detach()), rel=1e-5)
    assert "accuracy" in terms
    first = next(model.encoder.parameters())
    terms["loss"].backward()
    both = first.grad.clone()
    first.grad = None
    torch.manual_seed(0)
    other({"unlabelled": clips_of_both()["unlabelled"]})["loss"].mul(0.5).backward()
    assert first.grad.abs().sum() > 0
    assert not torch.allclose(both, first.grad, rtol=1e-3)
    assert len({id(p) for p in objective.parameters()}) == len(list(objective.parameters()))


def test_weight_zero_is_the_supervised_objective_alone():
    model, other = parts()
    alone, joint = Supervised(model), Joint(Supervised(model), other, weight=0.0)
    assert joint.streams == alone.streams
    labelled = {"labelled": clips_of_both()["labelled"]}
    model.eval()
    assert {k: float(v.detach()) for k, v in joint(labelled).items()} == {
        k: float(v.detach()) for k, v in alone(labelled).items()
    }


def test_what_follows_the_weights_of_the_task_moves_after_a_step():
    class Follower(Reconstruction):
        n_steps = 0

        def after_step(self):
            self.n_steps += 1

    model, other = parts(Follower)
    Joint(Supervised(model), other).after_step()
    assert other.n_steps == 1
