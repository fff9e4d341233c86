"""Masked reconstruction: hidden patches alone count."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pretext_parts import DELTAS, MEL, Clips, autoencoder, clips, learn, loss_of
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.learning.reconstruction import Masked, patch_mask


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 30),
    st.integers(2, 40),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(0.01, 0.99),
    st.integers(0, 99),
)
def test_as_many_patches_are_hidden_in_each_clip(mels, frames, height, width, share, seed):
    torch.manual_seed(seed)
    x = torch.zeros(5, 2, mels, frames)
    rows, columns = -(-mels // height), -(-frames // width)
    if rows * columns < 2:
        with pytest.raises(OptionError, match="covers"):
            patch_mask(x, share, (height, width))
        return
    hidden = patch_mask(x, share, (height, width))
    assert hidden.shape == (5, 1, mels, frames)
    patches = hidden[:, 0, ::height, ::width]
    whole = patches.repeat_interleave(height, 1).repeat_interleave(width, 2)
    assert torch.equal(whole[:, :mels, :frames], hidden[:, 0])
    counts = patches.flatten(1).sum(1)
    assert int(counts[0]) == min(max(round(share * rows * columns), 1), rows * columns - 1)
    assert bool((counts == counts[0]).all())


def test_clips_and_steps_hide_different_patches():
    x = torch.zeros(2, 1, 32, 64)
    torch.manual_seed(0)
    first, again = patch_mask(x, 0.5, (8, 8)), patch_mask(x, 0.5, (8, 8))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, again)


class Wrong(nn.Module):
    """Repeats what it is shown with an error where cells are visible, or where they are not."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def forward(self, x):
        self.hidden = x == 0
        at = self.hidden if self.where == "hidden" else ~self.hidden
        return x + 2.0 * at


@pytest.mark.parametrize("mel", [MEL, DELTAS])
def test_the_loss_ignores_visible_cells(mel):
    x = clips(mel=mel)
    standardize = autoencoder(mel).frontend.standardize

    def terms(where, **options):
        torch.manual_seed(3)
        network = Wrong(where)
        return Masked(network, standardize, patch_mels=4, patch_frames=5, **options)(
            {"unlabelled": Clips(x)}
        ), network.hidden

    visible, hidden = terms("visible")
    wanted = standardize(x)
    assert torch.equal(hidden.any(dim=1, keepdim=True).expand_as(hidden), hidden)
    per_clip = [wanted[i][hidden[i]].square().mean() for i in range(len(x))]
    assert float(visible["loss"]) == pytest.approx(float(torch.stack(per_clip).mean()), rel=1e-4)
    changed, _ = terms("hidden")
    assert float(changed["loss"]) != pytest.approx(float(visible["loss"]), rel=1e-3)
    everywhere, _ = terms("visible", masked_only=False)
    expected = torch.where(hidden, -wanted, torch.full_like(wanted, 2.0)).square().mean()
    assert float(everywhere["loss"]) == pytest.approx(float(expected), rel=1e-4)


def test_it_learns_to_fill_in():
    x, network = clips(), autoencoder(net="(8)5c-2p-(8)5c-2p")
    objective = Masked(
        network, network.frontend.standardize, mask_share=0.4, patch_mels=4, patch_frames=4
    )
    before = loss_of(objective, x)
    learn(objective, x, steps=50, rate=1e-2)
    assert loss_of(objective, x) < 0.8 * before
    assert loss_of(objective, x) < 0.9


@pytest.mark.parametrize("wrong", [{"mask_share": 0.0}, {"mask_share": 1.0}, {"patch_mels": 0}])
def test_wrong_options_are_errors(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Masked(nn.Identity(), nn.Identity(), **wrong)
