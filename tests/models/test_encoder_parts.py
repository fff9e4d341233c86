"""Encoders cut into parts, as layer-wise pre-training needs them."""

from __future__ import annotations

import pytest
import torch

from semisonic.models.encoder import Trace
from semisonic.models.registry import create

SHAPE = (2, 40, 52)


@pytest.mark.parametrize(
    ("name", "n_parts"),
    [
        ("small", 4),
        ("(4)5c-2p-(5)3cbn-(6)3c-3p/2", 3),
        ("2p-(4)5c-2p-(5)3c", 2),
        ("(4)5c-2p-8fc", 1),
        ("vgg", 4),
        ("resnet", 4),
    ],
)
def test_the_parts_one_after_the_other_are_the_encoder(name: str, n_parts: int) -> None:
    encoder = create(name, SHAPE).encoder.eval()
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    code, trace = encoder.trace(x, maps=True)

    plans = encoder.part_plans
    assert len(plans) == n_parts
    assert tuple(step for plan in plans for step in plan) == encoder.plan
    found, record = x, Trace(maps=True)
    for number in range(n_parts):
        found = encoder.run_part(number, found, record)
    assert torch.equal(found, code)
    assert [undo.size for undo in record.downs] == [undo.size for undo in trace.downs]
    assert torch.equal(encoder(x), code)
