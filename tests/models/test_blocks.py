"""Blocks of staged networks: what each of them computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.models.blocks import BLOCKS, Excitation, StochasticDepth, block_class
from semisonic.models.staged import FrequencyNorm


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def silence_branch(block: nn.Module) -> None:
    """Make whatever a block adds to its shortcut zero."""
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5)])
@pytest.mark.parametrize("excite", [False, True])
def test_size_stays_and_channels_grow(name: str, kernel: tuple[int, int], excite: bool) -> None:
    block = block_class(name)(4, 8, kernel, excite=excite, drop_path=0.3)
    x = noise(3, 4, 5, 7).requires_grad_()
    y = block(x)
    assert y.shape == (3, 8, 5, 7)
    y.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())
    assert x.grad is not None


@pytest.mark.parametrize("name", BLOCKS)
def test_without_its_branch_a_block_is_its_shortcut(name: str) -> None:
    block = block_class(name)(4, 6).eval()
    silence_branch(block)
    x = noise(2, 4, 5, 7)
    expected = F.pad(x, (0, 0, 0, 0, 0, 2)) if block.has_shortcut else torch.zeros(2, 6, 5, 7)
    torch.testing.assert_close(block(x), F.relu(expected) if block.ends_in_relu else expected)


def test_only_the_plain_block_has_no_shortcut() -> None:
    assert [name for name, block in BLOCKS.items() if not block.has_shortcut] == ["plain"]


def test_residual_and_preactivation_by_hand() -> None:
    x = noise(2, 4, 5, 7)
    for name in ("residual", "preactivation", "plain"):
        block = block_class(name)(4, 4)
        block(noise(8, 4, 5, 7, seed=1))  # moves the running statistics
        block.eval()
        conv1, conv2 = (m for m in block.modules() if isinstance(m, nn.Conv2d))
        norm1, norm2 = (m for m in block.modules() if isinstance(m, nn.BatchNorm2d))
        if name == "preactivation":
            expected = x + conv2(F.relu(norm2(conv1(F.relu(norm1(x))))))
        else:
            y = norm2(conv2(F.relu(norm1(conv1(x)))))
            expected = F.relu(y + x if name == "residual" else y)
        torch.testing.assert_close(block(x), expected)


def test_the_inverted_block_filters_each_map_alone() -> None:
    block = block_class("inverted")(4, 6)
    convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.groups) for c in convs] == [
        (4, 12, 1),
        (12, 12, 12),
        (12, 6, 1),
    ]


def test_the_broadcast_block_looks_along_time_on_one_row() -> None:
    torch.manual_seed(0)  # by chance a ReLU may hide everything
    block = block_class("broadcast")(4, 4, (1, 3)).eval()
    x = torch.zeros(1, 4, 6, 9)
    x[:, :, 2, 4] = 1.0
    changed = (block.branch(x) - block.branch(torch.zeros_like(x))).abs().sum(dim=(0, 1)) > 1e-6
    assert changed[2, 4]
    assert changed[:, 3].all()  # a frame beside it, in all rows alike
    assert not changed[:, :3].any()


def test_excitation_by_hand() -> None:
    layer = Excitation(8)
    x = noise(2, 8, 3, 5)
    weights = torch.sigmoid(layer.excite(F.relu(layer.squeeze(x.mean(dim=(2, 3))))))
    torch.testing.assert_close(layer(x), x * weights[:, :, None, None])


def test_stochastic_depth_drops_whole_clips_in_training_only() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    x = torch.ones(2000, 2, 2, 2)
    y = layer(x).flatten(1)
    dropped, kept = (y == 0).all(dim=1), torch.isclose(y, torch.tensor(1 / 0.75)).all(dim=1)
    assert (dropped ^ kept).all()
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.04)
    assert torch.equal(layer.eval()(x), x)
    with pytest.raises(ModelError, match="drop_path"):
        StochasticDepth(1.0)


def test_frequency_norm_softens_what_lasts() -> None:
    layer = FrequencyNorm()
    x = noise(2, 3, 4, 50)
    rows = x.transpose(1, 2).flatten(2)  # (batch, mel, channel and frame)
    free = (x - rows.mean(2)[:, None, :, None]) / rows.std(2, correction=0)[:, None, :, None]
    torch.testing.assert_close(layer(x), 0.1 * x + free, atol=1e-4, rtol=1e-4)
    microphone = torch.tensor([0.0, 3.0, -2.0, 5.0]).view(1, 1, 4, 1)
    torch.testing.assert_close(
        layer(x + microphone), layer(x) + 0.1 * microphone, atol=1e-4, rtol=1e-4
    )
    assert layer(x.bfloat16()).dtype == torch.bfloat16


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'residual'"):
        block_class("residul")
