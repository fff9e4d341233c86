"""The supervised objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_standins import Clips as Labelled
from learning_standins import Linear, Plus
from sklearn.metrics import log_loss
from torch import nn

from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.learning.fixmatch import FixMatch
from semisonic.learning.losses import CrossEntropy
from semisonic.learning.supervised import Supervised


@pytest.fixture
def x():
    return torch.randn(16, 1, 2, 3, generator=torch.Generator().manual_seed(0))


def test_is_the_log_loss_of_the_classes(x):
    model = Linear()
    y = torch.arange(16) % 4
    terms = Supervised(model)({"labelled": Labelled(x, y)})
    probabilities = model.from_features(x).softmax(1).detach().numpy()
    assert terms["loss"].item() == pytest.approx(log_loss(y.numpy(), probabilities), rel=1e-5)
    assert terms["accuracy"].item() == np.mean(probabilities.argmax(1) == y.numpy())
    terms["loss"].backward()
    assert model.layer.weight.grad is not None
    assert not terms["accuracy"].requires_grad


def test_soft_targets_of_one_class_are_that_class(x):
    objective = Supervised(Linear(), loss=CrossEntropy(label_smoothing=0.1))
    y = torch.arange(16) % 4
    hard = objective({"labelled": Labelled(x, y)})
    soft = objective({"labelled": Labelled(x, nn.functional.one_hot(y, 4).float())})
    assert soft["loss"].item() == pytest.approx(hard["loss"].item(), rel=1e-5)
    assert soft["accuracy"] == hard["accuracy"]


def test_smoothing_mixes_in_the_loss_of_all_classes(x):
    model = Linear()
    y = torch.arange(16) % 4
    logs = model.from_features(x).log_softmax(1)
    expected = -(0.8 * logs[torch.arange(16), y] + 0.2 * logs.mean(1)).mean().item()
    found = Supervised(model, loss=CrossEntropy(label_smoothing=0.2))({"labelled": Labelled(x, y)})
    assert found["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_several_labels_are_a_question_each(x):
    model = Linear(multi_label=True)
    y = (torch.arange(64).reshape(16, 4) % 3 == 0).float()
    terms = Supervised(model)({"labelled": Labelled(x, y)})
    p = model.from_features(x).sigmoid().detach()
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert set(terms) == {"loss"}
    smooth = Supervised(model, loss=CrossEntropy(multi_label=True, label_smoothing=1 - 1e-9))(
        {"labelled": Labelled(x, y)}
    )
    half = nn.functional.binary_cross_entropy(p, torch.full_like(p, 0.5)).item()
    assert smooth["loss"].item() == pytest.approx(half, rel=1e-4)


def test_loss_is_computed_in_full_precision(x):
    y = torch.arange(16) % 4
    terms = Supervised(Linear(dtype=torch.bfloat16))({"labelled": Labelled(x, y)})
    assert terms["loss"].dtype == torch.float32


def test_unlabelled_batches_are_an_error(x):
    with pytest.raises(DataError, match="'labelled' gives batches without targets"):
        Supervised(Linear())({"labelled": Labelled(x, None)})


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_must_be_a_share(smoothing):
    with pytest.raises(OptionError, match="label_smoothing"):
        CrossEntropy(label_smoothing=smoothing)


def test_clips_are_augmented_then_mixed(x):
    model, y = Linear(), torch.arange(16) % 4
    seen = []

    class Swap(nn.Module):
        def forward(self, x, target):
            seen.append(x)
            return x.flip(0), target.flip(0)

    augment = Plus(1.0)
    terms = Supervised(model, augment=augment, mix=Swap())({"labelled": Labelled(x, y)})
    assert torch.equal(seen[0], x + 1.0)
    expected = nn.functional.cross_entropy(model.from_features(x + 1.0), y).item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("y", [torch.zeros(16), torch.zeros(16, 3), torch.zeros(16, 2, 4)])
def test_targets_of_another_shape_are_an_error(x, y):
    with pytest.raises(DataError, match="expected class numbers"):
        Supervised(Linear())({"labelled": Labelled(x, y)})


def test_a_plain_module_is_told_what_it_lacks():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="found a Sequential, expected a SoundModel"):
        Supervised(network)
    with pytest.raises(ModelError, match="found a Sequential, expected a SoundModel"):
        FixMatch(network, weak=nn.Identity(), strong=nn.Identity())
