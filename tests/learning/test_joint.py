"""Classes and another task on one encoder."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from pretext_parts import MEL, NET, Clips, Jitter, clips
from torch import Tensor

from semisonic.core.errors import OptionError
from semisonic.learning.contrastive import SimClr
from semisonic.learning.reconstruction import Denoising, Reconstruction
from semisonic.learning.supervised import Joint, Supervised
from semisonic.models.pretrained import AutoEncoder
from semisonic.models.sound_model import build


@dataclass(frozen=True)
class Labelled:
    x: Tensor
    y: Tensor


def parts(task=Reconstruction):
    model = build(NET, MEL, ("a", "b", "c"), seed=1)
    standardize = model.frontend.standardize.fit(clips())
    if task is SimClr:
        return model, SimClr(model.encoder, standardize, Jitter(), projection=8)
    return model, task(AutoEncoder(model.encoder, "upsample"), standardize)


def batches():
    return {"labelled": Labelled(clips(9), torch.arange(9) % 3), "unlabelled": Clips(clips(12))}


@pytest.mark.parametrize("task", [Reconstruction, Denoising, SimClr])
def test_both_losses_reach_one_encoder(task):
    model, other = parts(task)
    objective = Joint(Supervised(model), other, weight=0.5)
    assert objective.streams == ("labelled", "unlabelled")
    torch.manual_seed(0)
    terms = objective(batches())
    total = terms["class_loss"] + 0.5 * terms["task_loss"]
    assert float(terms["loss"].detach()) == pytest.approx(float(total.detach()), rel=1e-5)
    assert "accuracy" in terms
    first = next(model.encoder.parameters())
    terms["loss"].backward()
    both = first.grad.clone()
    first.grad = None
    torch.manual_seed(0)
    other({"unlabelled": batches()["unlabelled"]})["loss"].mul(0.5).backward()
    assert first.grad.abs().sum() > 0
    assert not torch.allclose(both, first.grad, rtol=1e-3)
    assert len({id(p) for p in objective.parameters()}) == len(list(objective.parameters()))


def test_weight_zero_is_the_supervised_objective_alone():
    model, other = parts()
    alone, joint = Supervised(model), Joint(Supervised(model), other, weight=0.0)
    assert joint.streams == alone.streams
    labelled = {"labelled": batches()["labelled"]}
    model.eval()
    assert {k: float(v) for k, v in joint(labelled).items()} == {
        k: float(v) for k, v in alone(labelled).items()
    }


def test_what_follows_the_weights_of_the_task_moves_after_a_step():
    class Follower(Reconstruction):
        n_steps = 0

        def after_step(self):
            self.n_steps += 1

    model, other = parts(Follower)
    Joint(Supervised(model), other).after_step()
    assert other.n_steps == 1


def test_wrong_parts_and_weights_are_errors():
    model, other = parts()
    with pytest.raises(OptionError, match="weight"):
        Joint(Supervised(model), other, weight=-1.0)
    with pytest.raises(OptionError, match="tasks that read"):
        Joint(other, Supervised(model))
