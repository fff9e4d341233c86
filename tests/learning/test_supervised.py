"""The supervised objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_standins import MEL, NET, Clips, Jitter, Linear, Plus, clips, features
from sklearn.metrics import log_loss
from torch import nn

from semisonic.core.errors import DataError, ModelError
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
    terms = Supervised(model)({"labelled": Clips(x, y)})
    probabilities = model.from_features(x).softmax(1).detach().numpy()
    assert terms["loss"].item() == pytest.approx(log_loss(y.numpy(), probabilities), rel=1e-5)
    assert terms["accuracy"].item() == np.mean(probabilities.argmax(1) == y.numpy())
    terms["loss"].backward()
    assert model.layer.weight.grad is not None
    assert not terms["accuracy"].requires_grad


def test_several_labels_are_a_question_each(x):
    model = Linear(multi_label=True)
    y = (torch.arange(64).reshape(16, 4) % 3 == 0).float()
    terms = Supervised(model)({"labelled": Clips(x, y)})
    p = model.from_features(x).sigmoid().detach()
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert set(terms) == {"loss"}
    smooth = Supervised(model, loss=CrossEntropy(multi_label=True, label_smoothing=1 - 1e-9))(
        {"labelled": Clips(x, y)}
    )
    half = nn.functional.binary_cross_entropy(p, torch.full_like(p, 0.5)).item()
    assert smooth["loss"].item() == pytest.approx(half, rel=1e-4)


def test_loss_is_computed_in_full_precision(x):
    y = torch.arange(16) % 4
    terms = Supervised(Linear(dtype=torch.bfloat16))({"labelled": Clips(x, y)})
    assert terms["loss"].dtype == torch.float32


def test_unlabelled_batches_are_an_error(x):
    with pytest.raises(DataError, match="'labelled': found batches without targets"):
        Supervised(Linear())({"labelled": Clips(x, None)})


def test_clips_are_augmented_then_mixed(x):
    model, y = Linear(), torch.arange(16) % 4
    seen = []

    class Swap(nn.Module):
        def forward(self, x, target):
            seen.append(x)
            return x.flip(0), target.flip(0)

    augment = Plus(1.0)
    terms = Supervised(model, augment=augment, mix=Swap())({"labelled": Clips(x, y)})
    assert torch.equal(seen[0], x + 1.0)
    expected = nn.functional.cross_entropy(model.from_features(x + 1.0), y).item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_a_plain_module_is_told_what_it_lacks():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="found a Sequential, expected a SoundModel"):
        Supervised(network)
    with pytest.raises(ModelError, match="found a Sequential, expected a SoundModel"):
        FixMatch(network, weak=nn.Identity(), strong=nn.Identity())


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
    return kind(model, loss=loss, noisy_loss=noisy or loss, **options)


def test_with_one_loss_for_both_it_is_the_loss_of_one_batch():
    model, given = Linear(multi_label=True, norm=True), batches()
    found = made(model)(given)["loss"]
    x = torch.cat([given["labelled"].x, given["noisy"].x])
    y = torch.cat([given["labelled"].y, given["noisy"].y])
    together = Supervised(model, loss=CrossEntropy(multi_label=True))
    expected = together({"labelled": Clips(x, y)})["loss"]
    torch.testing.assert_close(found, expected)


def test_each_part_has_its_loss_and_the_weight_is_that_of_a_noisy_row():
    model, given = Linear(multi_label=True), batches()
    beta = 0.7
    found = made(model, SoftBootstrapping(beta, multi_label=True), noisy_weight=0.5)(given)["loss"]
    bce = nn.functional.binary_cross_entropy_with_logits
    own = model.from_features(given["noisy"].x)
    soft = beta * given["noisy"].y + (1 - beta) * own.sigmoid()  # each class by itself
    noisy = bce(own, soft, reduction="none").mean(1).sum()
    sure = model.from_features(given["labelled"].x)
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
    assert Supervised(Linear()).streams == ("labelled",)
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
