"""The supervised objective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor, nn

from semisonic.base.errors import DataError, OptionError
from semisonic.learning import Supervised


@dataclass(frozen=True)
class Labelled:
    x: Tensor
    y: Tensor | None


class Linear(nn.Module):
    """Stands for a SoundModel: logits from features."""

    def __init__(self, n_classes=4, multi_label=False, dtype=torch.float32):
        super().__init__()
        self.multi_label, self.dtype = multi_label, dtype
        self.layer = nn.Linear(6, n_classes)

    def from_features(self, x):
        return self.layer(x.flatten(1)).to(self.dtype)


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
    objective = Supervised(Linear(), label_smoothing=0.1)
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
    found = Supervised(model, label_smoothing=0.2)({"labelled": Labelled(x, y)})
    assert found["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_several_labels_are_a_question_each(x):
    model = Linear(multi_label=True)
    y = (torch.arange(64).reshape(16, 4) % 3 == 0).float()
    terms = Supervised(model)({"labelled": Labelled(x, y)})
    p = model.from_features(x).sigmoid().detach()
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert set(terms) == {"loss"}
    smooth = Supervised(model, label_smoothing=1 - 1e-9)({"labelled": Labelled(x, y)})
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
        Supervised(Linear(), smoothing)
